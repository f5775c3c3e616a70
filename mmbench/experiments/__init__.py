"""The experiments, one folder each: `tasks` and `scores`, and, if needed, `cases`, `section`, `options` and `judge`.

A folder here is an experiment, which is found by its name. Its module `tasks` is imported to plan a run, so it imports
nothing but `Task`. It has

- `TASKS`: the tasks, by name;
- `MODALITIES`, if the experiment also runs with fewer modalities: all of them, first the one that it needs;
- `MADE`, if it has modalities that no data set has and that are made from others: their kinds, by name;
- `NO_MODALITIES`, if its tasks have inputs that are not modalities: their names.

The module `experiment` describes what `cases` provides.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType

from mmbench.errors import UserError, near
from mmbench.modalities import Task, default_kind

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


@dataclass(frozen=True)
class Tasks:
    """The content of an experiment's module `tasks`.

    Attributes:
        name: the name of its folder.
        optional: all its modalities, if the experiment also runs with fewer; else none.
        made: the kinds of modalities that are made from others, by name.
        no_modalities: inputs of its tasks that are not modalities.
    """

    name: str
    tasks: Mapping[str, Task]
    optional: tuple[str, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)
    no_modalities: tuple[str, ...] = ()

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The names of all its modalities; those that are made from others come last."""
        asked = [name for task in self.tasks.values() for name in (*task.given, *task.want)]
        names = self.optional or dict.fromkeys(name for name in asked if name not in self.no_modalities)
        return tuple(sorted(names, key=lambda name: name in self.made))

    def kinds(self, stored: Mapping[str, str]) -> dict[str, str]:
        """The kinds of its modalities, by name, for a data set with `stored` ones; unknown kinds are left out."""
        kinds = {name: self.made.get(name) or stored.get(name) or default_kind(name) for name in self.known}
        return {name: kind for name, kind in kinds.items() if kind}


def names(root: Path = ROOT) -> list[str]:
    """The names of the experiments in this checkout or another one, sorted."""
    folder = FOLDER if root == ROOT else root / "mmbench" / "experiments"
    return sorted(path.parent.name for path in folder.glob("[!_]*/tasks.py"))


def part_file(experiment: str, part: str) -> Path:
    """The path that a part of an experiment has if it exists."""
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


def load_tasks(experiment: str, root: Path = ROOT) -> Tasks:
    """The content of an experiment's module `tasks`, in this checkout or another one.

    Raises:
        UserError: there is no such experiment, its module cannot be imported, or its TASKS are not tasks.
    """
    if root == ROOT:
        module = load_part(experiment, "tasks")
        assert module is not None
    else:
        module = _import(root, experiment)
    tasks = getattr(module, "TASKS", None)
    if not isinstance(tasks, dict) or not all(isinstance(t, Task) and t.name == name for name, t in tasks.items()):
        raise UserError(
            f"mmbench/experiments/{experiment}/tasks.py: TASKS is no dictionary of tasks by their names; write it like "
            'TASKS = {"generate": Task("generate", given=(), want=("image",))}'
        )
    optional, besides = (tuple(getattr(module, key, ())) for key in ("MODALITIES", "NO_MODALITIES"))
    return Tasks(experiment, tasks, optional, getattr(module, "MADE", {}), besides)


def _import(root: Path, experiment: str) -> ModuleType:
    """The module `tasks` of another checkout's experiment."""
    path = Path("mmbench", "experiments", experiment, "tasks.py")
    spec = importlib.util.spec_from_file_location(f"tasks_of_{experiment}", root / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the module may raise anything
        raise UserError(f"{path}: cannot be imported ({type(error).__name__}: {error}); correct the file") from None
    return module
