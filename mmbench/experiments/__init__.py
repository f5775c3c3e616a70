"""The experiments, a folder each: `tasks` and `scores`, and, where it has them, `section`, `options` and `judge`.

A folder here is an experiment, found by its name. `experiment` describes what `tasks` provides.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from mmbench.errors import UserError, near

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of the experiments there are, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("[!_]*/tasks.py"))


def part_file(experiment: str, part: str) -> Path:
    """Where a part of an experiment is, if it has it."""
    return FOLDER / experiment / f"{part}.py"


def load_part(experiment: str, part: str) -> ModuleType | None:
    """The module `part` of an experiment; None if the experiment has no such part.

    Raises:
        UserError: there is no such experiment.
    """
    if experiment not in (known := names()):
        raise UserError(
            f"experiment '{experiment}' does not exist{near(experiment, known)}; there are {', '.join(known)}"
        )
    if not part_file(experiment, part).is_file() and not (FOLDER / experiment / part / "__init__.py").is_file():
        return None
    return importlib.import_module(f"{__name__}.{experiment}.{part}")
