"""How alike two extractors rank the same methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

#: Two methods are in the same order or in the reverse: that says nothing.
FEWEST = 3


@dataclass(frozen=True)
class Agreement:
    """Of two rankings of the same methods.

    Attributes:
        count: of the methods.
        tau: Kendall's tau-b, -1 to 1; None where a ranking has nothing but ties.
        rho: Spearman's rho, likewise.
    """

    count: int
    tau: float | None
    rho: float | None


def rank_agreement(first: Mapping[str, float], second: Mapping[str, float]) -> Agreement | None:
    """How alike two metrics rank the methods that have both, from 1 (the same order) to -1 (the reverse).

    tau_b = (C - D) / sqrt((C + D + T_1) (C + D + T_2)) of the C concordant and D discordant pairs of methods, and those
    tied in one ranking only (Kendall 1945); rho is the correlation of their ranks (Spearman 1904).

    Args:
        first: a value of each method; both have the same direction.
        second: of another metric.

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
