"""Accuracy, macro scores, calibration, inception score and joint distance: other implementations and known values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision, MulticlassRecall

from mmbench.scoring.metrics.classification import calibration_error, check_probabilities, correct, macro
from mmbench.scoring.metrics.inception_score import inception_score
from mmbench.scoring.metrics.joint import frechet_joint_distance


def random_case(n: int, classes: int, seed: int = 0, sharp: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits and probabilities (n, classes) and classes (n,) that agree more often than by chance."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    logits = sharp * (rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[truth])
    return logits, torch.from_numpy(logits).softmax(dim=1).numpy(), truth


@pytest.mark.parametrize("n, classes", [(300, 10), (40, 3), (30, 50)])  # with fifty, some are in neither
def test_classification_is_that_of_sklearn_and_torchmetrics(n: int, classes: int) -> None:
    _, p, truth = random_case(n, classes)
    predicted = p.argmax(axis=1)
    assert correct(p, truth).mean() == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    found = macro(p, truth)
    theirs = [
        score(truth, predicted, average="macro", zero_division=0) for score in (precision_score, recall_score, f1_score)
    ]
    assert found == pytest.approx(theirs, abs=1e-12) and 0.02 < found.f1 < 0.95
    tensors = torch.from_numpy(p), torch.from_numpy(truth)
    metrics = (MulticlassPrecision, MulticlassRecall, MulticlassF1Score)
    assert found == pytest.approx([float(m(classes, average="macro")(*tensors)) for m in metrics], abs=1e-6)
    micro = float(MulticlassAccuracy(classes, average="micro")(*tensors))
    assert correct(p, truth).mean() == pytest.approx(micro, abs=1e-6)


@pytest.mark.parametrize("n, classes, sharp", [(500, 10, 1.0), (500, 4, 3.0), (60, 3, 30.0)])
def test_calibration_error_is_that_of_sklearns_curve(n: int, classes: int, sharp: float) -> None:
    """With the last, many items have a confidence of exactly 1, which belongs into the last bin."""
    _, p, truth = random_case(n, classes, sharp=sharp)
    confidence, right = p.max(axis=1), correct(p, truth)
    accuracy, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    counts = np.histogram(confidence, bins=15, range=(0, 1))[0]
    expected = (np.abs(accuracy - mean) * counts[counts > 0]).sum() / n
    assert calibration_error(p, truth) == pytest.approx(expected, abs=1e-6) and expected > 0.02


def test_half_precision_is_scaled_to_a_sum_of_one() -> None:
    _, p, truth = random_case(200, 10)
    half = p.astype(np.float16)
    assert check_probabilities(half).sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert calibration_error(half, truth) == pytest.approx(calibration_error(p, truth), abs=5e-3)


@pytest.mark.parametrize("splits", [1, 10, 7])
def test_inception_score_is_that_of_torch_fidelity(splits: int) -> None:
    logits, p, _ = random_case(503, 10)
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=False)
    ours = inception_score(p, splits)
    assert ours[0] == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert ours[1] == pytest.approx(theirs["inception_score_std"], abs=1e-6)
    assert 1.5 < ours[0] < 9


def labelled_features(n: int, seed: int, classes: int = 4, d: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) around a centre of their class, and the classes (n,)."""
    rng = np.random.default_rng(seed)
    centres = 2 * np.random.default_rng(99).normal(size=(classes, d))
    label = rng.permutation(np.arange(n) % classes)
    return centres[label] + rng.normal(size=(n, d)), label


def test_joint_distance_is_torch_fidelitys_of_features_beside_scaled_labels() -> None:
    (real, real_label), (fake, fake_label) = labelled_features(300, 0), labelled_features(200, 1)
    ours, scale = frechet_joint_distance(real, real_label, fake, fake_label, 4)
    assert scale == pytest.approx(np.mean([np.sqrt((x**2).sum()) for x in real]))
    joint = [
        np.concatenate([x, scale * np.stack([label == c for c in range(4)], axis=1)], axis=1)
        for x, label in ((real, real_label), (fake, fake_label))
    ]
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in joint]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    "p, truth, message",
    [
        (np.full((4, 2), 0.6), np.zeros(4, int), "add up to 1"),
        (np.array([[1.5, -0.5]]), np.zeros(1, int), "negative"),
        (np.array([[np.nan, 1.0]]), np.zeros(1, int), "negative or do not"),
        (np.full((4, 2), 0.5), np.zeros(3, int), "4 items"),
        (np.full((4, 2), 0.5), np.array([0, 1, 2, 0]), "0 to 2"),
        (np.full(4, 0.5), np.zeros(4, int), "shape"),
        (np.zeros((0, 2)), np.zeros(0, int), "shape"),
    ],
)
@pytest.mark.parametrize("metric", [correct, macro, calibration_error])
def test_bad_probabilities_are_refused(metric, p: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(p, truth)


def test_bad_labels_and_splits_are_refused() -> None:
    real, label = labelled_features(20, 0)
    with pytest.raises(ValueError, match="labels go from 0 to 3, not within 0 to 2"):
        frechet_joint_distance(real, label, real, label, 3)
    with pytest.raises(ValueError, match="20 items have labels"):
        frechet_joint_distance(real, label, real, label[:5], 4)
    with pytest.raises(ValueError, match="4 splits of 3 items"):
        inception_score(np.full((3, 2), 0.5), splits=4)
