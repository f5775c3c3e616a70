"""Metrics on class probabilities against true classes, by scikit-learn and torchmetrics; only the checks are ours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

#: Bins of confidence of the calibration error (Guo et al. 2017).
ECE_BINS = 15

#: How far the sum of an item's probabilities may be from 1; half precision needs this tolerance.
TOLERANCE = 1e-2


class Macro(NamedTuple):
    """Means over classes, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def check_probabilities(probabilities: np.ndarray, truth: np.ndarray | None = None) -> np.ndarray:
    """Class probabilities (n, classes) in double precision, each row scaled to a sum of 1.

    Args:
        probabilities: (n, classes), n from 1.
        truth: true classes (n,), if there are any.

    Raises:
        ValueError: the shapes do not fit, a row is not a distribution, or a true class is out of range.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not p.size:
        raise ValueError(f"probabilities have shape {p.shape}, not (items, classes)")
    total = p.sum(axis=1, keepdims=True)
    if not (p.min() >= 0 and np.abs(total - 1).max() <= TOLERANCE):  # `not`, so that NaN fails
        raise ValueError("probabilities are negative or do not add up to 1")
    if truth is not None:
        if truth.shape != p.shape[:1]:
            raise ValueError(f"{len(p)} items are answered, but true classes have shape {truth.shape}")
        if truth.min() < 0 or truth.max() >= p.shape[1]:
            raise ValueError(f"true classes go from {truth.min()} to {truth.max()}, not within 0 to {p.shape[1] - 1}")
    return p / total


def correct(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether the most probable class is the true one, bool (n,); of equal ones the first counts.

    Args:
        probabilities: (n, classes).
        truth: true classes (n,).

    Raises:
        ValueError: see `check_probabilities`.
    """
    hits: np.ndarray = check_probabilities(probabilities, truth).argmax(axis=1) == truth
    return hits


def macro(probabilities: np.ndarray, truth: np.ndarray) -> Macro:
    """Precision, recall and F1 of the most probable class, each the mean over the true and predicted classes.

    A class that is never predicted has precision 0, one that is never true recall 0. F1 is the mean of the classes' F1,
    not the F1 of the means. Arguments and raised errors as for `correct`.
    """
    from sklearn.metrics import precision_recall_fscore_support  # noqa: PLC0415  # seconds, which few scorings need

    predicted = check_probabilities(probabilities, truth).argmax(axis=1)
    values = precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
    return Macro(*(float(value) for value in values[:3]))


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = ECE_BINS) -> float:
    """Expected calibration error in [0, 1]: gap of confidence and accuracy, mean over the items' bins of confidence.

    Confidence is the probability of the most probable class. Bins have equal width and are closed below, the last one
    on both sides. Arguments and raised errors as for `correct`.
    """
    from torchmetrics.functional.classification import multiclass_calibration_error  # noqa: PLC0415  # as above

    p = check_probabilities(probabilities, truth)
    below = np.nextafter(np.float32(1), np.float32(0))  # torchmetrics has another bin for exactly 1
    tensors = torch.from_numpy(p.clip(max=below)), torch.from_numpy(truth)
    return float(multiclass_calibration_error(*tensors, num_classes=p.shape[1], n_bins=bins))
