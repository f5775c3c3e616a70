"""Scores of embeddings, item by item: cosines, their values by chance, and retrieval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmbench.scoring.distribution import SEED, shuffled
from mmbench.scoring.metrics.retrieval import both_ways, cosine
from mmbench.scoring.scores import Measure, Question, Scored, Tools

RETRIEVED = (1, 5)


def by_extractor(name: str, higher_is_better: bool, tools: Tools) -> Measure:
    """A measure on embeddings, with the extractor that made the data's embeddings."""
    described = tools.card["embedding"]
    return Measure(name, higher_is_better, described["extractor"], described["weights_sha256"])


def score_shuffled_cosine(
    case: Question, embedding: np.ndarray, seen: np.ndarray, measure: Measure, scored: Scored
) -> None:
    """The mean cosine of every embedding (n, d) with another item's."""
    value = float(cosine(shuffled(embedding), seen).mean())
    scored.add(case, measure, value, len(seen), {"pairs": "every embedding with another item", "seed": SEED})


def score_retrieval(
    case: Question, sets: dict[str, np.ndarray], measure: Callable[[str, bool], Measure], scored: Scored
) -> None:
    """R@1, R@5 and the median rank, with each of the two named sets once as queries and once as gallery."""
    first, second = sets
    both = both_ways(sets[first], sets[second])
    for query, gallery, places in zip((first, second), (second, first), both, strict=True):
        detail = {"gallery": len(sets[gallery]), "ties": "by chance", "tied_queries": int((places.tied > 0).sum())}
        for k in RETRIEVED:
            name = f"retrieval@{k}/{query}-{gallery}"
            scored.add(case, measure(name, True), places.recall(k), case.count, {**detail, "k": k})
        name = f"median_rank/{query}-{gallery}"
        scored.add(case, measure(name, False), places.median_rank, case.count, detail)
