"""The candidates of sampling for each task, and how many of them can be tried on the validation split.

The tasks of an experiment state candidates (`choice` in config/experiments/<name>.yaml), the same for every method.
Settings that the configuration fixes (`sample.sampler`, a method's `guidance`) are not chosen.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbench.config.discovery import MethodFile
from mmbench.config.schema import Candidate, Choice

#: The largest share of a training run's operations that all its choices may take.
SHARE = 0.1
#: Evaluations of the network that equal one item of one training step: forward, and twice that backward.
TRAINING = 3
#: Evaluations that equal the scoring of one answer. With the network of the profile `quick`, at 32 x 32, the features
#: of an image take 3.4 evaluations and LPIPS by both networks 7.5; with a larger network they take fewer.
SCORING = 10
#: The candidates of tasks that state none.
PLAIN = Candidate(sampler="dpm++sde")
#: The fields that a candidate may set.
FIELDS = ("sampler", "nfe", "guidance", "commit")

#: Keyword arguments of `mmbench.method.Sampling`.
Drawing = Mapping[str, Any]


@dataclass(frozen=True)
class Trials:
    """The candidates that are tried for one task.

    Attributes:
        task: the task of the validation cases.
        also: tasks that use the same choice.
        by: the metric that decides, without its extractor in brackets.
        drawings: the candidates, at least two.
        items: number of items of each case.
    """

    task: str
    also: tuple[str, ...]
    by: str
    drawings: tuple[Drawing, ...]
    items: int


def choices(settings: Mapping[str, Any]) -> dict[str, Choice]:
    """The choices for each task in a stage's settings."""
    return {task: Choice.model_validate(entry) for task, entry in settings.get("choice", {}).items()}


def drawings(
    candidates: Sequence[Candidate], sample: Mapping[str, Any], fixed: Collection[str], heeds: Collection[str]
) -> list[Drawing]:
    """The candidates of a task as keyword arguments of `Sampling`, each once.

    Args:
        sample: the section `sample`: `nfe` is the cap; `sampler` and `commit` hold for all candidates unless None.
        fixed: settings of the method that the configuration fixes; if it has `guidance`, that is not changed.
        heeds: the fields of `FIELDS` that the method's answers depend on; the others are the first candidate's.
    """
    different: list[Drawing] = []
    for candidate in candidates:
        nfe = max(1, round(candidate.evaluations * sample["nfe"]))
        guided = "guidance" in heeds and "guidance" not in fixed
        guidance = (candidate.guidance if nfe > 1 else 0.0) if guided else None  # it takes two evaluations per step
        commit = candidate.commit if sample.get("commit") is None else sample["commit"]
        commit = commit if "commit" in heeds and commit != "never" else None
        sampler = sample.get("sampler") or candidate.sampler
        drawing = {"sampler": sampler, "nfe": nfe, "guidance": guidance, "commit": commit}
        drawing |= {name: different[0][name] for name in FIELDS if different and name not in heeds}
        if drawing not in different:
            different.append(drawing)
    return different


def first_drawing(settings: Mapping[str, Any], task: str, heeds: Collection[str]) -> Drawing:
    """The sampling of a task without a choice.

    Args:
        settings: `choice`, `sample` and `method_settings`.
        heeds: as for `drawings`.
    """
    entries = [choice for name, choice in choices(settings).items() if task in (name, *choice.also)]
    candidates = entries[0].candidates[:1] if entries else [PLAIN]
    return drawings(candidates, settings["sample"], settings["method_settings"], heeds)[0]


def affordable(
    candidates: Sequence[Drawing], evaluations: float, cases: int, least: int, most: int
) -> tuple[tuple[Drawing, ...], int]:
    """The first candidates that can be distinguished within a number of evaluations, and the items of each case.

    Args:
        cases: number of cases of the task, which every candidate answers.
        least: the smallest number of items with which the metric can distinguish candidates.
        most: the available number of items.
    """
    for count in range(len(candidates), 1, -1):
        tried = tuple(candidates[:count])
        items = min(most, int(evaluations // (cases * sum(drawing["nfe"] + SCORING for drawing in tried))))
        if items >= least:
            return tried, items
    return tuple(candidates[:1]), 0


def plan_trials(
    settings: Mapping[str, Any], cases: Mapping[str, int], heeds: Mapping[str, Collection[str]], most: int
) -> list[Trials]:
    """The trials of a method, for each task that it samples and that has at least two candidates.

    Args:
        settings: `choice`, `sample`, `method_settings` and `train`.
        cases: number of cases of each task that the method answers.
        heeds: as for `drawings`, by task; empty for a task that is answered without sampling.
        most: number of items of the validation split.
    """
    sampled = {task: choice for task, choice in choices(settings).items() if cases.get(task) and heeds[task]}
    train = settings["train"]
    evaluations = SHARE * TRAINING * train["steps"] * train["batch_size"] / max(1, len(sampled))
    planned = []
    for task, choice in sampled.items():
        distinct = drawings(choice.candidates, settings["sample"], settings["method_settings"], heeds[task])
        tried, items = affordable(distinct, evaluations, cases[task], choice.least, most)
        if items:
            planned.append(Trials(task, tuple(choice.also), choice.by, tried, items))
    return planned


def possible_trials(method: MethodFile, settings: Mapping[str, Any], validation: int | None) -> list[Trials]:
    """The largest trials of a method by the declarations of its file, if each task had one case.

    Args:
        validation: items of the validation split; None if the number is not known before they are read.
    """
    if not method.samples:
        return []
    most = sys.maxsize if validation is None else validation
    return plan_trials(settings, dict.fromkeys(method.tasks, 1), dict.fromkeys(method.tasks, FIELDS), most)


def chooses(method: MethodFile, settings: Mapping[str, Any], validation: int | None) -> bool:
    """Whether a method has anything to choose; arguments as for `possible_trials`."""
    undecided = set(method.tune) - set(settings["method_settings"])
    return bool(undecided or possible_trials(method, settings, validation))
