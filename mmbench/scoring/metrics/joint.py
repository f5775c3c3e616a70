"""Distances of pairs of image and label: Frechet (DeVries et al. 2019), and the same idea with a kernel."""

from __future__ import annotations

import numpy as np

from mmbench.scoring.metrics._checks import check_features
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.kernel import squared_mmd


def with_labels(features: np.ndarray, label: np.ndarray, classes: int, scale: float) -> np.ndarray:
    """Features (n, d) concatenated with one-hot labels times `scale`: (n, d + classes).

    Raises:
        ValueError: there are not as many labels as features, or a label is not in 0 to `classes` - 1.
    """
    if label.shape != (len(features),):
        raise ValueError(f"{len(features)} items have labels of shape {label.shape}")
    if len(label) and not 0 <= label.min() <= label.max() < classes:
        raise ValueError(f"labels go from {label.min()} to {label.max()}, not within 0 to {classes - 1}")
    return np.concatenate([features, scale * np.eye(classes)[label]], axis=1)


def frechet_joint_distance(
    real: np.ndarray, real_label: np.ndarray, fake: np.ndarray, fake_label: np.ndarray, classes: int
) -> tuple[float, float]:
    """Squared Frechet distance of features concatenated with scaled one-hot labels.

    The scale is the paper's: the mean Euclidean norm of the real features divided by that of the labels, which is 1, so
    that both parts of the real items have equal length. Unlike the distance of the features alone it rises when images
    and labels are shuffled, because it includes the covariance of the two.

    Args:
        real: features (n, d), n from 2.
        real_label: classes (n,).
        fake: features (m, d), m from 2.
        fake_label: classes (m,).

    Returns:
        The distance, from 0, and the scale. As any Frechet distance it is biased upwards by small samples.

    Raises:
        ValueError: the sets do not fit together, a label is out of range, or something is not finite.
    """
    *joint, scale = pairs(real, real_label, fake, fake_label, classes)
    return frechet_distance(*joint), scale


def kernel_joint_distance(
    real: np.ndarray, real_label: np.ndarray, fake: np.ndarray, fake_label: np.ndarray, classes: int
) -> tuple[float, float]:
    """Squared maximum mean discrepancy of features concatenated with scaled one-hot labels, by `squared_mmd`.

    It decides between candidates of sampling: it is unbiased and distinguishes sets that the Frechet distance of so few
    items does not. Arguments, scale and errors are those of `frechet_joint_distance`.

    Returns:
        The distance, which can be below 0, and the scale.
    """
    *joint, scale = pairs(real, real_label, fake, fake_label, classes)
    return squared_mmd(*joint), scale


def pairs(
    real: np.ndarray, real_label: np.ndarray, fake: np.ndarray, fake_label: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Real and fake features concatenated with their scaled labels, in double precision, and the scale."""
    real, fake = check_features(real, fake, least=2)
    scale = float(np.linalg.norm(real, axis=1).mean())
    return with_labels(real, real_label, classes, scale), with_labels(fake, fake_label, classes, scale), scale
