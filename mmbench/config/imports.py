"""Who imports whom, read from the source of the project's files."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from mmbench.config.literals import parse


@cache
def imported_modules(path: Path, root: Path) -> frozenset[str]:
    """Dotted names that a file imports, at any depth of it, and the packages that these are in."""
    names: set[str] = set()
    for node in ast.walk(parse(path, path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(root).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *filter(None, [node.module])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1))


def resolve(module: str, root: Path, beside: Path) -> Path | None:
    """The project's file of a module: of the package, or a method's `_helper`; None for other packages."""
    parts = module.split(".")
    if parts[0] != "mmbench" and not parts[0].startswith("_"):
        return None
    base = (root if parts[0] == "mmbench" else beside).joinpath(*parts)
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def closure(path: Path, root: Path) -> frozenset[Path]:
    """A file and every file of the project that it imports, directly or not."""
    seen, queue = {path}, [path]
    while queue:
        current = queue.pop()
        for module in imported_modules(current, root):
            file = resolve(module, root, current.parent)
            if file and file not in seen:
                seen.add(file)
                queue.append(file)
    return frozenset(seen)
