"""A method of an experiment, built for the data that it is trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmbench.config.checkout import PACKAGE, ROOT
from mmbench.config.discovery import MULTITASK, claimed_tasks, read_literals
from mmbench.errors import UserError, near
from mmbench.experiments.experiment import Experiment, load_experiment, used_modalities
from mmbench.method import Method, load_method

#: The method under study, which every experiment has.
MULTITASK_FILE = PACKAGE.parent / MULTITASK


def build_method(settings: Mapping[str, Any], file: Path, card: Mapping[str, Any]) -> tuple[Method, Experiment]:
    """The method of `file` with `settings`, for the experiment that they name and the data that `card` describes.

    Raises:
        UserError: the data lack a modality that the method needs.
    """
    experiment = load_experiment(settings["experiment"])
    modalities = used_modalities(experiment, card, settings)
    check_needs(file, experiment, modalities)
    return load_method(file, experiment.spec(modalities, settings)), experiment


def check_needs(file: Path, experiment: Experiment, modalities: Collection[str]) -> None:
    """Check that the data have the modalities that a method declares as its answers, and the inputs of its tasks.

    Raises:
        UserError: a modality is missing.
    """
    literals = read_literals(file)
    answers = literals.get("ANSWERS", ())
    claimed = claimed_tasks(literals["TASKS"], experiment.tasks)
    given = {name for task in claimed for name in experiment.tasks[task].given} & set(experiment.known)
    for name in sorted({*answers, *given} if answers else ()):
        if name not in modalities:
            raise UserError(
                f"{file}: needs the modality '{name}', which is not among {', '.join(modalities)}; leave the method "
                "out by the profile's `methods`, or take a data set that has it"
            )


def method_file(experiment: str, method: str, record: Path) -> Path:
    """The file of a method or variant. It is code that will be run, so only files of this checkout count.

    Raises:
        UserError: this checkout has no method of that name.
    """
    name = method.partition("@")[0]
    if name == MULTITASK.stem:
        return MULTITASK_FILE
    known = {path.stem: path for path in (ROOT / "baselines" / experiment).glob("[!_]*.py")}
    if name not in known:
        raise UserError(
            f"{record}: settings.method: '{name}' is no method of {experiment} here{near(name, known)}; there are "
            f"{', '.join(sorted([MULTITASK.stem, *known]))}"
        )
    return known[name]
