"""Fidelity and diversity by nearest neighbours: precision, recall, density and coverage.

Distances are Euclidean, in double precision and in chunks of rows, so that memory grows with one set only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmbench.scoring.metrics._checks import check_features


class Neighbours(NamedTuple):
    """The four values; all but density are in [0, 1], density is from 0 and around 1 for equal distributions."""

    precision: float
    recall: float
    density: float
    coverage: float


def _distances(rows: Tensor, columns: Tensor, chunk: int) -> Iterator[Tensor]:
    """Distances (chunk, m) of consecutive rows (n, d) to all columns (m, d)."""
    for part in rows.split(chunk):
        yield torch.cdist(part, columns)


def neighbour_radii(features: Tensor, k: int, chunk: int) -> Tensor:
    """Distance (n,) of each item of (n, d) to its k-th nearest neighbour, itself not counted."""
    nearest = [part.topk(k + 1, dim=1, largest=False).values for part in _distances(features, features, chunk)]
    return torch.cat(nearest)[:, k]  # topk is much faster than kthvalue


def neighbour_scores(real: np.ndarray, fake: np.ndarray, k: int = 5, chunk: int = 2048) -> Neighbours:
    """Improved precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    The ball of an item reaches its k-th neighbour in its own set. Precision is the share of fake items inside the ball
    of some real item; recall is the same with the roles exchanged. Density is the mean number of real balls that hold a
    fake item, divided by k; coverage is the share of real balls that hold at least one fake item, so it depends on how
    many fake items there are. A ball's surface counts as inside for the first two only, as in the papers' programs.

    Args:
        real: features (n, d), n > k.
        fake: features (m, d), m > k.
        k: neighbours that a ball reaches.
        chunk: rows of a block of distances.

    Raises:
        ValueError: the sets do not fit together, have k items or fewer, or hold something not finite.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    x, y = (torch.from_numpy(features) for features in check_features(real, fake, least=k + 1))
    radii_x, radii_y = neighbour_radii(x, k, chunk), neighbour_radii(y, k, chunk)
    near_real, held = 0, 0
    near_fake, covered = torch.zeros(len(x), dtype=torch.bool), torch.zeros(len(x), dtype=torch.bool)
    for part, radii in zip(_distances(y, x, chunk), radii_y.split(chunk), strict=True):
        near_real += int((part <= radii_x).any(dim=1).sum())
        near_fake |= (part <= radii[:, None]).any(dim=0)
        inside = part < radii_x
        held += int(inside.sum())
        covered |= inside.any(dim=0)
    recall, coverage = (float(share.double().mean()) for share in (near_fake, covered))
    return Neighbours(near_real / len(y), recall, held / (k * len(y)), coverage)
