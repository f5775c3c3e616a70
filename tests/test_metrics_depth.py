"""Metrics of depth maps: against scikit-learn and torchmetrics, pixel by pixel, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_percentage_error, root_mean_squared_error
from torchmetrics.functional.regression import mean_absolute_percentage_error as torch_percentage

from mmbench.scoring.metrics.depth import abs_rel, delta, rmse

METRICS = (abs_rel, rmse, delta)


def maps(missing: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true metres from 3 to 400, about a third of the pixels right within 1.25."""
    rng = np.random.default_rng(0)
    truth = (3 * (400 / 3) ** rng.random((5, 8, 6))).astype(np.float32)
    predicted = (truth * np.exp(0.5 * rng.normal(size=truth.shape))).astype(np.float32)
    return predicted, np.where(rng.random(truth.shape) < missing, np.nan, truth)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_they_are_those_of_other_packages(missing: float) -> None:
    predicted, truth = maps(missing)
    for i, (p, t) in enumerate(zip(predicted.astype(float), truth.astype(float), strict=True)):
        pairs = [(a, b) for a, b in zip(p.ravel().tolist(), t.ravel().tolist(), strict=True) if not math.isnan(b)]
        d, true = zip(*pairs, strict=True)
        assert abs_rel(predicted, truth)[i] == pytest.approx(mean_absolute_percentage_error(true, d), rel=1e-9)
        theirs = torch_percentage(torch.tensor(d), torch.tensor(true))
        assert abs_rel(predicted, truth)[i] == pytest.approx(theirs.item(), rel=1e-5)
        assert rmse(predicted, truth)[i] == pytest.approx(root_mean_squared_error(true, d), rel=1e-9)
        right = sum(b / 1.25 < a < b * 1.25 for a, b in pairs) / len(pairs)
        assert 0.2 < right < 0.5 and delta(predicted, truth)[i] == pytest.approx(right)


def test_a_hand_made_case() -> None:
    truth = np.array([[[10.0, 20.0], [40.0, np.nan]]])
    predicted = np.array([[[12.0, 20.0], [30.0, 5.0]]])
    assert abs_rel(predicted, truth) == pytest.approx([(0.2 + 0 + 0.25) / 3])
    assert rmse(predicted, truth) == pytest.approx([math.sqrt((4 + 0 + 100) / 3)])
    assert delta(predicted, truth) == pytest.approx([2 / 3])
    assert delta(truth[:, :, :1] * 1.25, truth[:, :, :1]) == [0]  # exactly the ratio is no longer right


def test_what_is_unknown_counts_nowhere() -> None:
    predicted, truth = maps()
    changed = np.where(np.isnan(truth), 1e6, predicted)
    for metric in METRICS:
        np.testing.assert_array_equal(metric(changed, truth), metric(predicted, truth))


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_no_depth_is_refused(metric: object) -> None:
    truth = np.full((2, 3, 4), 7.0)
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="a predicted depth"):
            metric(np.where(np.arange(4) == 1, wrong, truth), truth)  # type: ignore[operator]
    with pytest.raises(ValueError, match="a true depth"):
        metric(truth, np.where(np.arange(4) == 1, 0.0, truth))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"\(1, 3, 4\)"):
        metric(truth[:1], truth)  # type: ignore[operator]
    with pytest.raises(ValueError, match="no pixel of map 1"):
        metric(truth, np.stack([truth[0], np.full((3, 4), np.nan)]))  # type: ignore[operator]
