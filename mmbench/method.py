"""The interface that every method implements: the multitask model, each baseline, and a method that a user adds."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.config.check import settings_for
from mmbench.config.signatures import method_signature
from mmbench.errors import UserError
from mmbench.modalities import Modality, Task, kind_of

__all__ = ["Batch", "Method", "Modality", "Noise", "Sampling", "Spec", "Task", "available", "load_method"]

Batch = dict[str, Tensor]


def available(modality: Modality, values: Tensor) -> Tensor:
    """Which items of a training batch have a value of a modality, bool (n,).

    A missing class map is all 255, a missing label negative, a missing vector all NaN; an image is never missing.

    Args:
        values: the tensor (n, ...) that a batch holds for it.
    """
    return kind_of(modality).available(values)


@dataclass(frozen=True)
class Spec:
    """What a method is built for: the modalities of an experiment and the shared settings.

    `absent` names modalities that the experiment has and the data set lacks: settings may still name them.
    """

    modalities: Mapping[str, Modality]
    network: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    absent: Collection[str] = ()


@dataclass(frozen=True)
class Sampling:
    """How a method samples.

    Attributes:
        sampler: the sampler's name, see `mmbench.models.diffusion.sampler`.
        nfe: evaluations of the network for each item, from 1; guidance takes two evaluations per step.
        guidance: strength of guidance, from 0 (none); None uses the method's own setting.
        commit: share of the evaluations, 0 to less than 1, after which a method that generates an image together with
            other modalities treats those as known; None means never.
    """

    sampler: str = "ddim"
    nfe: int = 50
    guidance: float | None = None
    commit: float | None = None


class Noise:
    """The source of all randomness of `predict`: every item has its own generator, whichever batch it is in.

    Args:
        seed: the seed of all items, from 0; the benchmark uses 0 for every method, training run and case.
        first: index of the batch's first answer in its case.
        draws: number of answers to each item of the case, which follow each other; the noise of an answer depends only
            on its item and its number.
    """

    def __init__(self, seed: int = 0, first: int = 0, draws: int = 1) -> None:
        self.seed, self.first, self.draws = seed, first, draws
        self._generators: list[torch.Generator] = []

    def generators(self, count: int) -> list[torch.Generator]:
        """The generators (CPU) of the batch's first `count` answers, each in the state after its last use."""
        for place in range(self.first + len(self._generators), self.first + count):
            item, draw = divmod(place, self.draws)
            digest = hashlib.sha256(f"noise/{self.seed}/{draw}".encode()).digest()
            # A generator uses 32 bits of its seed: consecutive numbers never collide there, and hashes could.
            seed = (int.from_bytes(digest[:4], "big") + item) % 2**32
            self._generators.append(torch.Generator().manual_seed(seed))
        return self._generators[:count]

    def normal(self, *size: int) -> Tensor:
        """Standard normal noise (n, ...), float32 on the CPU, so that devices agree."""
        noise = torch.empty(size)
        for item, generator in zip(noise, self.generators(len(noise)), strict=True):
            item.normal_(generator=generator)
        return noise


class Method(nn.Module, ABC):
    """One way of doing an experiment's tasks. A trained method consists of its parameters and buffers alone.

    A subclass named `Method` in `baselines/<experiment>/<name>.py` is found by its path. Its settings are the
    keyword arguments of `__init__` after `spec`, so a misspelt key in the configuration is an error.
    """

    #: The network whose evaluations are counted as NFE; a method without one does not set it. It has no default here,
    #: because a class attribute would hide the module that an instance registers under this name.
    backbone: nn.Module
    #: Whether `loss` accepts items that lack a modality (see `available`); if not, the setting `labelled` is refused.
    handles_missing = False

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    def heeds(self, task: Task) -> frozenset[str]:
        """Which of `Sampling`'s fields the answers to a task depend on; none if the method answers in one pass."""
        return frozenset()

    def prepare(self, train: Batch) -> None:
        """Read the whole training set once, before the first step; what is learnt from it is kept in buffers."""

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalar loss terms of one training batch; the term `loss` is minimised, the others are logged.

        If a method has a `backbone` and two or more other terms can be differentiated, the cosines between their
        gradients are recorded during training. Several processes may each see a part of the batch, so this function
        must not change a buffer.

        Args:
            batch: every modality of the experiment, on the method's device.
            generator: the only source of randomness that may be used (CPU), so that training can be resumed exactly.
        """
        raise NotImplementedError(f"{type(self).__module__} is not trained: set TRAINED = False in its file")

    def backward(self, terms: Mapping[str, Tensor]) -> None:
        """Set the gradients of the parameters, from the terms of `loss`."""
        terms["loss"].backward()

    @abstractmethod
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Produce `task.want` for `count` items.

        Args:
            task: which modalities are inputs and which are outputs.
            given: the input modalities, `count` items each; empty for generation from noise.
            sampling: sampler and NFE; methods that answer in one pass ignore it.
            generator: the only source of randomness that may be used; an item's noise is the same for every method.

        Returns:
            A tensor for each output modality, in the form of its kind: images (n, c, h, w) in [-1, 1]; class maps
            (n, h, w) int64; labels as class probabilities (n, classes); vectors (n, d).
        """


def load_method(path: str | Path, spec: Spec) -> Method:
    """Build the class `Method` of the file at `path` for `spec`.

    Raises:
        UserError: the file is missing, has no class `Method`, or does not know one of the settings or its value.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such method file; `ls baselines/*/` shows the methods there are")
    name = "mmbench_method_" + "_".join(path.with_suffix("").parts[-3:])
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    beside = [] if path.resolve().is_relative_to(Path(__file__).parent) else [str(path.parent)]
    sys.path += beside  # so that a baseline can import its _helper.py; last, so that it hides no other module
    try:
        module_spec.loader.exec_module(module)
    finally:
        for folder in beside:
            sys.path.remove(folder)
    cls = getattr(module, "Method", None)
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise UserError(f"{path}: defines no class Method(mmbench.method.Method); add one (see CONTRIBUTING.md)")
    settings = settings_for(method_signature(path, Path(__file__).parents[1]), spec.settings, str(path))
    try:
        return cls(replace(spec, settings=settings), **settings)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise UserError(f"{path}: {error}; the settings given were {sorted(spec.settings)}") from None
    except ValueError as error:
        if not spec.settings:
            raise
        raise UserError(f"{path}: {error}; change the method's settings") from None
