"""The loss of a method on items it does not learn from, along its training: where it rises, they are learnt by heart.

The items and their noise are the same at every point, and the weights are those of the training loss beside it, not
their average. Nothing that the training uses is changed, so that it learns the same with and without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mmbench.method import Batch, Method

#: Points of a training at most, and its time at most, of which a batch takes what one of three passes does.
POINTS, TIME, PASS = 20, 0.02, 1 / 3


def plan(train: Mapping[str, Any], items: int) -> tuple[int, int]:
    """Steps from one point to the next, and items of each: at least a batch, so very short trainings take longer.

    Args:
        train: the section `train`.
        items: of the validation split, all of which a point has at most.
    """
    batches = TIME / PASS * train["steps"]
    points = min(POINTS, max(1, int(batches)))
    return math.ceil(train["steps"] / points), min(items, max(1, int(batches / points)) * train["batch_size"])


def mean_terms(method: Method, batches: Iterable[tuple[Batch, torch.Generator]]) -> dict[str, float]:
    """The mean of each loss term over some batches, which count by their items; one that is not finite is left out.

    Args:
        method: in training; its mode and its buffers are left as they were. PyTorch's own random state is not, which
            each training step sets anew.
        batches: each with the generator of its noise.
    """
    sums: dict[str, float] = {}
    total = 0
    with undisturbed(method):
        for batch, generator in batches:
            items = len(next(iter(batch.values())))
            torch.manual_seed(generator.initial_seed() ^ 1)  # of what takes no generator
            total += items
            for name, term in method.loss(batch, generator).items():
                sums[name] = sums.get(name, 0.0) + items * float(term.detach())
    return {name: value / total for name, value in sums.items() if math.isfinite(value)}


@contextmanager
def undisturbed(method: Method) -> Iterator[None]:
    """Inside, the method evaluates; afterwards it trains, and its buffers are what they were."""
    buffers: list[tuple[Tensor, Tensor]] = [(buffer, buffer.clone()) for buffer in method.buffers()]
    method.eval()
    try:
        yield
    finally:
        method.train()
        for buffer, value in buffers:
            buffer.copy_(value)
