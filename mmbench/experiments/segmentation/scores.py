"""Segmentation: class maps against the truth, and images by whether a frozen judge sees their class maps in them."""

from __future__ import annotations

import numpy as np

from mmbench.experiments.experiment import Case
from mmbench.experiments.segmentation.tasks import TASKS
from mmbench.files.store import Arrays
from mmbench.scoring.distribution import score_drawn
from mmbench.scoring.judged import by_judge, each_accuracy, score_maps, score_seen_maps, score_shuffled_maps
from mmbench.scoring.metrics.segmentation import iou
from mmbench.scoring.scores import Answered, Measure, Question, Scored, Tools


def score(answered: Answered, tools: Tools) -> Scored:
    """The scores of each task: see `score_segment`, `score_paint` and `score_generate`."""
    scored = Scored()
    by_task = {"segment": score_segment, "paint": score_paint, "generate": score_generate}
    for case, answer in answered:
        by_task[case.task](case, answer, tools, scored)
    return scored


def score_real(real: Arrays, tools: Tools) -> Scored:
    """The ceiling: the judge's predictions on real images (`image`) against their true maps (`mask`)."""
    scored = Scored()
    case = Case("ceiling", "segment", len(real["image"]))
    score_agreement(case, judged(real["image"], tools), real["mask"], tools, scored)
    return scored


def score_segment(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """mIoU, pixel accuracy of each image, and IoU of each class, `iou/<class>`, against the true maps."""
    confusion = score_maps(case, answer["mask"], case.truth["mask"], tools, scored)
    for name, value, pixels in zip(tools.card["classes"], iou(confusion), confusion.sum(axis=1), strict=True):
        if not np.isnan(value):
            scored.add(case, Measure(f"iou/{name}", True), float(value), case.count, {"pixels": int(pixels)})


def score_paint(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Generated images against real ones as a set, and what the judge sees in them against the given maps."""
    score_drawn(case, answer["image"], tools, scored)
    score_agreement(case, judged(answer["image"], tools), case.given["mask"], tools, scored)


def score_generate(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Generated images against real ones as a set, and what the judge sees in them against their generated maps.

    `shuffled_miou` is the same with maps paired with other generated images: the value by chance.
    """
    score_drawn(case, answer["image"], tools, scored)
    seen, drawn = judged(answer["image"], tools), answer["mask"]
    score_agreement(case, seen, drawn, tools, scored)
    score_shuffled_maps(case, seen, drawn, tools, scored)


def score_agreement(case: Question, seen: np.ndarray, maps: np.ndarray, tools: Tools, scored: Scored) -> None:
    """mIoU and pixel accuracy of what the judge saw, (n, h, w), against the maps that the images should show."""
    accuracy = each_accuracy(case, seen, maps, len(tools.card["classes"]))
    score_seen_maps(case, seen, maps, tools, scored)
    scored.add_each(case, by_judge("judged_accuracy", tools), accuracy, {"pixels": "those with a class"})


def judged(images: np.ndarray, tools: Tools) -> np.ndarray:
    """The maps, uint8 (n, h, w), that the judge sees in images, uint8 (n, 3, h, w)."""
    return tools.judged(TASKS["segment"], images)["mask"]
