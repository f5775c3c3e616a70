"""The checks of the metrics on features."""

from __future__ import annotations

import numpy as np


def check_features(real: np.ndarray, fake: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of features in double precision.

    Raises:
        ValueError: a set has not two dimensions, other features, fewer than `least` items, or a value is not finite.
    """
    sets = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    for name, features in zip(("real", "fake"), sets, strict=True):
        if features.ndim != 2:
            raise ValueError(f"{name} features have shape {features.shape}, not (items, features)")
        if len(features) < least:
            raise ValueError(f"{len(features)} {name} items; this needs at least {least}")
        if not np.isfinite(features).all():
            raise ValueError(f"{name} features hold NaN or infinity")
    if sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(f"real features are {sets[0].shape[1]} wide, fake ones {sets[1].shape[1]}")
    return sets
