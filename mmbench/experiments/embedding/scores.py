"""Embedding: embeddings against the true ones, and images by their embeddings from the frozen extractor.

The extractor that embedded the data embeds a generated image with the same scaling. The result is compared with the
embedding that the image was generated from, or together with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mmbench.experiments.experiment import Case
from mmbench.files.store import Arrays
from mmbench.scoring.distribution import equally_many, score_drawn
from mmbench.scoring.embeddings import by_extractor, score_retrieval, score_shuffled_cosine
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.retrieval import cosine
from mmbench.scoring.scores import Answered, Measure, Question, Scored, Tools


def score(answered: Answered, tools: Tools) -> Scored:
    """The scores of each task: see `score_embed`, `score_paint` and `score_generate`."""
    scored = Scored()
    by_task = {"embed": score_embed, "paint": score_paint, "generate": score_generate}
    for case, answer in answered:
        by_task[case.task](case, answer, tools, scored)
    return scored


def score_floor(real: Arrays, other: Arrays, tools: Tools) -> Scored:
    """Scores of real embeddings: shuffled among themselves, and another split's against this split's as a set."""
    scored = Scored()
    embedding = real["embedding"]
    chance = by_extractor("shuffled_cosine", True, tools)
    score_shuffled_cosine(Case("floor", "paint", len(embedding)), embedding, embedding, chance, scored)
    case = Case("floor", "generate", len(other["embedding"]))
    score_set(case, other["embedding"], embedding, {"real": "the reference split"}, tools, scored)
    return scored


def score_embed(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Cosine of each embedding with the true one, retrieval both ways, and the distance to real ones as a set."""
    predicted, truth = answer["embedding"], case.truth["embedding"]
    scored.add_each(case, Measure("cosine", True), torch.from_numpy(cosine(predicted, truth)), {})
    score_retrieval(case, {"predicted": predicted, "true": truth}, Measure, scored)
    score_set(case, predicted, tools.reference.arrays["embedding"], of_split(tools), tools, scored)


def score_paint(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Generated images against real ones as a set, and their embeddings against those that were given."""
    score_drawn(case, answer["image"], tools, scored)
    score_agreement(case, case.given["embedding"], answer["image"], "given", tools, scored)


def score_generate(case: Question, answer: Arrays, tools: Tools, scored: Scored) -> None:
    """Generated images and generated embeddings against real ones as sets, and the agreement of each pair."""
    score_drawn(case, answer["image"], tools, scored)
    score_set(case, answer["embedding"], tools.reference.arrays["embedding"], of_split(tools), tools, scored)
    score_agreement(case, answer["embedding"], answer["image"], "drawn", tools, scored)


def score_agreement(
    case: Question, embedding: np.ndarray, images: np.ndarray, origin: str, tools: Tools, scored: Scored
) -> None:
    """Cosine and retrieval of embeddings (n, d) against those of the images, and the same values by chance."""
    seen = tools.embedded(images)
    each = torch.from_numpy(cosine(embedding, seen))
    scored.add_each(case, by_extractor("cosine", True, tools), each, {"of": f"{origin} embedding and image"})
    score_shuffled_cosine(case, embedding, seen, by_extractor("shuffled_cosine", True, tools), scored)

    def measure(name: str, higher_is_better: bool) -> Measure:
        return by_extractor(name, higher_is_better, tools)

    score_retrieval(case, {origin: embedding, "image": seen}, measure, scored)


def score_set(
    case: Question, embedding: np.ndarray, real: np.ndarray, detail: dict[str, Any], tools: Tools, scored: Scored
) -> None:
    """`fd_embedding[<extractor>]`: Frechet distance of embeddings (m, d) to equally many real ones (n, d)."""
    measure = by_extractor(f"fd_embedding[{tools.card['embedding']['extractor']}]", False, tools)
    some, fake = equally_many(real, embedding)
    detail = {"n_real": len(some), "n_fake": len(fake), **detail}
    scored.add(case, measure, frechet_distance(some, fake), len(embedding), detail)


def of_split(tools: Tools) -> dict[str, Any]:
    """The split of the real embeddings."""
    return {"real_split": tools.reference.card["split"]}
