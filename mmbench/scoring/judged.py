"""Scores of class maps and classes: answers against the truth, and a frozen judge's predictions on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.scoring.distribution import SEED, shuffled
from mmbench.scoring.metrics.classification import correct
from mmbench.scoring.metrics.segmentation import IGNORE, confusion_matrix, iou, mean_iou, pixel_accuracy
from mmbench.scoring.scores import Measure, Question, Scored, Tools

TIES = {"ties": "the first class"}


def by_judge(name: str, tools: Tools) -> Measure:
    """A measure made with the judge."""
    return Measure(name, True, tools.judge.name, tools.judge.weights_sha256)


def score_maps(case: Question, predicted: np.ndarray, truth: np.ndarray, tools: Tools, scored: Scored) -> np.ndarray:
    """mIoU, and pixel accuracy of each image, of class maps (n, h, w); returns the confusion matrix."""
    classes = len(tools.card["classes"])
    accuracy = each_accuracy(case, predicted, truth, classes)
    confusion = confusion_matrix(predicted, truth, classes)
    scored.add(case, Measure("miou", True), mean_iou(confusion), case.count, of_matrix(confusion, truth))
    scored.add_each(case, Measure("pixel_accuracy", True), accuracy, {"pixels": "those with a class"})
    return confusion


def score_seen_maps(
    case: Question, seen: np.ndarray, maps: np.ndarray, tools: Tools, scored: Scored, detail: Mapping[str, Any] = {}
) -> None:
    """`judged_miou`: mIoU of the judge's predictions, (n, h, w), against the maps that the images should show."""
    confusion = confusion_matrix(seen, maps, len(tools.card["classes"]))
    measure = by_judge("judged_miou", tools)
    scored.add(case, measure, mean_iou(confusion), case.count, {**of_matrix(confusion, maps), **detail})


def score_shuffled_maps(case: Question, seen: np.ndarray, maps: np.ndarray, tools: Tools, scored: Scored) -> None:
    """`shuffled_miou`: the same with maps paired with other images, the value by chance."""
    others = shuffled(maps)
    confusion = confusion_matrix(seen, others, len(tools.card["classes"]))
    detail = {**of_matrix(confusion, others), "pairs": "every map with another image", "seed": SEED}
    scored.add(case, by_judge("shuffled_miou", tools), mean_iou(confusion), case.count, detail)


def score_classes(case: Question, answered: np.ndarray, truth: np.ndarray, scored: Scored) -> None:
    """Accuracy of each item: class probabilities (n, classes) against true classes (n,).

    Raises:
        UserError: the answer is not probabilities.
    """
    try:
        right = correct(answered, truth)
    except ValueError as error:
        raise UserError(
            f"predictions.npz: array '{case.name}/label': {error}; save softmax outputs, one row for each item"
        ) from None
    scored.add_each(case, Measure("accuracy", True), torch.from_numpy(right), TIES)


def score_seen_classes(
    case: Question, seen: np.ndarray, label: np.ndarray, tools: Tools, scored: Scored, detail: Mapping[str, Any] = {}
) -> None:
    """`judged_accuracy` of each item: the judge's probabilities (n, classes) against its label (n,)."""
    right = torch.from_numpy(correct(seen, label))
    scored.add_each(case, by_judge("judged_accuracy", tools), right, {**TIES, **detail})


def score_shuffled_classes(case: Question, seen: np.ndarray, label: np.ndarray, tools: Tools, scored: Scored) -> None:
    """`shuffled_accuracy`: the same with labels paired with other images, the value by chance."""
    others = correct(seen, shuffled(label)).mean()
    detail = {"pairs": "every label with another image", "seed": SEED}
    scored.add(case, by_judge("shuffled_accuracy", tools), float(others), case.count, detail)


def each_accuracy(case: Question, predicted: np.ndarray, maps: np.ndarray, classes: int) -> Tensor:
    """Pixel accuracy (n,); UserError if an image of the case has no pixel with a class."""
    if (unlabelled := np.flatnonzero((maps == IGNORE).all(axis=(1, 2)))).size:
        raise UserError(
            f"case '{case.name}': item {unlabelled[0]} has no pixel with a class, so nothing can be measured on it; "
            "take it out of the data set"
        )
    return torch.from_numpy(pixel_accuracy(predicted, maps, classes))


def of_matrix(confusion: np.ndarray, maps: np.ndarray) -> dict[str, object]:
    """The details of a value that was computed from a confusion matrix."""
    return {
        "over": "classes in either map, all pixels of the case in one confusion matrix",
        "classes": int((~np.isnan(iou(confusion))).sum()),
        "ignored_pixels": int((maps == IGNORE).sum()),
    }
