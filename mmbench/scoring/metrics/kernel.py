"""Kernel distance between two sets of features (Binkowski et al. 2018), in double precision."""

from __future__ import annotations

import numpy as np

from mmbench.scoring.metrics._checks import check_features


def cubic_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """k(x, y) = (x . y / d + 1)^3 for features (n, d) and (m, d): (n, m)."""
    similarity = x @ y.T / x.shape[1] + 1
    return similarity * similarity * similarity  # much faster than ** 3


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy of features (n, d) and (m, d); it can be below 0."""
    n, m = len(x), len(y)
    xx, yy = cubic_kernel(x, x), cubic_kernel(y, y)
    within_x = (xx.sum() - np.trace(xx)) / (n * (n - 1))
    within_y = (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within_x + within_y - 2 * cubic_kernel(x, y).mean())


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of the squared MMD over random subsets of equal size.

    Args:
        real: features (n, d).
        fake: features (m, d).
        subset_size: items in each, sampled without replacement; the mean is unbiased at any size.

    Raises:
        ValueError: the sets do not fit together, are smaller than a subset, or hold something not finite.
    """
    if subset_size < 2:
        raise ValueError(f"subsets of {subset_size} items; an unbiased estimate needs at least 2")
    real, fake = check_features(real, fake, least=subset_size)
    rng = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        x = real[rng.choice(len(real), subset_size, replace=False)]
        y = fake[rng.choice(len(fake), subset_size, replace=False)]
        values.append(squared_mmd(x, y))
    return float(np.mean(values)), float(np.std(values))
