"""The interface of an experiment's scores, the module `scores` with `score(answered, tools)`, and its tools."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from mmbench.config.extractors import DEFAULT
from mmbench.errors import UserError
from mmbench.experiments import load_part
from mmbench.files.store import Arrays, sha256_file
from mmbench.frozen.cache import Network, OutputCache
from mmbench.frozen.embedders import Embedder, Standardised, load_standardised
from mmbench.frozen.features import Extractor, Reference, load_extractors, read_reference
from mmbench.frozen.judges import Judge
from mmbench.frozen.lpips import Net, load_lpips, weights_path
from mmbench.method import Task


class Question(Protocol):
    """The interface of a case for the scores (`mmbench.experiments.experiment.Case` has it)."""

    @property
    def name(self) -> str:
        """The name, unique in the experiment."""

    @property
    def task(self) -> str:
        """The name of the task."""

    @property
    def count(self) -> int:
        """Number of items."""

    @property
    def given(self) -> Arrays:
        """The inputs of the method, as stored."""

    @property
    def truth(self) -> Arrays:
        """The truth to score against, as stored; empty for generation."""

    @property
    def detail(self) -> Mapping[str, Any]:
        """What distinguishes this case from others, e.g. its masked share."""


Answered = Sequence[tuple[Question, Arrays]]


class Scores(Protocol):
    """The interface of an experiment's module `scores`.

    If real data have scores too, the module has functions with the names and arguments of `score_real` and
    `score_floor` below, without the first argument.
    """

    def score(self, answered: Answered, tools: Tools) -> Scored:
        """Score a method's answers: for each case its arrays by modality, already checked."""


@dataclass(frozen=True)
class Measure:
    """The name of a metric, its better direction, and the network that it is measured with."""

    name: str
    higher_is_better: bool
    extractor: str | None = None
    weights_sha256: str | None = None


@dataclass
class Scored:
    """Collected scores: records for metrics.json, and one row (case, item, metric, value) per image and metric."""

    metrics: list[dict[str, Any]] = field(default_factory=list)
    items: list[tuple[str, int, str, float]] = field(default_factory=list)

    def add(self, case: Question, measure: Measure, value: float, n: int, detail: Mapping[str, Any]) -> None:
        """Add the value of one metric for one case, measured on `n` items."""
        self.metrics.append(
            {
                "name": measure.name,
                "case": case.name,
                **case.detail,
                "value": value,
                "n": n,
                "higher_is_better": measure.higher_is_better,
                "extractor": measure.extractor,
                "weights_sha256": measure.weights_sha256,
                "detail": dict(detail),
            }
        )

    def add_each(self, case: Question, measure: Measure, values: Tensor, detail: Mapping[str, Any]) -> None:
        """Add a metric with one value per item (n,); the case's value is their mean."""
        numbers = values.double().cpu()
        self.items += [(case.name, i, measure.name, value) for i, value in enumerate(numbers.tolist())]
        self.add(case, measure, float(numbers.mean()), len(numbers), {"over": "mean of the items", **detail})


