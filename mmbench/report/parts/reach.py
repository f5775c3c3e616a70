"""How much compute a quality takes: learning curves read the other way round, and their ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mmbench.scoring.statistics import SeedSummary, over_logarithms

Bound = Literal["", "≤", "≥"]


@dataclass(frozen=True)
class Reach:
    """The compute at which a quality is reached; with a bound, all that is known is that it is no more (or no less)."""

    compute: float
    bound: Bound = ""


def compute_to_reach(
    compute: Sequence[float], values: Sequence[float], target: float, *, higher_is_better: bool
) -> Reach | None:
    """Where a learning curve first is as good as `target`; None if it never is.

    The curve goes through the best value so far (once reached, a quality stays reached) and is linear in the logarithm
    of compute between points. There is no curve before the first point: if that is good enough, it is a bound.

    Args:
        compute: (n,) positive and rising, n >= 1.
        values: (n,) the metric there.
        target: its value to reach.
        higher_is_better: its direction.

    Raises:
        ValueError: compute is not positive and rising, the numbers of points differ, or a number is not finite.
    """
    x, y = np.asarray(compute, float), np.asarray(values, float)
    if x.shape != y.shape or x.ndim != 1 or not len(x) or not np.isfinite([*x, *y, target]).all():
        raise ValueError(f"need as many finite values as points, got {compute!r}, {values!r} and {target!r}")
    if x[0] <= 0 or (np.diff(x) <= 0).any():
        raise ValueError(f"compute must be positive and rising, got {compute!r}")
    sign = 1 if higher_is_better else -1
    best, goal = np.maximum.accumulate(sign * y), sign * target
    if best[-1] < goal:
        return None
    after = int(np.argmax(best >= goal))
    if after == 0:
        return Reach(float(x[0]), "≤")
    way = (goal - best[after - 1]) / (best[after] - best[after - 1])
    return Reach(float(x[after - 1] * (x[after] / x[after - 1]) ** way))


def ratio(own: Reach, base: Reach) -> Reach | None:
    """`own` as a multiple of `base`; None where both are bounds, which says nothing."""
    if own.bound and base.bound:
        return None
    turned: dict[Bound, Bound] = {"": "", "≤": "≥", "≥": "≤"}
    return Reach(own.compute / base.compute, own.bound or turned[base.bound])


def over_ratios(ratios: Sequence[Reach]) -> tuple[Reach, SeedSummary] | None:
    """Geometric mean of one ratio per seed, and mean and interval of their logarithms, exponentiated.

    Returns:
        The mean, a bound if any of the ratios is one, and the summary, without an interval if so; None without ratios
        or if some are bounds from above and others from below.
    """
    bounds = {r.bound for r in ratios} - {""}
    if not ratios or len(bounds) > 1:
        return None
    found = over_logarithms([r.compute for r in ratios])
    mean = Reach(found.mean, bounds.pop() if bounds else "")
    return mean, replace(found, low=None, high=None) if mean.bound else found
