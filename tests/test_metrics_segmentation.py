"""Metrics of class maps: against torchmetrics and scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix as sklearn_confusion
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.classification import multiclass_accuracy

from mmbench.scoring.metrics.segmentation import IGNORE, confusion_matrix, iou, mean_iou, pixel_accuracy


def maps(seed: int, classes: int, drawn: int, ignored: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true maps with `drawn` of the classes, right in about half of the pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, drawn, (4, 9, 7))
    predicted = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(0, drawn, truth.shape))
    return predicted, np.where(rng.random(truth.shape) < ignored, IGNORE, truth)


@pytest.mark.parametrize("classes, drawn, ignored", [(5, 5, 0.0), (5, 5, 0.3), (8, 4, 0.1), (2, 1, 0.5)])
def test_iou_is_that_of_torchmetrics(classes: int, drawn: int, ignored: float) -> None:
    predicted, truth = maps(classes, classes, drawn, ignored)
    theirs = MulticlassJaccardIndex(classes, average="none", ignore_index=IGNORE, zero_division=float("nan"))
    expected = theirs(torch.from_numpy(predicted), torch.from_numpy(truth)).double()
    confusion = confusion_matrix(predicted, truth, classes)
    np.testing.assert_allclose(iou(confusion), expected.numpy(), rtol=1e-6)
    assert mean_iou(confusion) == pytest.approx(float(torch.nanmean(expected)), rel=1e-6)


def test_confusion_and_accuracy_are_those_of_other_packages() -> None:
    predicted, truth = maps(1, 6, 5)
    labelled = truth != IGNORE
    expected = sklearn_confusion(truth[labelled], predicted[labelled], labels=range(6))
    np.testing.assert_array_equal(confusion_matrix(predicted, truth, 6), expected)
    for mine, p, t in zip(pixel_accuracy(predicted, truth, 6), predicted, truth, strict=True):
        theirs = multiclass_accuracy(
            torch.from_numpy(p).flatten(), torch.from_numpy(t).flatten(), 6, average="micro", ignore_index=IGNORE
        )
        assert mine == pytest.approx(float(theirs), rel=1e-6)


def test_a_hand_made_case_with_absent_and_ignored_classes() -> None:
    truth = np.array([[[0, 0, 1, 1], [IGNORE, 0, 1, 1]]])
    predicted = np.array([[[0, 1, 1, 1], [3, 0, 1, 2]]])
    confusion = confusion_matrix(predicted, truth, 5)
    expected = np.zeros((5, 5), int)
    expected[0, 0], expected[0, 1], expected[1, 1], expected[1, 2] = 2, 1, 3, 1
    np.testing.assert_array_equal(confusion, expected)
    np.testing.assert_allclose(iou(confusion), [2 / 3, 3 / 5, 0, np.nan, np.nan])
    assert mean_iou(confusion) == pytest.approx((2 / 3 + 3 / 5) / 3)
    assert pixel_accuracy(predicted, truth, 5) == pytest.approx([5 / 7])


def test_what_makes_no_sense_is_refused() -> None:
    zeros = np.zeros((1, 2, 2), int)
    with pytest.raises(ValueError, match="shape"):
        confusion_matrix(zeros, np.zeros((1, 2, 3), int), 2)
    with pytest.raises(ValueError, match="predicted classes go from 0 to 2"):
        confusion_matrix(np.array([[[0, 2]]]), np.array([[[0, 1]]]), 2)
    with pytest.raises(ValueError, match="true classes go from 0 to 254"):
        confusion_matrix(zeros, np.array([[[0, 254], [0, 0]]]), 2)
    with pytest.raises(ValueError, match="no pixel of image 0"):
        pixel_accuracy(zeros, np.full((1, 2, 2), IGNORE), 2)
    with pytest.raises(ValueError, match="no pixel has a class"):
        mean_iou(confusion_matrix(zeros, np.full((1, 2, 2), IGNORE), 2))
