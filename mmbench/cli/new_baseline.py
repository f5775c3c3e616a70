"""`mmbench new-baseline`: write a file with a working baseline, and say where to edit it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmbench import experiments
from mmbench.config.check import TOP
from mmbench.config.checkout import find_checkout
from mmbench.config.configuration import Config
from mmbench.config.discovery import NAME, find_in
from mmbench.config.literals import data_modalities
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError, near
from mmbench.files.atomic import write_text
from mmbench.modalities import class_of

TEMPLATES = PackageLoader("mmbench.cli")
#: The folders beside those of the methods in an experiment's results.
TAKEN = ("judge", "log")


@dataclass(frozen=True)
class Start:
    """The task of a new baseline.

    Attributes:
        task, given, want: the names of the task, of its input and of the output that the baseline answers.
        answers: whether the task has further outputs.
    """

    task: str
    given: str
    want: str
    answers: bool


def known() -> list[str]:
    """The names of the experiments, for completion in a shell."""
    return experiments.names()


def start_of(experiment: str, root: Path) -> Start:
    """The first task whose only input enters a network as a map; UserError if there is no such experiment or task."""
    if experiment not in (known := experiments.names(root)):
        raise UserError(f"{experiment}: no experiment{near(experiment, known)}; there are {', '.join(known)}")
    tasks = experiments.load_tasks(experiment, root)
    data = Config(read_yaml(root / TOP, root), root).profile.data.name
    kinds = tasks.kinds(data_modalities(root, data) or {})
    for name, task in tasks.tasks.items():
        if len(task.given) == 1 and task.given[0] in kinds and class_of(kinds[task.given[0]]).spatial:
            return Start(name, task.given[0], task.want[0], len(task.want) > 1)
    raise UserError(f"{experiment}: no task has a single image as input; copy a file of baselines/ that is similar")


def render(experiment: str, name: str, start: Start) -> str:
    """The text of a new baseline."""
    environment = Environment(
        loader=TEMPLATES, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.get_template("baseline.py.j2")
    return template.render(experiment=experiment, title=name.replace("_", " ").capitalize(), **asdict(start))


def write_baseline(root: Path, experiment: str, name: str) -> Path:
    """Write a baseline to baselines/<experiment>/<name>.py of a checkout; returns the path.

    Raises:
        UserError: there is no such experiment, or the name is not allowed or taken.
    """
    start = start_of(experiment, root)
    if not NAME.fullmatch(name):
        raise UserError(f"{name}: write a name of a-z, 0-9 and _ that starts with a letter, like my_idea")
    known = find_in(root, experiment)
    if name in known or name in TAKEN:
        where = known[name].path if name in known else "the results"
        raise UserError(f"{name}: is taken by {where}; choose another name")
    path = root / "baselines" / experiment / f"{name}.py"
    write_text(path, render(experiment, name, start))
    assert name in find_in(root, experiment)
    return path


def left_out(root: Path, experiment: str, name: str) -> str | None:
    """The file of the configured profile, if it does not run this method; else None."""
    config = Config(read_yaml(root / TOP, root), root)
    used = experiment in config.experiments and name in config.chosen(experiment, [*find_in(root, experiment)])
    return None if used else config.file


def command(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT", help="The experiment: a folder of mmbench/experiments.", autocompletion=known
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new file: a-z, 0-9 and _.")],
) -> None:
    """Write a working baseline for you to edit: one file, which needs no registration.

    The workflow trains, scores and tests the new baseline like all others. It passes their tests unchanged.

    Examples:

      mmbench new-baseline masking my_idea
      mmbench run masking --profile smoke
      mmbench results results/smoke
    """
    root = find_checkout()
    path = write_baseline(root, experiment, name)
    shown = path.relative_to(root)
    print(f"written: {shown} (in {root})\n")
    if file := left_out(root, experiment, name):
        print(f"first    add {experiment}/{name} to `methods` in {file}, which lists the methods that it runs")
    print(f"edit     {shown}: its `loss` first")
    if (root / "tests" / "test_baselines.py").is_file():
        print(f"test     python -m pytest tests/test_baselines.py -k {name}")
    print(f"try      mmbench run {experiment} --profile smoke   (it shows only whether the baseline runs)")
    print(f"run      mmbench run {experiment}")
    print("see      mmbench results")
