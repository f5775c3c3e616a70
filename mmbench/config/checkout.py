"""The location of the files next to the package: those of a checkout, or their copies in a wheel."""

from __future__ import annotations

from pathlib import Path

from mmbench.errors import UserError

PACKAGE = Path(__file__).parents[1]
#: The folders of a checkout next to the package, which a wheel includes (`pyproject.toml` puts them there).
PARTS = ("Snakefile", "workflow", "config", "profiles", "baselines", "environment.yml", "requirements.lock")
CARRIED = PACKAGE / "_checkout"


def is_checkout(folder: Path) -> bool:
    """Whether a folder is a checkout: a clone, or a folder made by `mmbench init`."""
    return all((folder / name).exists() for name in ("Snakefile", "config/config.yaml", "mmbench/__init__.py"))


#: Configuration and baselines that belong to this package.
ROOT = PACKAGE.parent if is_checkout(PACKAGE.parent) else CARRIED


def find_checkout(start: Path | None = None) -> Path:
    """The checkout to work in: the nearest folder upwards from `start` (None: the current one), else this package's.

    Raises:
        UserError: there is none.
    """
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents, PACKAGE.parent):
        if is_checkout(folder):
            return folder
    raise UserError(f"{start}: is in no checkout of mmbench; go to one, or make one: mmbench init my-benchmark")
