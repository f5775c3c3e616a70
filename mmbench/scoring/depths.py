"""Scores of depth maps: answers against the truth, and a frozen judge's predictions on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmbench.errors import UserError
from mmbench.scoring.distribution import SEED, shuffled
from mmbench.scoring.judged import by_judge
from mmbench.scoring.metrics.depth import RATIO, abs_rel, delta, rmse
from mmbench.scoring.scores import Measure, Question, Scored, Tools

PIXELS = {"pixels": "those with a depth", "ratio": RATIO}


def score_depths(case: Question, predicted: np.ndarray, truth: np.ndarray, scored: Scored) -> None:
    """AbsRel, RMSE and delta of each item; maps (n, h, w) in metres, NaN where the truth is unknown."""
    check_depths(case, truth)
    for metric, higher in ((abs_rel, False), (rmse, False), (delta, True)):
        values = torch.from_numpy(metric(predicted, truth))
        scored.add_each(case, Measure(metric.__name__, higher), values, {"pixels": PIXELS["pixels"]})


def score_seen_depths(
    case: Question, seen: np.ndarray, depth: np.ndarray, tools: Tools, scored: Scored, detail: Mapping[str, Any] = {}
) -> None:
    """`judged_delta` of each item: the judge's prediction, (n, h, w), against the depth that the image should show."""
    check_depths(case, depth)
    right = torch.from_numpy(delta(seen, depth))
    scored.add_each(case, by_judge("judged_delta", tools), right, {**PIXELS, **detail})


def score_shuffled_depths(case: Question, seen: np.ndarray, depth: np.ndarray, tools: Tools, scored: Scored) -> None:
    """`shuffled_delta`: the same with depth maps paired with other images, the value by chance."""
    others = delta(seen, shuffled(depth)).mean()
    detail = {**PIXELS, "pairs": "every depth map with another image", "seed": SEED}
    scored.add(case, by_judge("shuffled_delta", tools), float(others), case.count, detail)


def check_depths(case: Question, depth: np.ndarray) -> None:
    """Check that every depth map (n, h, w) of a case has a pixel with a depth.

    Raises:
        UserError: a map has none, so nothing can be measured on it.
    """
    if (empty := np.flatnonzero(np.isnan(depth).all(axis=(1, 2)))).size:
        raise UserError(
            f"case '{case.name}': item {empty[0]} has no pixel with a depth, so nothing can be measured on it; take it "
            "out of the data set"
        )
