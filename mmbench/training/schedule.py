"""The schedule of each training step: its randomness, its items, its learning rate, and the update of the average."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def step_generator(seed: int, *step: int) -> torch.Generator:
    """The source of all randomness of one training step, or of one shard of its batch."""
    digest = hashlib.sha256("/".join(map(str, (seed, *step))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def batch_indices(seed: int, step: int, batch_size: int, items: int) -> Tensor:
    """Items of the batch of `step` (from 1): consecutive slices of one permutation per epoch."""
    positions = torch.arange((step - 1) * batch_size, step * batch_size)
    indices = torch.empty_like(positions)
    for epoch in (positions // items).unique().tolist():
        order = torch.randperm(items, generator=step_generator(seed, -1 - epoch))
        inside = positions // items == epoch
        indices[inside] = order[positions[inside] % items]
    return indices


def learning_rate(step: int, train: Mapping[str, Any]) -> float:
    """Linear warm-up, then a cosine down to zero at the last step."""
    if step <= train["warmup"]:
        return train["learning_rate"] * step / train["warmup"]
    progress = (step - train["warmup"]) / max(1, train["steps"] - train["warmup"])
    return train["learning_rate"] * 0.5 * (1 + math.cos(math.pi * progress))


def update_ema(average: Sequence[tuple[Tensor, Tensor]], decay: float, step: int) -> None:
    """Update the exponential moving average of each weight; its decay grows from 0 to `decay`."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_([mean for mean, _ in average], [weight for _, weight in average], 1 - decay)
