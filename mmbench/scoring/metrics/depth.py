"""Metrics of each depth map over the pixels whose true depth is known. Maps are floats (n, h, w) in metres.

The metrics are those of Eigen et al. (2014); the value of a set is the mean over its maps.
"""

from __future__ import annotations

import numpy as np

#: The largest ratio between predicted and true depth that counts as correct.
RATIO = 1.25


def _known(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both maps in double precision, with 1 where the truth is unknown, and where it is known, (n, h, w).

    Raises:
        ValueError: shapes differ, a depth is not above 0 and finite, or the truth of a map is unknown everywhere.
    """
    if predicted.shape != truth.shape or truth.ndim != 3:
        raise ValueError(f"predicted maps have shape {predicted.shape}, true ones {truth.shape}; expected (n, h, w)")
    known = ~np.isnan(truth)
    for name, depth in (("predicted", predicted[known]), ("true", truth[known])):
        if depth.size and not (depth.min() > 0 and np.isfinite(depth).all()):
            raise ValueError(f"a {name} depth is not above 0 and finite")
    if (empty := np.flatnonzero(~known.any(axis=(1, 2)))).size:
        raise ValueError(f"no pixel of map {empty[0]} has a depth")
    return np.where(known, predicted, 1.0).astype(np.float64), np.where(known, truth, 1.0).astype(np.float64), known


def abs_rel(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean of |d - d*| / d* of each map, (n,) from 0, where d* is the true depth.

    Args:
        predicted: above 0 wherever the truth is known.
        truth: above 0; NaN where it is unknown.

    Raises:
        ValueError: see `_known`.
    """
    d, true, known = _known(predicted, truth)
    return _mean(np.abs(d - true) / true, known)


def rmse(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Square root of the mean of (d - d*)^2 of each map, (n,) in metres from 0; arguments as `abs_rel`."""
    d, true, known = _known(predicted, truth)
    root: np.ndarray = np.sqrt(_mean((d - true) ** 2, known))
    return root


def delta(predicted: np.ndarray, truth: np.ndarray, ratio: float = RATIO) -> np.ndarray:
    """Share of each map's pixels with max(d / d*, d* / d) < `ratio`, (n,) in [0, 1]; arguments as `abs_rel`."""
    d, true, known = _known(predicted, truth)
    return _mean(np.maximum(d / true, true / d) < ratio, known)


def _mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean over each map's known pixels, (n,)."""
    mean: np.ndarray = np.where(known, values, 0.0).sum(axis=(1, 2)) / known.sum(axis=(1, 2))
    return mean
