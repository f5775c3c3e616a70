"""Methods found by their path and read without importing them, and the hash of the code a stage runs."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmbench.errors import UserError

#: Literal constants of a method's file: their type and whether they must be there.
LITERALS = {"TITLE": (str, True), "TASKS": (tuple, True), "WEIGHTS_FROM": (str, False), "TRAINED": (bool, False)}
NAME = re.compile(r"[a-z][a-z0-9_]*")
MULTITASK = Path("mmbench/mt_diffusion.py")


@dataclass(frozen=True)
class Found:
    """A method as its file declares it; `external` ones are a `.smk` that hands in predictions."""

    name: str
    path: Path
    title: str
    tasks: tuple[str, ...]
    weights_from: str | None = None
    external: bool = False


def read_literals(path: Path) -> dict[str, Any]:
    """The constants TITLE, TASKS, WEIGHTS_FROM and TRAINED of a method's file, without running it.

    Raises:
        UserError: the file is not Python, or a constant is missing or not the literal it should be.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such method file") from None
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: not readable as Python ({error})") from None
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in LITERALS:
            name = node.targets[0].id
            try:
                found[name] = ast.literal_eval(node.value)
            except ValueError:
                raise UserError(f"{path}: {name} must be written out, not computed (it is read unrun)") from None
    for name, (kind, needed) in LITERALS.items():
        if needed and name not in found:
            raise UserError(f"{path}: defines no {name}; add a line like {name} = {example(name)}")
        if name in found and not isinstance(found[name], kind):
            raise UserError(f"{path}: {name} is {found[name]!r}; write it like {name} = {example(name)}")
    return found


def example(name: str) -> str:
    """How a literal constant of a method's file looks."""
    return {"TITLE": '"My method"', "TASKS": '("reconstruct",)', "WEIGHTS_FROM": '"ddpm"', "TRAINED": "False"}[name]


def read_external(path: Path) -> Found:
    """An external method's declaration: the comments `# TITLE: ...` and `# TASKS: a, b` of its `.smk`."""
    text = path.read_text(encoding="utf-8")
    found = dict(re.findall(r"^# (TITLE|TASKS): *(.+?) *$", text, flags=re.MULTILINE))
    for key in ("TITLE", "TASKS"):
        if key not in found:
            raise UserError(f"{path}: has no comment line '# {key}: ...'; add one (docs/add-a-baseline.md)")
    tasks = tuple(task.strip() for task in found["TASKS"].split(","))
    return Found(path.stem, path, found["TITLE"], tasks, external=True)


def find_methods(root: Path, experiments: Iterable[str]) -> dict[str, dict[str, Found]]:
    """Every method of each experiment: the multitask model, and each file under baselines/<experiment>/.

    Raises:
        UserError: a folder of an unknown experiment, a bad or doubled name, or a bad declaration.
    """
    known = {p.stem for p in (root / "mmbench" / "experiments").glob("*.py") if not p.stem.startswith("_")}
    for folder in sorted((root / "baselines").iterdir()):
        if folder.is_dir() and folder.name not in known and not folder.name.startswith(("_", ".")):
            raise UserError(
                f"baselines/{folder.name}: no experiment of that name; there are {', '.join(sorted(known))}"
            )
    return {name: find_in(root, root / "baselines" / name) for name in experiments}


def find_in(root: Path, folder: Path) -> dict[str, Found]:
    """The methods of one experiment, by name."""
    found: dict[str, Found] = {}
    files = [root / MULTITASK, *sorted(folder.glob("*.py")), *sorted(folder.glob("*.smk"))]
    for path in files:
        name, shown = path.stem, path.relative_to(root)
        if name.startswith("_"):
            continue
        if not NAME.fullmatch(name):
            raise UserError(f"{shown}: a method's name has only a-z, 0-9 and _, and starts with a letter; rename it")
        if name in found:
            raise UserError(f"{shown}: there is already a method '{name}' in {found[name].path}; rename one")
        if path.suffix == ".smk":
            found[name] = read_external(path)
            continue
        literals = read_literals(path)
        found[name] = Found(name, shown, literals["TITLE"], literals["TASKS"], literals.get("WEIGHTS_FROM"))
    check_sources(found)
    return found


def check_sources(found: Mapping[str, Found]) -> None:
    """Every WEIGHTS_FROM must name a method that is trained itself."""
    for method in found.values():
        source = method.weights_from
        if source is not None and (source not in found or found[source].weights_from or found[source].external):
            raise UserError(f"{method.path}: WEIGHTS_FROM = '{source}' is not a trained method of this experiment")


def imported_modules(path: Path) -> set[str]:
    """Dotted names that a file imports, at any depth of it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def resolve(module: str, root: Path, beside: Path) -> Path | None:
    """The project's file of a module: of the package, or a method's `_helper`; None for other packages."""
    parts = module.split(".")
    base = root if parts[0] == "mmbench" else beside
    if parts[0] != "mmbench" and not parts[0].startswith("_"):
        return None
    for candidate in (base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts) / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def closure(path: Path, root: Path) -> frozenset[Path]:
    """A file and every file of the project that it imports, directly or not."""
    seen, queue = {path}, [path]
    while queue:
        current = queue.pop()
        for module in imported_modules(current):
            found = resolve(module, root, current.parent)
            if found and found not in seen:
                seen.add(found)
                queue.append(found)
    return frozenset(seen)


def code_hash(root: Path, *entries: str | Path) -> str:
    """SHA-256 over the code reachable from `entries`; a folder stands for all its files."""
    files: set[Path] = set()
    for entry in entries:
        path = root / entry
        if path.is_dir():
            files |= {p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        elif path.suffix == ".py":
            files |= closure(path, root)
        else:
            files.add(path)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
