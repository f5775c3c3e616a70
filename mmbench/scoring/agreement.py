"""The agreement of two extractors' rankings of the same methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

#: Two methods are not enough: their order can only be the same or reversed.
FEWEST = 3


@dataclass(frozen=True)
class Agreement:
    """The agreement of two rankings of the same methods.

    Attributes:
        tau: Kendall's tau-b, -1 to 1; None if a ranking has only ties.
        rho: Spearman's rho, likewise.
    """

    count: int
    tau: float | None
    rho: float | None


def rank_agreement(first: Mapping[str, float], second: Mapping[str, float]) -> Agreement | None:
    """The agreement of two metrics' rankings of the methods that have both, from 1 (same order) to -1 (reverse).

    tau_b = (C - D) / sqrt((C + D + T_1) (C + D + T_2)), with C concordant and D discordant pairs of methods and T_1 and
    T_2 pairs tied in one ranking only (Kendall 1945); rho is the correlation of their ranks (Spearman 1904).

    Args:
        first: the value of each method by one metric.
        second: the same by another metric of the same direction.

    Returns:
        None for fewer than three methods.
    """
    methods = sorted(first.keys() & second.keys())
    if len(methods) < FEWEST:
        return None
    x, y = ([values[method] for method in methods] for values in (first, second))
    if len(set(x)) == 1 or len(set(y)) == 1:
        return Agreement(len(methods), None, None)
    tau, rho = float(stats.kendalltau(x, y).statistic), float(stats.spearmanr(x, y).statistic)
    return Agreement(len(methods), *(None if math.isnan(value) else value for value in (tau, rho)))