class Tools:
    """Networks and reference features, each read when it is first needed and then kept.

    Args:
        weights: folder that `python -m mmbench.stages.lpips` wrote.
        reference: the npz that `python -m mmbench.stages.reference` wrote, or its content.
        judge: the experiment's judge, if it has one.
        data: folder of the data; needed if images are embedded.
        cache: folder for outputs of the networks, which are read instead of computed again; None for no cache.
        features: the extractors for comparing images, as `evaluate.features` lists them.
    """

    def __init__(
        self,
        weights: Path,
        reference: Path | Reference,
        device: torch.device,
        judge: Judge | None = None,
        card: Mapping[str, Any] | None = None,
        data: Path | None = None,
        cache: Path | None = None,
        features: Sequence[str] = DEFAULT,
    ) -> None:
        self._entries = tuple(features)
        self.weights, self._reference, self.device = weights, reference, device
        self._judge, self.card, self._data = judge, card or {}, data
        self._lpips: dict[Net, tuple[nn.Module, str]] = {}
        self.outputs = OutputCache(cache)

    def lpips(self, net: Net) -> tuple[nn.Module, str]:
        """LPIPS with the trunk `net`, and the hash of its weights."""
        if net not in self._lpips:
            module = load_lpips(net, self.weights, self.device)
            self._lpips[net] = module, sha256_file(weights_path(net, self.weights))
        return self._lpips[net]

    @property
    def judge(self) -> Judge:
        """The experiment's judge; UserError if none was given."""
        if self._judge is None:
            raise UserError(
                "--judge: not given, but this experiment is scored by a judge; train the file judge.py of the "
                "experiment's folder with `python -m mmbench.stages.train` and give the folder"
            )
        return self._judge

    @cached_property
    def extractors(self) -> Sequence[Extractor]:
        """The extractors for metrics that compare images as sets, that of the headlines first."""
        return load_extractors(self.weights, self.device, self._entries)

    @cached_property
    def embedder(self) -> Standardised:
        """The embedder of the data; UserError if they have no embeddings."""
        if self._data is None:
            raise UserError("--data: not given, but this experiment is scored by the extractor of its embeddings")
        return load_standardised(self.card, self._data, self.weights, self.device)

    @cached_property
    def reference(self) -> Reference:
        """Features of the real images."""
        given = self._reference
        return given if isinstance(given, Reference) else read_reference(given, self.extractors)

    def network(self, name: str, weights_sha256: str, *code: str, task: str = "") -> Network:
        """A network on this device, as the cache of outputs identifies it."""
        return Network(name, weights_sha256, self.device.type, code, task)

    def features(self, extractor: Extractor, images: np.ndarray) -> np.ndarray:
        """Features, float32 (n, d), of images, uint8 (n, 3, h, w)."""
        return self._vectors(extractor, images)

    def embedded(self, images: np.ndarray) -> np.ndarray:
        """Standardised embeddings, float32 (n, d), of images, uint8 (n, 3, h, w), by the embedder of the data."""
        return self.embedder.scaling(self._vectors(self.embedder.embedder, images))

    def judged(self, task: Task, images: np.ndarray) -> Arrays:
        """The judge's answers to a task, by output modality, given images, uint8 (n, 3, h, w)."""
        judge = self.judge
        code = inspect.getfile(Judge), inspect.getfile(type(judge.method))
        asked = " ".join([task.name, *task.want])
        network = self.network(judge.name, judge.weights_sha256, *code, task=asked)
        given = {"image": images}
        return self.outputs(network, given, lambda: judge.answer(task, given))

    def _vectors(self, embedder: Embedder, images: np.ndarray) -> np.ndarray:
        code = {inspect.getfile(type(embedder)), getattr(embedder, "code", "")} - {""}
        network = self.network(embedder.name, embedder.weights_sha256, *sorted(code))
        return self.outputs(network, {"image": images}, lambda: {"vectors": embedder(images)})["vectors"]


def load_scores(experiment: str) -> Scores:
    """The scores of an experiment; UserError if it has none."""
    module = load_part(experiment, "scores")
    if module is None:
        raise UserError(f"experiment '{experiment}' has no scores; add mmbench/experiments/{experiment}/scores.py")
    return cast(Scores, module)


def score_real(experiment: str, real: Arrays, tools: Tools) -> Scored:
    """An experiment's scores of real data, which no method can be expected to exceed; empty without such scores.

    Args:
        experiment: the experiment; its module may have a function `score_real(real, tools)`.
        real: the arrays of the split that represents the real distribution.
    """
    score = getattr(load_scores(experiment), "score_real", None)
    return score(real, tools) if score else Scored()


def score_floor(experiment: str, real: Arrays, other: Arrays, tools: Tools) -> Scored:
    """An experiment's own scores of other real items, for comparison with generated ones; empty without such scores.

    Args:
        experiment: the experiment; its module may have a function `score_floor(real, other, tools)`.
        real: the arrays of the split that represents the real distribution.
        other: as many items of another split as a method generates.
        tools: the tools of scoring, without `reference`.
    """
    score = getattr(load_scores(experiment), "score_floor", None)
    return score(real, other, tools) if score else Scored()
