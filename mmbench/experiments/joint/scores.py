"""Joint: every answered modality against its own truth, and drawn images by what frozen networks see in them.

What an image should show is what was given with it or else drawn with it. A method need not answer all that is wanted.
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

#: What the judge sees in an image: the scores of that, and of pairs that agree by chance.
JUDGED = {
    "mask": (score_seen_maps, score_shuffled_maps),
    "label": (score_seen_classes, score_shuffled_classes),
    "depth": (score_seen_depths, score_shuffled_depths),
}


def score(answered: Answered, tools: Tools) -> Scored:
    """Composites of masked images, and of every case what `score_truth` and `score_image` say of its answer."""
    scored = Scored()
    with_image = [(case, answer["image"]) for case, answer in answered if "image" in answer]
    score_composites([pair for pair in with_image if "masked_image" in pair[0].given], tools, scored)
    for case, answer in answered:
        score_truth(case, answer, tools, scored)
        if "image" in answer:
            score_image(case, answer, tools, scored)
    return scored


def score_real(real: Arrays, tools: Tools) -> Scored:
    """The ceiling: what the judge, shown real images (`image`), says of what is truly in them."""
    scored, case = Scored(), Case("ceiling", "from_image", len(real["image"]))
    for name, seen in judged(real["image"], JUDGED, tools).items():
        JUDGED[name][0](case, seen, real[name], tools, scored)
    return scored


def score_floor(real: Arrays, other: Arrays, tools: Tools) -> Scored:
    """What agrees by chance: the same of everything that is in a real image beside another real image."""
    scored, case = Scored(), Case("floor", "generate", len(real["image"]))
    for name, seen in judged(real["image"], JUDGED, tools).items():
        JUDGED[name][1](case, seen, real[name], tools, scored)
    if "embedding" in tools.judge.method.spec.modalities:
        chance = of_image("shuffled_cosine", tools)
        score_shuffled_cosine(case, real["embedding"], real["embedding"], chance, scored)
    return scored


def score_truth(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """All that is answered but the image against the item's own, where there is one: where anything was given."""
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
    """A drawn image: as a set, unless its seen pixels were given, and whether it shows what it should.

    What it should show is everything else that was given, or was drawn with it.
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
    """What the judge sees in images, uint8 (n, 3, h, w), of the wanted: maps (n, h, w), probabilities (n, classes)."""
    able = tuple(name for name in wanted if name in tools.judge.method.spec.modalities)
    return tools.judged(Task("from_image", ("image",), able), image) if able else {}


def likeliest(label: np.ndarray) -> np.ndarray:
    """Labels (n,) as they are, of probabilities (n, classes) the likeliest class."""
    numbers: np.ndarray = label if label.ndim == 1 else label.argmax(axis=1)
    return numbers


def of_image(name: str, tools: Tools) -> Measure:
    """A measure of images embedded anew; the extractor in its name tells it from that of answered embeddings."""
    return by_extractor(f"{name}[{tools.card['embedding']['extractor']}]", True, tools)
