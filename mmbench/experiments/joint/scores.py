"""Joint: every answered modality against its truth, and generated images by what frozen networks see in them.

An image should show what it was conditioned on and what was generated with it. A method may answer a part of the
outputs of a case.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from mmbench.experiments.experiment import Case
from mmbench.files.store import Arrays
from mmbench.method import Task
from mmbench.scoring.composite import paste, score_composites
from mmbench.scoring.depths import score_depths, score_seen_depths, score_shuffled_depths
from mmbench.scoring.distribution import score_drawn
from mmbench.scoring.embeddings import by_extractor, score_retrieval, score_shuffled_cosine
from mmbench.scoring.judged import (
    score_classes,
    score_maps,
    score_seen_classes,
    score_seen_maps,
    score_shuffled_classes,
    score_shuffled_maps,
)
from mmbench.scoring.metrics.retrieval import cosine
from mmbench.scoring.scores import Answered, Measure, Question, Scored, Tools

#: The scores of what the judge sees in an image, and of the same by chance.
JUDGED = {
    "mask": (score_seen_maps, score_shuffled_maps),
    "label": (score_seen_classes, score_shuffled_classes),
    "depth": (score_seen_depths, score_shuffled_depths),
}


def score(answered: Answered, tools: Tools) -> Scored:
    """Scores of the composites of masked images, and `score_truth` and `score_image` of every other case."""
    scored = Scored()
    with_image = [(case, answer["image"]) for case, answer in answered if "image" in answer]
    score_composites([pair for pair in with_image if "masked_image" in pair[0].given], tools, scored)
    for case, answer in answered:
        score_truth(case, answer, tools, scored)
        if "image" in answer:
            score_image(case, answer, tools, scored)
    return scored


def score_real(real: Arrays, tools: Tools) -> Scored:
    """The ceiling: the judge's predictions on real images (`image`) against their true modalities."""
    scored, case = Scored(), Case("ceiling", "from_image", len(real["image"]))
    for name, seen in judged(real["image"], JUDGED, tools).items():
        JUDGED[name][0](case, seen, real[name], tools, scored)
    return scored


def score_floor(real: Arrays, other: Arrays, tools: Tools) -> Scored:
    """The value by chance: the same scores when each real image is paired with the modalities of another one."""
    scored, case = Scored(), Case("floor", "generate", len(real["image"]))
    for name, seen in judged(real["image"], JUDGED, tools).items():
        JUDGED[name][1](case, seen, real[name], tools, scored)
    if "embedding" in tools.judge.method.spec.modalities:
        chance = of_image("shuffled_cosine", tools)
        score_shuffled_cosine(case, real["embedding"], real["embedding"], chance, scored)
    return scored


def score_truth(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Every answer but the image against the truth of its item; a case without inputs has no truth."""
    if "mask" in answer and "mask" in case.truth:
        score_maps(case, answer["mask"], case.truth["mask"], tools, scored)
    if "label" in answer and "label" in case.truth:
        score_classes(case, answer["label"], case.truth["label"], scored)
    if "depth" in answer and "depth" in case.truth:
        score_depths(case, answer["depth"], case.truth["depth"], scored)
    if "embedding" in answer and "embedding" in case.truth:
        predicted, truth = answer["embedding"], case.truth["embedding"]
        scored.add_each(case, Measure("cosine", True), torch.from_numpy(cosine(predicted, truth)), {})
        score_retrieval(case, {"predicted": predicted, "true": truth}, Measure, scored)


def score_image(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Generated images: as a set, unless visible pixels were given, and whether each shows what it should.

    An image should show all other modalities that were given, or that were generated with it.
    """
    image = answer["image"]
    if "masked_image" in case.given:
        image = paste(case, image)
    else:
        score_drawn(case, image, tools, scored)
    partners = {**answer, **case.given}
    origin = {name: {"of": f"{'given' if name in case.given else 'drawn'} {name} and image"} for name in partners}
    for name, seen in judged(image, [name for name in JUDGED if name in partners], tools).items():
        shown = likeliest(partners[name]) if name == "label" else partners[name]
        score_seen, score_shuffled = JUDGED[name]
        score_seen(case, seen, shown, tools, scored, origin[name])
        score_shuffled(case, seen, shown, tools, scored)
    if "embedding" in partners:
        embedding, anew = partners["embedding"], tools.embedded(image)
        each = torch.from_numpy(cosine(embedding, anew))
        scored.add_each(case, of_image("cosine", tools), each, origin["embedding"])
        score_shuffled_cosine(case, embedding, anew, of_image("shuffled_cosine", tools), scored)


def judged(image: np.ndarray, wanted: Iterable[str], tools: Tools) -> Arrays:
    """The judge's `wanted` predictions on images, uint8 (n, 3, h, w): maps (n, h, w), probabilities (n, classes)."""
    able = tuple(name for name in wanted if name in tools.judge.method.spec.modalities)
    return tools.judged(Task("from_image", ("image",), able), image) if able else {}


def likeliest(label: np.ndarray) -> np.ndarray:
    """Labels (n,) unchanged; of probabilities (n, classes) the most probable class."""
    numbers: np.ndarray = label if label.ndim == 1 else label.argmax(axis=1)
    return numbers


def of_image(name: str, tools: Tools) -> Measure:
    """A measure of the images' embeddings; the extractor in its name distinguishes it from that of answered ones."""
    return by_extractor(f"{name}[{tools.card['embedding']['extractor']}]", True, tools)
