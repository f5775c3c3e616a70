"""Scores of a set of drawn images as a whole, the same in every experiment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmbench.errors import UserError
from mmbench.frozen.features import Extractor
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.kernel import kernel_distance
from mmbench.scoring.metrics.neighbours import neighbour_scores
from mmbench.scoring.scores import Measure, Question, Scored, Tools

NEIGHBOURS = 5
KERNEL_SUBSETS = 100
KERNEL_SUBSET_SIZE = 1000
SEED = 0


def shuffled(array: np.ndarray) -> np.ndarray:
    """The items (n, ...) in another order, in which none is in its own place (n from 2), always the same for n."""
    order = np.random.default_rng(SEED).permutation(len(array))
    others = np.empty_like(array)
    others[order] = array[np.roll(order, 1)]
    return others


def as_many(array: np.ndarray, count: int) -> np.ndarray:
    """`count` of the items (n, ...), in their order, drawn without replacement; always the same ones."""
    return array[np.sort(np.random.default_rng(SEED).permutation(len(array))[:count])]


def distribution_scores(
    extractor: Extractor, real: np.ndarray, fake: np.ndarray, resize: str
) -> Iterator[tuple[Measure, float, dict[str, Any]]]:
    """Frechet and kernel distance, precision, recall, density and coverage of features (m, d) against real ones (n, d).

    Yields:
        The measure, its value, and how it was computed.

    Raises:
        UserError: there are too few images for the neighbours.
    """
    if min(len(real), len(fake)) <= NEIGHBOURS:
        raise UserError(
            f"evaluate.samples: {len(fake)} images against {len(real)} real ones are too few to compare; "
            f"both must be more than {NEIGHBOURS}"
        )

    def measure(name: str, higher_is_better: bool) -> Measure:
        return Measure(f"{name}[{extractor.name}]", higher_is_better, extractor.name, extractor.weights_sha256)

    base = {"n_real": len(real), "n_fake": len(fake), "resize": resize}
    yield measure("fd", False), frechet_distance(real, fake), base
    subsets = {
        "subsets": KERNEL_SUBSETS,
        "subset_size": min(KERNEL_SUBSET_SIZE, len(real) // 2, len(fake) // 2),
        "seed": SEED,
    }
    value, spread = kernel_distance(real, fake, **subsets)
    yield measure("kd", False), value, {**base, **subsets, "sd_over_subsets": spread}
    whole = neighbour_scores(real, fake, k=NEIGHBOURS)
    yield measure(f"precision@k{NEIGHBOURS}", True), whole.precision, {**base, "k": NEIGHBOURS}
    yield measure(f"recall@k{NEIGHBOURS}", True), whole.recall, {**base, "k": NEIGHBOURS}
    least, found = min(len(real), len(fake)), whole
    if len(real) != len(fake):  # coverage grows with the number of fake items, so it needs as many of both
        found = neighbour_scores(as_many(real, least), as_many(fake, least), k=NEIGHBOURS)
    equal = {
        "k": NEIGHBOURS,
        "n_real": least,
        "n_fake": least,
        "of_real": len(real),
        "of_fake": len(fake),
        "seed": SEED,
    }
    yield measure(f"density@k{NEIGHBOURS}", True), found.density, {**base, **equal}
    yield measure(f"coverage@k{NEIGHBOURS}", True), found.coverage, {**base, **equal}


def score_drawn(case: Question, images: np.ndarray, tools: Tools, scored: Scored) -> None:
    """Add the scores of a method's images, uint8 (n, 3, h, w), against the reference split's, by every extractor."""
    for extractor in tools.extractors:
        score_features(case, extractor, tools.features(extractor, images), images.shape[2:], tools, scored)


def score_features(
    case: Question, extractor: Extractor, fake: np.ndarray, size: tuple[int, ...], tools: Tools, scored: Scored
) -> None:
    """Add the scores of a method's images of a size by an extractor's features (n, d) of them."""
    real, resize = tools.reference.features[extractor.name], extractor.resize_name(*size)
    for measure, value, detail in distribution_scores(extractor, real, fake, resize):
        scored.add(case, measure, value, len(fake), {**detail, "real_split": tools.reference.card["split"]})
