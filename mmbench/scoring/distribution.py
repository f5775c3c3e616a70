"""Scores of a set of generated images as a whole, the same in every experiment."""

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
    """The items (n, ...) in another order that moves every item (n from 2), always the same for n."""
    order = np.random.default_rng(SEED).permutation(len(array))
    others = np.empty_like(array)
    others[order] = array[np.roll(order, 1)]
    return others


def as_many(array: np.ndarray, count: int) -> np.ndarray:
    """`count` of the items (n, ...), in order, sampled without replacement; always the same ones."""
    return array[np.sort(np.random.default_rng(SEED).permutation(len(array))[:count])]


def equally_many(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets (n, ...) reduced to the size of the smaller one by `as_many`."""
    count = min(len(real), len(fake))
    return as_many(real, count), as_many(fake, count)


def distribution_scores(
    extractor: Extractor, real: np.ndarray, fake: np.ndarray, resize: str
) -> Iterator[tuple[Measure, float, dict[str, Any]]]:
    """Frechet and kernel distance, precision, recall, density and coverage of features (m, d) against real ones (n, d).

    Both sets have equally many items: the larger one is subsampled at random, always in the same way.

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

    counts = {"of_real": len(real), "of_fake": len(fake), "seed": SEED}
    real, fake = equally_many(real, fake)  # FD is biased by 1/n, coverage grows with the number of fake items
    base = {"n_real": len(real), "n_fake": len(fake), "resize": resize, **counts}
    yield measure("fd", False), frechet_distance(real, fake), base
    subsets = {"subsets": KERNEL_SUBSETS, "subset_size": min(KERNEL_SUBSET_SIZE, len(real) // 2), "seed": SEED}
    value, spread = kernel_distance(real, fake, **subsets)
    yield measure("kd", False), value, {**base, **subsets, "sd_over_subsets": spread}
    manifolds = neighbour_scores(real, fake, k=NEIGHBOURS)
    for name in ("precision", "recall", "density", "coverage"):
        yield measure(f"{name}@k{NEIGHBOURS}", True), getattr(manifolds, name), {**base, "k": NEIGHBOURS}


def score_drawn(case: Question, images: np.ndarray, tools: Tools, scored: Scored) -> None:
    """Add the scores of a method's images, uint8 (n, 3, h, w), against the reference split's, by every extractor."""
    for extractor in tools.extractors:
        score_features(case, extractor, tools.features(extractor, images), images.shape[2:], tools, scored)


def score_features(
    case: Question, extractor: Extractor, fake: np.ndarray, size: tuple[int, ...], tools: Tools, scored: Scored
) -> None:
    """Add the scores of a method's images of one size by an extractor's features (n, d) of them."""
    real, resize = tools.reference.features[extractor.name], extractor.resize_name(*size)
    for measure, value, detail in distribution_scores(extractor, real, fake, resize):
        scored.add(case, measure, value, len(fake), {**detail, "real_split": tools.reference.card["split"]})
