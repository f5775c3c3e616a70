"""What an experiment asks: its modalities and tasks, how it looks at the data, and the frozen cases for every method.

The module `tasks` of an experiment's folder defines `TASKS`, `modalities(card)`, `training_batch(batch, generator)` and
`cases(test, settings)`; its scores are in the module `scores` beside it.
One that can do with fewer modalities than it knows also lists those in `MODALITIES`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import numpy as np
import torch

from mmbench.errors import UserError, near
from mmbench.experiments import load_part
from mmbench.files.store import Arrays, load_arrays, sha256_arrays
from mmbench.method import Batch, Kind, Modality, Spec, Task
from mmbench.runs.records import Cases, checked


@dataclass(frozen=True)
class Case:
    """One question: a task, how many items, what is given, and the truth to score against (both as stored arrays).

    `want` is what is wanted, where that is not all that the task wants.
    """

    name: str
    task: str
    count: int
    given: Arrays = field(default_factory=dict)
    truth: Arrays = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    want: tuple[str, ...] | None = None


class Experiment(Protocol):
    """What a module of this package provides."""

    TASKS: Mapping[str, Task]

    def modalities(self, card: Mapping[str, Any]) -> dict[str, Modality]:
        """The modalities that methods see, for the data set that `card` describes."""

    def training_batch(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Every modality of one training batch, from the data set's own."""

    def cases(self, test: Arrays, settings: Mapping[str, Any]) -> list[Case]:
        """The frozen questions, the same for every method and seed."""


def load_experiment(name: str) -> Experiment:
    """The experiment module called `name`; UserError lists those there are."""
    return cast(Experiment, load_part(name, "tasks"))


def used_modalities(
    experiment: Experiment, card: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Modality]:
    """The modalities that every stage works with: the experiment's on these data, less what `settings` leave out.

    Args:
        experiment: the module.
        card: what the data set says of itself.
        settings: a stage's; its key `modalities`, if there is one, lists the only ones to use. One that the data set
            lacks is left out (see `left_out`).

    Raises:
        UserError: a listed modality does not exist, or the image or any other is missing.
    """
    found = experiment.modalities(card)
    if "modalities" not in settings:
        return found
    chosen, known = settings["modalities"], get_args(Kind)
    for name in chosen:
        if name not in known:
            raise UserError(f"modalities: '{name}' does not exist{near(name, known)}; there are {', '.join(known)}")
    used = {name: modality for name, modality in found.items() if name in chosen}
    if "image" not in used or len(used) < 2:
        there = f"{card.get('name', 'the data set')} has {', '.join(found)}"
        raise UserError(f"modalities: {', '.join(chosen)}: name image and another that the data set has; {there}")
    return used


def left_out(experiment: Experiment, used: Collection[str], settings: Mapping[str, Any]) -> list[str]:
    """The modalities that were asked for, by `settings` or the experiment itself, and that the data set lacks."""
    listed = settings.get("modalities", getattr(experiment, "MODALITIES", ()))
    return [name for name in listed if name not in used]


def asked(experiment: Experiment, case: Case, answers: Collection[str] | None = None) -> Task:
    """What a case asks of a method: its task, wanting what the case wants and, of that, what the method `answers`.

    `want` is empty where there is nothing in the case that the method answers.
    """
    task = experiment.TASKS[case.task]
    want = task.want if case.want is None else case.want
    return replace(task, want=tuple(name for name in want if answers is None or name in answers))


def to_batch(arrays: Mapping[str, np.ndarray | torch.Tensor], device: torch.device | str = "cpu") -> Batch:
    """Stored arrays as tensors for a network: colours to [-1, 1], the rest by its meaning.

    `masked_image` has its colours scaled, its hidden pixels set to 0 and its last channel 0 or 1.
    """
    batch = {}
    for name, array in arrays.items():
        x = torch.as_tensor(array, device=device)
        if name == "image":
            x = to_unit(x)
        elif name == "masked_image":
            seen = (x[:, -1:] > 0).float()
            x = torch.cat([to_unit(x[:, :-1]) * seen, seen], dim=1)
        elif name in ("mask", "label"):
            x = x.long()
        batch[name] = x
    return batch


def to_unit(x: torch.Tensor) -> torch.Tensor:
    """uint8 colours to float in [-1, 1]."""
    return x.float() / 127.5 - 1


def to_uint8(x: torch.Tensor) -> np.ndarray:
    """Colours in [-1, 1] to uint8, rounded; values outside are clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def to_stored(answer: Batch, spec: Spec) -> Arrays:
    """A method's answer as stored arrays: images and masks as uint8, everything else as it is.

    Raises:
        UserError: a value is not finite.
    """
    arrays = {}
    for name, value in answer.items():
        kind = spec.modalities[name].kind
        if not torch.isfinite(value).all():
            raise UserError(
                f"the prediction of '{name}' is not finite; train the method again with a lower learning rate"
            )
        arrays[name] = to_uint8(value) if kind == "image" else value.cpu().numpy()
        if kind == "mask":
            arrays[name] = arrays[name].astype(np.uint8)
    return arrays


def read_cases(folder: str | Path) -> list[Case]:
    """The cases that `python -m mmbench.stages.cases` wrote to `folder`.

    Raises:
        UserError: a file is missing or broken, or the arrays are not those that cases.json describes.
    """
    path, remedy = Path(folder) / "cases.json", "run mmbench.stages.cases again"
    arrays, described = load_arrays(Path(folder) / "cases.npz"), checked(path, Cases, remedy)["cases"]
    cases = []
    for entry in described:
        own = {
            key.removeprefix(f"{entry['name']}/"): a for key, a in arrays.items() if key.startswith(f"{entry['name']}/")
        }
        parts: dict[str, Arrays] = {"given": {}, "truth": {}}
        for key, array in own.items():
            part, _, modality = key.partition("/")
            if part in parts:
                parts[part][modality] = array
        if sha256_arrays(own) != entry["sha256"] or any(array.shape[:1] != (entry["count"],) for array in own.values()):
            raise UserError(f"{path}: case '{entry['name']}' is not in cases.npz as it is described; {remedy}")
        detail = {k: v for k, v in entry.items() if k not in ("name", "task", "count", "given", "want", "sha256")}
        want = tuple(entry["want"])
        cases.append(Case(entry["name"], entry["task"], entry["count"], parts["given"], parts["truth"], detail, want))
    return cases


def check_cases(
    cases: Sequence[Case], experiment: Experiment, modalities: Mapping[str, Modality], folder: Path
) -> None:
    """Check that the cases of `folder` are of an experiment, and of data with these modalities.

    Raises:
        UserError: one is not.
    """
    for case in cases:
        where = f"{folder / 'cases.json'}: case '{case.name}'"
        if case.task not in experiment.TASKS:
            there = f"there are {', '.join(experiment.TASKS)}"
            raise UserError(
                f"{where}: its task '{case.task}' is not one of this experiment's; {there}; name its folder"
            )
        task = asked(experiment, case)
        for name in task.want:
            if name not in modalities:
                raise UserError(f"{where}: the data have no '{name}'; name the folder of the data it was made of")
        if missing := [name for name in task.given if name not in case.given]:
            raise UserError(f"{where}: '{missing[0]}' is not given; run mmbench.stages.cases again")
        for name, array in [*case.given.items(), *case.truth.items()]:
            modality = modalities.get(name.removeprefix("noised_"))
            if modality and array.shape[1:] != modality.shape:
                raise UserError(
                    f"{where}: an item's {name} is {array.shape[1:]}, in the data {modality.shape}; name the folder of "
                    "the data it was made of"
                )
