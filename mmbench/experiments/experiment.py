"""What an experiment makes of data: its modalities, its training batches, and the frozen cases of every method.

The module `cases` of an experiment, if there is one, replaces the defaults here: it has a function `training_batch` or
`cases`, with the arguments of the methods of `Experiment`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbench.errors import UserError, near
from mmbench.experiments import Tasks, load_part, load_tasks
from mmbench.files.store import Arrays, load_arrays, sha256_arrays
from mmbench.method import Batch, Spec
from mmbench.modalities import MIRRORED, Modality, Task, class_of, default_kind, kind_of, of_card
from mmbench.runs.records import Cases, checked


@dataclass(frozen=True)
class Case:
    """One test case: a task, the number of items, the inputs, and the truth to score against (both as stored arrays).

    `want` has the outputs if they are fewer than those of the task.
    """

    name: str
    task: str
    count: int
    given: Arrays = field(default_factory=dict)
    truth: Arrays = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    want: tuple[str, ...] | None = None


class Experiment(Tasks):
    """An experiment: its tasks, and how it uses data."""

    def modalities(self, card: Mapping[str, Any]) -> dict[str, Modality]:
        """The modalities of methods, for the data set that `card` describes.

        Raises:
            UserError: the data set lacks a modality that the experiment needs.
        """
        stored, present = of_card(card), {}
        for name in self.known:
            if name in self.made:
                modality = class_of(self.made[name]).from_card(card, tuple(card["size"]))
            else:
                modality = stored.get(name)
            if modality:
                present[name] = modality
            elif not self.optional:
                remedy = class_of(default_kind(name) or "image").lacking
                raise UserError(
                    f"data.name: {card.get('name', 'the data set')} has no {name}, which the experiment {self.name} "
                    f"needs; {remedy}, or take {self.name} out of the profile's experiments"
                )
        return present

    def spec(self, modalities: Mapping[str, Modality], settings: Mapping[str, Any]) -> Spec:
        """The specification of a method that learns these modalities, with the settings of a stage."""
        absent = [name for name in self.known if name not in modalities]
        return Spec(modalities, settings["network"], settings["method_settings"], absent)

    def training_batch(self, batch: Batch, modalities: Mapping[str, Modality], generator: torch.Generator) -> Batch:
        """Every modality of one training batch: those of the data set unchanged, the others made from them.

        Args:
            batch: the modalities of the data set.
            generator: the only source of randomness.
        """
        module = load_part(self.name, "cases")
        if hasattr(module, "training_batch"):
            made: Batch = module.training_batch(batch, modalities, generator)  # type: ignore[union-attr]
            return made
        complete = {}
        for name, modality in modalities.items():
            if name in batch:
                complete[name] = batch[name]
            else:
                complete[name] = kind_of(modality).make(batch[source_of(name, modalities)], generator)
        return complete

    def cases(self, test: Arrays, modalities: Mapping[str, Modality], settings: Mapping[str, Any]) -> list[Case]:
        """The frozen cases, the same for every method and seed: `stored_cases`, unless the module `cases` replaces it.

        Args:
            settings: `evaluate`, and the settings of the experiment.
        """
        module = load_part(self.name, "cases")
        if hasattr(module, "cases"):
            cases: list[Case] = module.cases(test, modalities, settings)  # type: ignore[union-attr]
            return cases
        return stored_cases(self.tasks, test, modalities, settings["evaluate"])


def stored_cases(
    tasks: Mapping[str, Task], test: Arrays, modalities: Mapping[str, Modality], evaluate: Mapping[str, Any]
) -> list[Case]:
    """One case for each task whose inputs are arrays of the test split, over the first items of the split.

    A task that generates an image has `evaluate.samples` items, because generated images are compared as a set; with
    inputs, it has at most as many as the split. Other tasks have `evaluate.reconstructions` items. A case has those
    outputs of its task that the data set has.
    """
    cases = []
    for name, task in tasks.items():
        want = tuple(other for other in task.want if other in modalities)
        if not want or not all(other in modalities and other in test for other in task.given):
            continue
        if not task.given:
            cases.append(Case(name, name, evaluate["samples"], want=want))
            continue
        drawn = any(kind_of(modalities[other]).drawable for other in want)
        first = slice(evaluate["samples" if drawn else "reconstructions"])
        given, truth = ({other: test[other][first] for other in names} for names in (task.given, want))
        cases.append(Case(name, name, len(given[task.given[0]]), given, truth, want=want))
    return cases


def source_of(name: str, modalities: Mapping[str, Modality]) -> str:
    """The name of the modality that another one is made from: the first one of the required kind."""
    return next(other for other, modality in modalities.items() if kind_of(modalities[name]).is_made_from(modality))


def load_experiment(name: str) -> Experiment:
    """The experiment called `name`; UserError lists the experiments if there is none."""
    return Experiment(**vars(load_tasks(name)))


def used_modalities(
    experiment: Experiment, card: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Modality]:
    """The modalities that every stage uses: those of the experiment on these data, less those that `settings` exclude.

    Args:
        settings: the settings of a stage; its key `modalities`, if there is one, lists the only ones to use. A listed
            modality that the data set lacks is left out (see `left_out`).

    Raises:
        UserError: a listed modality does not exist, the experiment's first one is missing, or no second one is left.
    """
    available = experiment.modalities(card)
    if "modalities" not in settings:
        return available
    chosen, known = settings["modalities"], experiment.known
    for name in chosen:
        if name not in known:
            raise UserError(f"modalities: '{name}' does not exist{near(name, known)}; there are {', '.join(known)}")
    used = {name: modality for name, modality in available.items() if name in chosen}
    if known[0] not in used or len(used) < 2:
        held = f"{card.get('name', 'the data set')} has {', '.join(available)}"
        raise UserError(f"modalities: {', '.join(chosen)}: name {known[0]} and another that the data set has; {held}")
    return used


def left_out(experiment: Experiment, used: Collection[str], settings: Mapping[str, Any]) -> list[str]:
    """The modalities that `settings` or the experiment name and the data set lacks."""
    return [name for name in settings.get("modalities", experiment.optional) if name not in used]


def asked(experiment: Experiment, case: Case, answers: Collection[str] | None = None) -> Task:
    """The task of a case for one method: its outputs are those of the case that the method `answers`.

    `want` is empty if the method answers no output of the case.
    """
    task = experiment.tasks[case.task]
    want = task.want if case.want is None else case.want
    return replace(task, want=tuple(name for name in want if answers is None or name in answers))


def whole_items(arrays: Arrays, modalities: Mapping[str, Modality], where: str) -> Arrays:
    """The items of a split that have all the modalities; only these can be evaluated.

    Prints the number of other items, if there are any.

    Args:
        where: the split and the data, for messages.

    Raises:
        UserError: every item lacks a modality.
    """
    gone = {name: kind_of(m).absent(arrays[name]) for name, m in modalities.items() if name in arrays}
    out = np.logical_or.reduce(list(gone.values()))
    if not out.any():
        return arrays
    which = ", ".join(name for name, absent in gone.items() if absent.any())
    if out.all():
        raise UserError(f"{where}: no item has {which}; take a data set with some that have, or leave {which} out")
    print(f"{where}: {int(out.sum())} of {len(out)} items have no {which}, and are left out", flush=True)
    return {name: array[~out] for name, array in arrays.items()}


def to_batch(
    arrays: Mapping[str, np.ndarray | torch.Tensor],
    modalities: Mapping[str, Modality],
    device: torch.device | str = "cpu",
) -> Batch:
    """Stored arrays as tensors for a network, each by its kind; other arrays stay as they are.

    `<modality>_mirrored` is of the kind of its modality.
    """
    batch = {}
    for name, array in arrays.items():
        x, modality = torch.as_tensor(array, device=device), modalities.get(name.removesuffix(MIRRORED))
        batch[name] = kind_of(modality).to_batch(x) if modality else x
    return batch


def to_stored(answer: Batch, modalities: Mapping[str, Modality], count: int) -> Arrays:
    """A method's answer of `count` items as predictions.npz stores it, with the same checks as a user's answers.

    Raises:
        UserError: an answer has another type or shape than its kind, or an invalid value.
    """
    arrays = {}
    for name, value in answer.items():
        kind, where = kind_of(modalities[name]), f"the prediction of '{name}'"
        if fault := kind.tensor_fault(value, count):
            raise UserError(f"{where} {fault}")
        arrays[name] = kind.check_answer(where, kind.to_stored(value), count)
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
        stored = {
            key.removeprefix(f"{entry['name']}/"): a for key, a in arrays.items() if key.startswith(f"{entry['name']}/")
        }
        parts: dict[str, Arrays] = {"given": {}, "truth": {}}
        for key, array in stored.items():
            part, _, modality = key.partition("/")
            if part in parts:
                parts[part][modality] = array
        if sha256_arrays(stored) != entry["sha256"] or any(
            array.shape[:1] != (entry["count"],) for array in stored.values()
        ):
            raise UserError(f"{path}: case '{entry['name']}' is not in cases.npz as it is described; {remedy}")
        detail = {k: v for k, v in entry.items() if k not in ("name", "task", "count", "given", "want", "sha256")}
        want = tuple(entry["want"])
        cases.append(Case(entry["name"], entry["task"], entry["count"], parts["given"], parts["truth"], detail, want))
    return cases


def check_cases(
    cases: Sequence[Case], experiment: Experiment, modalities: Mapping[str, Modality], folder: Path
) -> None:
    """Check that the cases of `folder` belong to an experiment, and to data with these modalities.

    Raises:
        UserError: a case does not.
    """
    for case in cases:
        where = f"{folder / 'cases.json'}: case '{case.name}'"
        if case.task not in experiment.tasks:
            known = f"there are {', '.join(experiment.tasks)}"
            raise UserError(
                f"{where}: its task '{case.task}' is not one of this experiment's; {known}; name its folder"
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
