"""Class maps as images that can be diffused: analog one-hot (Chen et al. 2023, "Analog bits")."""

from __future__ import annotations

from torch import Tensor

from mmbench.modalities.class_map import one_hot_map


def to_analog(mask: Tensor, classes: int) -> Tensor:
    """A class map (n, h, w) as (n, classes, h, w): 1 for its class, -1 for the others, 0 for ignored pixels."""
    labelled = (mask != 255)[:, None]
    return (2 * one_hot_map(mask, classes) - 1) * labelled


def from_analog(analog: Tensor) -> Tensor:
    """The class of the largest channel, int64 (n, h, w)."""
    return analog.argmax(dim=1)


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of errors (n, c, h, w) over the pixels that a class map (n, h, w) labels, with equal weight of channels."""
    labelled = (mask != 255)[:, None].to(error)
    return (labelled * error).sum() / (labelled.sum() * error.shape[1]).clamp(min=1)
