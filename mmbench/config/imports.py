"""The imports between the project's files, read from their source."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mmbench.config.source import read_source


def imported_modules(path: Path, root: Path) -> frozenset[str]:
    """The dotted names that a file imports anywhere, and the packages that contain them."""
    return read_source(path, root).imports


@cache
def resolve(module: str, root: Path, beside: Path) -> Path | None:
    """The project's file of a module of the package, or of a method's `_helper`; None for other packages."""
    parts = module.split(".")
    if parts[0] != "mmbench" and not parts[0].startswith("_"):
        return None
    base = (root if parts[0] == "mmbench" else beside).joinpath(*parts)
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def closure(path: Path, root: Path, beyond: frozenset[Path] = frozenset()) -> frozenset[Path]:
    """A file and every file of the project that it imports, directly or not, without and not through `beyond`."""
    seen, queue = {path}, [path]
    while queue:
        current = queue.pop()
        for module in imported_modules(current, root):
            file = resolve(module, root, current.parent)
            if file and file not in seen and file not in beyond:
                seen.add(file)
                queue.append(file)
    return frozenset(seen)
