"""Labels: class probabilities against the truth, and images by what a frozen judge sees in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case
from mmbench.experiments.labels.tasks import TASKS
from mmbench.files.store import Arrays
from mmbench.frozen.features import Extractor
from mmbench.scoring.distribution import equally_many, score_features
from mmbench.scoring.judged import by_judge, score_classes, score_seen_classes, score_shuffled_classes
from mmbench.scoring.metrics.classification import ECE_BINS, calibration_error, macro
from mmbench.scoring.metrics.inception_score import inception_score
from mmbench.scoring.metrics.joint import frechet_joint_distance, kernel_joint_distance
from mmbench.scoring.scores import Answered, Measure, Question, Scored, Tools


def score(answered: Answered, tools: Tools) -> Scored:
    """The scores of each task: see `score_classify`, `score_noised`, `score_paint` and `score_generate`."""
    scored = Scored()
    by_task = {
        "classify": score_classify,
        "classify_noised": score_noised,
        "paint": score_paint,
        "generate": score_generate,
    }
    for case, answer in answered:
        by_task[case.task](case, answer, tools, scored)
    return scored


def score_real(real: Arrays, tools: Tools) -> Scored:
    """The ceiling: the judge's predictions on real images (`image`) against their true labels (`label`)."""
    scored = Scored()
    case = Case("ceiling", "classify", len(real["image"]))
    score_judged(case, judged(real["image"], tools), real["label"], tools, scored)
    return scored


def score_classify(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Accuracy of each image, macro precision, recall and F1, and calibration error, against the true labels."""
    score_noised(case, answer, tools, scored)
    predicted, truth = answer["label"], case.truth["label"]
    over = {"over": "classes that are true or predicted", "classes": len(np.union1d(truth, predicted.argmax(axis=1)))}
    for name, value in macro(predicted, truth)._asdict().items():
        scored.add(case, Measure(f"macro_{name}", True), value, case.count, over)
    error = calibration_error(predicted, truth)
    scored.add(case, Measure("ece", False), error, case.count, {"bins": ECE_BINS, "norm": "l1"})


def score_noised(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Accuracy of each image against the true label; UserError if the answer is not probabilities."""
    score_classes(case, answer["label"], case.truth["label"], scored)


def score_paint(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Generated images against real ones as a set, alone and with the given labels, and what the judge sees in them."""
    score_pairs(case, answer["image"], case.given["label"], tools, scored)


def score_generate(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """As `score_paint`, with the most probable of the labels generated with each image.

    `shuffled_accuracy` is the judged accuracy of labels paired with other generated images: the value by chance.
    """
    label = answer["label"].argmax(axis=1)
    seen = score_pairs(case, answer["image"], label, tools, scored)
    score_shuffled_classes(case, seen, label, tools, scored)


def score_pairs(case: Question, images: np.ndarray, label: np.ndarray, tools: Tools, scored: Scored) -> np.ndarray:
    """Scores of images, uint8 (n, 3, h, w), and the labels (n,) that they should show; returns what the judge saw."""
    for extractor in tools.extractors:
        features = tools.features(extractor, images)
        resize = extractor.resize_name(*images.shape[2:])
        score_features(case, extractor, features, images.shape[2:], tools, scored)
        for name, distance in (("fjd", frechet_joint_distance), ("kjd", kernel_joint_distance)):
            value, detail = joint_distance(distance, extractor, features, label, tools)
            measure = Measure(f"{name}[{extractor.name}]", False, extractor.name, extractor.weights_sha256)
            scored.add(case, measure, value, len(images), {**detail, "resize": resize})
    seen = judged(images, tools)
    score_judged(case, seen, label, tools, scored)
    return seen


def joint_distance(
    distance: Callable[..., tuple[float, float]],
    extractor: Extractor,
    features: np.ndarray,
    label: np.ndarray,
    tools: Tools,
) -> tuple[float, Mapping[str, Any]]:
    """A joint distance of an extractor's features (m, d) with labels (m,) to the real split, and how it was computed.

    Both sets have equally many pairs, as in all distances of sets.

    Raises:
        UserError: the reference has no labels.
    """
    reference = tools.reference
    if "label" not in reference.arrays:
        raise UserError("reference.npz: holds no labels of the real images; delete it and make it again")
    real, fake = equally_many(reference.features[extractor.name], features)
    real_label, label = equally_many(reference.arrays["label"], label)
    value, scale = distance(real, real_label, fake, label, len(tools.card["labels"]))
    sizes = {"n_real": len(real), "n_fake": len(fake), "real_split": reference.card["split"]}
    return value, {**sizes, "label": "one-hot, times the mean norm of the real features", "scale": scale}


def score_judged(case: Question, seen: np.ndarray, label: np.ndarray, tools: Tools, scored: Scored) -> None:
    """Inception score of what the judge saw, probabilities (n, classes), and whether it matches `label` (n,)."""
    value, _ = inception_score(seen)
    scored.add(case, by_judge(f"is[{tools.judge.name}]", tools), value, len(seen), {"splits": 1})
    score_seen_classes(case, seen, label, tools, scored)


def judged(images: np.ndarray, tools: Tools) -> np.ndarray:
    """The class probabilities (n, classes) that the judge sees in images, uint8 (n, 3, h, w)."""
    return tools.judged(TASKS["classify"], images)["label"]
