"""Inception score (Salimans et al. 2016) of class probabilities, whatever the classifier."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import rel_entr

from mmbench.scoring.metrics.classification import check_probabilities


def inception_score(probabilities: np.ndarray, splits: int = 1) -> tuple[float, float]:
    """exp of the mean KL divergence of the items' class probabilities from their average.

    With one split it is of all items, as Barratt and Sharma 2018 advise: means over splits depend on their number.

    Args:
        probabilities: of a classifier (n, classes).
        splits: consecutive parts of which each has its own average.

    Returns:
        Mean and standard deviation over the splits. A score is from 1 (the classifier sees the same in all items) to
        the number of classes (it is sure of each, and sees all equally often).

    Raises:
        ValueError: the rows are not distributions, or there are fewer items than splits.
    """
    p = check_probabilities(probabilities)
    if not 1 <= splits <= len(p):
        raise ValueError(f"{splits} splits of {len(p)} items")
    edges = [i * len(p) // splits for i in range(splits + 1)]
    parts = [p[start:end] for start, end in pairwise(edges)]
    scores = [np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))
