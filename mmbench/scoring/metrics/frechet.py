"""Frechet distance between two sets of features (Heusel et al. 2017), in double precision."""

from __future__ import annotations

import numpy as np

from mmbench.scoring.metrics._checks import check_features


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features.

    |mu_r - mu_f|^2 + tr S_r + tr S_f - 2 tr (S_r S_f)^(1/2), with unbiased covariances. With any factors
    S = A^T A the last trace is the nuclear norm of A_r A_f^T, which needs neither the square root of a non-symmetric
    matrix nor, when there are fewer items than features, a covariance at all.

    Args:
        real: features (n, d), n >= 2.
        fake: features (m, d), m >= 2.

    Returns:
        A distance >= 0. It is biased upwards by small samples: compare it only at equal n and m.

    Raises:
        ValueError: the sets do not fit together or hold something not finite.
    """
    real, fake = check_features(real, fake, least=2)
    root_real, root_fake = covariance_root(real), covariance_root(fake)
    shared = np.linalg.svd(root_real @ root_fake.T, compute_uv=False).sum()
    spread = np.square(root_real).sum() + np.square(root_fake).sum()
    gap = np.square(real.mean(axis=0) - fake.mean(axis=0)).sum()
    return max(0.0, float(gap + spread - 2 * shared))


def covariance_root(features: np.ndarray) -> np.ndarray:
    """A matrix A (r, d), r = min(n, d), with A^T A the unbiased covariance of features (n, d)."""
    n, d = features.shape
    centred = features - features.mean(axis=0)
    if n <= d:
        return centred / np.sqrt(n - 1)
    values, vectors = np.linalg.eigh(centred.T @ centred / (n - 1))
    return np.sqrt(values.clip(min=0))[:, None] * vectors.T
