"""Metrics on class maps, from one confusion matrix of all pixels. Maps are integer arrays (n, h, w)."""

from __future__ import annotations

import numpy as np

#: The class of an ignored pixel.
IGNORE = 255


def _labelled(predicted: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Where the truth has a class, (n, h, w); checks both maps.

    Raises:
        ValueError: shapes differ, or a class is not in 0 to `classes` - 1 (in the truth also `IGNORE`).
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted maps have shape {predicted.shape}, true ones {truth.shape}")
    labelled = truth != IGNORE
    for name, values in (("predicted", predicted[labelled]), ("true", truth[labelled])):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"{name} classes go from {values.min()} to {values.max()}, not within 0 to {classes - 1}")
    return labelled


def confusion_matrix(predicted: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Counts of pixels, int64 (classes, classes): a row per true class, a column per predicted one.

    Args:
        predicted: classes (n, h, w), from 0 to `classes` - 1 where the truth has a class.
        truth: of the same shape; pixels of class 255 are ignored.

    Raises:
        ValueError: shapes differ, or a class is out of range.
    """
    labelled = _labelled(predicted, truth, classes)
    pairs = truth[labelled].astype(np.int64) * classes + predicted[labelled]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, (classes,) in [0, 1]; NaN for a class that is in neither map.

    A class that was predicted and never true has 0 (Everingham et al. 2010, the Jaccard index).
    """
    both = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return np.divide(both, union, out=np.full(len(both), np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of `iou` over the classes that are in either map, in [0, 1]; ValueError if there is no labelled pixel."""
    if not confusion.any():
        raise ValueError("no pixel has a class")
    return float(np.nanmean(iou(confusion)))


def pixel_accuracy(predicted: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Share of each image's labelled pixels whose class is correct, (n,) in [0, 1]; arguments as `confusion_matrix`.

    Raises:
        ValueError: shapes differ, a class is out of range, or an image has no labelled pixel.
    """
    labelled = _labelled(predicted, truth, classes)
    pixels = labelled.sum(axis=(1, 2))
    if (pixels == 0).any():
        raise ValueError(f"no pixel of image {int(np.flatnonzero(pixels == 0)[0])} has a class")
    right: np.ndarray = ((predicted == truth) & labelled).sum(axis=(1, 2)) / pixels
    return right
