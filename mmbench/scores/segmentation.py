"""Segmentation: class maps against the truth, and images by how far a frozen judge sees in them what their maps say."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.experiments import Case
from mmbench.experiments.segmentation import TASKS
from mmbench.files import Arrays
from mmbench.metrics.segmentation import IGNORE, confusion_matrix, iou, mean_iou, pixel_accuracy
from mmbench.scores import Answered, Measure, Question, Scored, Tools
from mmbench.scores._distribution import SEED, score_drawn, shuffled


def score(answered: Answered, tools: Tools) -> Scored:
    """What each task is scored by: see `score_segment`, `score_paint` and `score_generate`."""
    scored = Scored()
    by_task = {"segment": score_segment, "paint": score_paint, "generate": score_generate}
    for case, answer in answered:
        by_task[case.task](case, answer, tools, scored)
    return scored


def score_real(real: Arrays, tools: Tools) -> Scored:
    """The ceiling: what the judge, shown real images (`image`), says of their true maps (`mask`)."""
    scored = Scored()
    case = Case("ceiling", "segment", len(real["image"]))
    score_agreement(case, judged(real["image"], tools), real["mask"], tools, scored)
    return scored


def score_segment(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """mIoU, pixel accuracy of each image, and IoU of each class, `iou/<class>`, against the true maps."""
    names = tools.card["classes"]
    predicted, truth = answer["mask"], case.truth["mask"]
    accuracy = each_accuracy(case, predicted, truth, len(names))
    confusion = confusion_matrix(predicted, truth, len(names))
    detail = of_matrix(confusion, truth)
    scored.add(case, Measure("miou", True), mean_iou(confusion), case.count, detail)
    scored.add_each(case, Measure("pixel_accuracy", True), accuracy, {"pixels": "those with a class"})
    for name, value, pixels in zip(names, iou(confusion), confusion.sum(axis=1), strict=True):
        if not np.isnan(value):
            scored.add(case, Measure(f"iou/{name}", True), float(value), case.count, {"pixels": int(pixels)})


def score_paint(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Painted images against real ones as a set, and by what the judge sees in them against the given maps."""
    score_drawn(case, answer["image"], tools, scored)
    score_agreement(case, judged(answer["image"], tools), case.given["mask"], tools, scored)


def score_generate(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Drawn images against real ones as a set, and whether the judge sees in them the maps drawn with them.

    `shuffled_miou` is the same of maps paired with other drawn images: what agrees by chance.
    """
    score_drawn(case, answer["image"], tools, scored)
    seen, drawn = judged(answer["image"], tools), answer["mask"]
    score_agreement(case, seen, drawn, tools, scored)
    others = shuffled(drawn)
    confusion = confusion_matrix(seen, others, len(tools.card["classes"]))
    detail = {**of_matrix(confusion, others), "pairs": "every map with another image", "seed": SEED}
    scored.add(case, by_judge("shuffled_miou", tools), mean_iou(confusion), case.count, detail)


def score_agreement(case: Question, seen: np.ndarray, maps: np.ndarray, tools: Tools, scored: Scored) -> None:
    """mIoU and pixel accuracy of what the judge saw, (n, h, w), against the maps that the images should show."""
    classes = len(tools.card["classes"])
    accuracy = each_accuracy(case, seen, maps, classes)
    confusion = confusion_matrix(seen, maps, classes)
    scored.add(case, by_judge("judged_miou", tools), mean_iou(confusion), case.count, of_matrix(confusion, maps))
    scored.add_each(case, by_judge("judged_accuracy", tools), accuracy, {"pixels": "those with a class"})


def judged(images: np.ndarray, tools: Tools) -> np.ndarray:
    """The maps, uint8 (n, h, w), that the judge sees in images, uint8 (n, 3, h, w)."""
    return tools.judged(TASKS["segment"], images)


def by_judge(name: str, tools: Tools) -> Measure:
    """A measure that the judge made."""
    return Measure(name, True, tools.judge.name, tools.judge.weights_sha256)


def each_accuracy(case: Question, predicted: np.ndarray, maps: np.ndarray, classes: int) -> Tensor:
    """Pixel accuracy (n,); UserError if an image of the case has no pixel with a class."""
    if (unlabelled := np.flatnonzero((maps == IGNORE).all(axis=(1, 2)))).size:
        raise UserError(
            f"case '{case.name}': item {unlabelled[0]} has no pixel with a class, so nothing can be measured on it; "
            "take it out of the data set"
        )
    return torch.from_numpy(pixel_accuracy(predicted, maps, classes))


def of_matrix(confusion: np.ndarray, maps: np.ndarray) -> dict[str, object]:
    """How a value was computed from a confusion matrix."""
    return {
        "over": "classes in either map, all pixels of the case in one confusion matrix",
        "classes": int((~np.isnan(iou(confusion))).sum()),
        "ignored_pixels": int((maps == IGNORE).sum()),
    }
