"""The validation loss of a method during its training run: where it rises, the network memorises the training items.

The items and their noise are the same at every point, and the weights are those of the training loss at that step, not
their average. No state of the training run is changed, so the result is the same with and without this loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mmbench.method import Batch, Method

#: The largest number of points of a run, the largest share of its time, and the cost of a batch in steps.
POINTS, TIME, PASS = 20, 0.02, 1 / 3


def plan(train: Mapping[str, Any], items: int) -> tuple[int, int]:
    """Steps from one point to the next, and items per point: at least a batch, so very short runs take longer.

    Args:
        train: the section `train`.
        items: number of items of the validation split, the largest number per point.
    """
    batches = TIME / PASS * train["steps"]
    points = min(POINTS, max(1, int(batches)))
    return math.ceil(train["steps"] / points), min(items, max(1, int(batches / points)) * train["batch_size"])


def mean_terms(method: Method, batches: Iterable[tuple[Batch, torch.Generator]]) -> dict[str, float]:
    """The mean of each loss term over batches, weighted by their items; a term that is not finite is left out.

    Args:
        method: a method in training; its mode and its buffers are restored. PyTorch's global random state is not, since
            each training step sets it.
        batches: the batches, each with the generator of its noise.
    """
    sums: dict[str, float] = {}
    total = 0
    with undisturbed(method):
        for batch, generator in batches:
            items = len(next(iter(batch.values())))
            torch.manual_seed(generator.initial_seed() ^ 1)  # for code that takes no generator
            total += items
            for name, term in method.loss(batch, generator).items():
                sums[name] = sums.get(name, 0.0) + items * float(term.detach())
    return {name: value / total for name, value in sums.items() if math.isfinite(value)}


@contextmanager
def undisturbed(method: Method) -> Iterator[None]:
    """Inside the context the method is in evaluation mode; afterwards it is in training mode, with its old buffers."""
    buffers: list[tuple[Tensor, Tensor]] = [(buffer, buffer.clone()) for buffer in method.buffers()]
    method.eval()
    try:
        yield
    finally:
        method.train()
        for buffer, value in buffers:
            buffer.copy_(value)
