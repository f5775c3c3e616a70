"""Methods, found by their path and read without importing them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mmbench.config.literals import assigned, literal, parse
from mmbench.errors import UserError, near
from mmbench.experiments import load_tasks

#: Literal constants of a method's file: their type and an example.
LITERALS: dict[str, tuple[type, str]] = {
    "TITLE": (str, '"My method"'),
    "TASKS": (tuple, '("reconstruct",)'),
    "ANSWERS": (tuple, '("mask",)'),
    "WEIGHTS_FROM": (str, '"ddpm"'),
    "TRAINED": (bool, "False"),
    "SAMPLES": (bool, "True"),
    "TUNE": (dict, '{"strength": (0.3, 0.6)}'),
    "TUNE_BY": (tuple, '("reconstruct", "lpips_alex")'),
    "SIZE_DIFFERS": (str, '"a second network classifies"'),
}
#: The constants that every method's file has.
NEEDED = ("TITLE", "TASKS")
NAME = re.compile(r"[a-z][a-z0-9_]*")
MULTITASK = Path("mmbench/models/mt_diffusion.py")
EVERY_TASK = ("*",)


@dataclass(frozen=True)
class MethodFile:
    """The declarations of a method's file; an `external` method is a `.smk` that provides predictions.

    `tune` names the settings that are chosen on the validation split. `answers` are the only output modalities of its
    tasks that it answers; `needs` are the modalities that it requires. Both are empty for a method of all modalities.
    `trained` is False for a method without training steps; `samples` is True for a method that answers at least some
    tasks with a sampler.
    """

    name: str
    path: Path
    title: str
    tasks: tuple[str, ...]
    weights_from: str | None = None
    external: bool = False
    tune: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    trained: bool = True
    samples: bool = False


def read_literals(path: Path, shown: Path | None = None) -> dict[str, Any]:
    """The constants of a method's file that `LITERALS` lists, without running it.

    Args:
        shown: the name of the file in errors, if not `path`.

    Raises:
        UserError: the file is not Python, or a constant is missing or not the literal it should be.
    """
    shown = shown or path
    values = assigned(parse(path, shown))
    return {
        name: literal(values, name, example, partial(is_of_type, kind=kind), shown)
        for name, (kind, example) in LITERALS.items()
        if name in values or name in NEEDED
    }


def is_of_type(value: Any, kind: type) -> bool:
    """Whether a value has a type, and is neither an empty text nor a tuple that is empty or holds more than texts."""
    texts = value if kind is tuple and isinstance(value, tuple) else ()
    return isinstance(value, kind) and value not in ("", ()) and all(isinstance(text, str) for text in texts)


def tuned_settings(literals: Mapping[str, Any], known: Iterable[str], shown: Path) -> tuple[str, ...]:
    """Names of the settings of a method's file that are chosen on the validation split.

    Raises:
        UserError: `TUNE` holds no candidates, or `TUNE_BY` is not one of its tasks and a metric.
    """
    tune, by, tasks = literals.get("TUNE", {}), literals.get("TUNE_BY"), list(known)
    for name, values in tune.items():
        numbers = isinstance(values, tuple) and all(type(value) in (int, float) for value in values)
        if not isinstance(name, str) or not values or not numbers:
            raise UserError(f"{shown}: TUNE: {name} is {values!r}; write its candidates like {LITERALS['TUNE'][1]}")
    if tune and (by is None or len(by) != 2 or by[0] not in tasks):
        raise UserError(f"{shown}: TUNE_BY is {by!r}; write one of {', '.join(tasks)} and a metric of it")
    return tuple(tune)


def read_external(path: Path, shown: Path) -> MethodFile:
    """An external method's declaration: the comments `# TITLE: ...`, `# TASKS: a, b`, `# ANSWERS: x` of its `.smk`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise UserError(f"{shown}: not a text file ({error}); save it as text in UTF-8") from None
    comments = dict(re.findall(r"^# (TITLE|TASKS|ANSWERS): *(.+?) *$", text, flags=re.MULTILINE))
    for key in ("TITLE", "TASKS"):
        if key not in comments:
            raise UserError(f"{shown}: {key} is missing; add a comment line '# {key}: ...'")
    tasks, answers = (
        tuple(word.strip() for word in comments.get(key, "").split(",") if word.strip()) for key in ("TASKS", "ANSWERS")
    )
    return MethodFile(path.stem, shown, comments["TITLE"], tasks, external=True, answers=answers)


def find_methods(root: Path, experiments: Iterable[str]) -> dict[str, dict[str, MethodFile]]:
    """Every method of each experiment: the multitask model, and each file under baselines/<experiment>/.

    Raises:
        UserError: a folder of an unknown experiment, a bad or doubled name, or a bad declaration.
    """
    known = sorted(p.parent.name for p in (root / "mmbench" / "experiments").glob("[!_]*/tasks.py"))
    for folder in sorted((root / "baselines").iterdir()):
        if folder.is_dir() and folder.name not in known and not folder.name.startswith(("_", ".")):
            raise UserError(
                f"baselines/{folder.name}: no experiment of that name{near(folder.name, known)}; rename the folder: "
                f"there are {', '.join(known)}"
            )
    return {name: find_in(root, name) for name in experiments}


