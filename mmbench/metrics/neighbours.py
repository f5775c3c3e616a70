"""Fidelity and diversity by nearest neighbours: precision, recall, density and coverage.

Distances are Euclidean, in double precision and in chunks of rows, so that memory grows with one set only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mmbench.metrics._checks import check_features


def _distances(rows: Tensor, columns: Tensor, chunk: int) -> Iterator[Tensor]:
    """Distances (chunk, m) of consecutive rows (n, d) to all columns (m, d)."""
    for part in rows.split(chunk):
        yield torch.cdist(part, columns)


def neighbour_radii(features: Tensor, k: int, chunk: int) -> Tensor:
    """Distance (n,) of each item of (n, d) to its k-th nearest neighbour, itself not counted."""
    return torch.cat([part.kthvalue(k + 1, dim=1).values for part in _distances(features, features, chunk)])


def _prepare(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[Tensor, Tensor]:
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    real, fake = check_features(real, fake, least=k + 1)
    return torch.from_numpy(real), torch.from_numpy(fake)


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 5, chunk: int = 2048) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019).

    Precision is the share of fake items inside the ball of some real item, whose radius reaches that item's k-th real
    neighbour; recall is the same with the roles exchanged.

    Args:
        real: features (n, d), n > k.
        fake: features (m, d), m > k.
        k: neighbours that a ball reaches.
        chunk: rows of a block of distances.

    Returns:
        Precision and recall, both in [0, 1].

    Raises:
        ValueError: the sets do not fit together, have k items or fewer, or hold something not finite.
    """
    x, y = _prepare(real, fake, k)
    radii_x, radii_y = neighbour_radii(x, k, chunk), neighbour_radii(y, k, chunk)
    inside_real = torch.cat([(part <= radii_x).any(dim=1) for part in _distances(y, x, chunk)])
    inside_fake = torch.cat([(part <= radii_y).any(dim=1) for part in _distances(x, y, chunk)])
    return float(inside_real.double().mean()), float(inside_fake.double().mean())


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5, chunk: int = 2048) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020).

    Density is the mean number of real balls that hold a fake item, divided by k; coverage is the share of real balls
    that hold at least one fake item, so it depends on how many fake items there are.

    Args and raised errors as for `precision_recall`.

    Returns:
        Density (>= 0, around 1 for equal distributions) and coverage in [0, 1].
    """
    x, y = _prepare(real, fake, k)
    radii = neighbour_radii(x, k, chunk)
    held, covered = 0, torch.zeros(len(x), dtype=torch.bool)
    for part in _distances(y, x, chunk):
        inside = part < radii
        held += int(inside.sum())
        covered |= inside.any(dim=0)
    return held / (k * len(y)), float(covered.double().mean())
