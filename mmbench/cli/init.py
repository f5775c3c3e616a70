"""`mmbench init`: make a working folder from the installed package."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mmbench.config.checkout import CARRIED, PACKAGE, PARTS, ROOT
from mmbench.errors import UserError

LEFT = shutil.ignore_patterns("__pycache__", CARRIED.name, ".*")


def make_checkout(folder: Path) -> None:
    """Copy the workflow, its configuration, the baselines and this package to a new folder; UserError if it exists."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not empty; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        for source in (*(ROOT / name for name in PARTS), PACKAGE):
            if source.is_dir():
                shutil.copytree(source, made / source.name, ignore=LEFT)
            else:
                shutil.copyfile(source, made / source.name)
        if folder.exists():
            folder.rmdir()
        os.replace(made, folder)


def command(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to create.")]) -> None:
    """Create a working folder, if you have no clone of the repository.

    The folder holds what a clone holds, without tests and documents: the workflow, configuration, profiles, baselines
    and the code that they run. You can edit all of it. Runs write their results into this folder.

    Example:

      mmbench init my-benchmark
    """
    make_checkout(folder)
    print(f"made: {folder}\n\ncd {folder}\nmmbench doctor\nmmbench run --profile smoke\nmmbench results")