def find_in(root: Path, experiment: str) -> dict[str, MethodFile]:
    """The methods of one experiment, by name."""
    folder = root / "baselines" / experiment
    methods: dict[str, MethodFile] = {}
    known = list(load_tasks(experiment, root).tasks)
    for path in [root / MULTITASK, *sorted(folder.glob("[!_.]*.py")), *sorted(folder.glob("[!_.]*.smk"))]:
        name, shown = path.stem, path.relative_to(root)
        if not NAME.fullmatch(name):
            raise UserError(f"{shown}: a method's name has only a-z, 0-9 and _, and starts with a letter; rename it")
        if name in methods:
            raise UserError(f"{shown}: there is already a method '{name}' in {methods[name].path}; rename one")
        method = read_external(path, shown) if path.suffix == ".smk" else read_method(path, shown, known)
        methods[name] = replace(method, tasks=claimed_tasks(method.tasks, known))
    check_tasks(methods, known)
    check_sources(methods)
    return {
        name: with_needs(method, root, experiment) if method.answers else method for name, method in methods.items()
    }


def read_method(path: Path, shown: Path, known: Iterable[str]) -> MethodFile:
    """The declarations of a method's Python file; `known` are the tasks of its experiment."""
    literals = read_literals(path, shown)
    return MethodFile(
        path.stem,
        shown,
        literals["TITLE"],
        literals["TASKS"],
        literals.get("WEIGHTS_FROM"),
        tune=tuned_settings(literals, claimed_tasks(literals["TASKS"], known), shown),
        answers=literals.get("ANSWERS", ()),
        trained=literals.get("TRAINED", True),
        samples=literals.get("SAMPLES", False),
    )


def find_judge(root: Path, experiment: str) -> Path | None:
    """The file of an experiment's judge, below `root`; None if it has none."""
    path = Path("mmbench", "experiments", experiment, "judge.py")
    return path if (root / path).is_file() else None


def claimed_tasks(declared: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    """The tasks that a declared `TASKS` stands for: `("*",)` are all of the experiment's."""
    return tuple(known) if declared == EVERY_TASK else declared


def with_needs(method: MethodFile, root: Path, experiment: str) -> MethodFile:
    """A method of some modalities with those that it needs: its declared answers, and the inputs of its tasks.

    Raises:
        UserError: one of its `ANSWERS` is an output of none of its tasks, or a task has none of them as output.
    """
    tasks = load_tasks(experiment, root).tasks
    wanted = {name: tasks[name].want for name in method.tasks}
    known = list(dict.fromkeys(modality for want in wanted.values() for modality in want))
    for answer in method.answers:
        if answer not in known:
            raise UserError(
                f"{method.path}: ANSWERS: '{answer}' is wanted by none of its tasks{near(answer, known)}; "
                f"there are {', '.join(known)}"
            )
    for name, want in wanted.items():
        if not set(want) & set(method.answers):
            raise UserError(
                f"{method.path}: ANSWERS: the task '{name}' wants {', '.join(want)}, of which it answers none; take "
                "the task out of TASKS, or answer one"
            )
    given = [modality for name in method.tasks for modality in tasks[name].given]
    return replace(method, needs=tuple(dict.fromkeys([*method.answers, *given])))


def of_modalities(method: MethodFile, learns: Collection[str], root: Path, experiment: str) -> MethodFile:
    """A method restricted to some modalities: the tasks with only these as inputs, and at least one as output."""
    tasks = load_tasks(experiment, root).tasks
    left = tuple(n for n in method.tasks if set(tasks[n].given) <= set(learns) and set(tasks[n].want) & set(learns))
    wanted = [modality for name in left for modality in tasks[name].want]
    answers = tuple(name for name in method.answers or learns if name in learns and name in wanted)
    return replace(method, tasks=left, answers=answers, needs=tuple(learns))


def check_tasks(methods: Mapping[str, MethodFile], known: list[str]) -> None:
    """Check that every task that a method claims belongs to its experiment."""
    for method in methods.values():
        for task in method.tasks:
            if task not in known:
                raise UserError(
                    f"{method.path}: TASKS: '{task}' is no task of this experiment{near(task, known)}; "
                    f"there are {', '.join(known)}"
                )


def check_sources(methods: Mapping[str, MethodFile]) -> None:
    """Check that every WEIGHTS_FROM names a method that is trained itself."""
    trained = sorted(m.name for m in methods.values() if not m.weights_from and not m.external)
    for method in methods.values():
        source = method.weights_from
        if source is not None and source not in trained:
            raise UserError(
                f"{method.path}: WEIGHTS_FROM: '{source}' is no trained method of this experiment"
                f"{near(source, trained)}; there are {', '.join(trained)}"
            )
