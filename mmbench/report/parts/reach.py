"""Learning curves: scores by compute, and the inverse: the compute that is needed to reach a quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from mmbench.report.parts.section import Headline
from mmbench.runs.results import ExperimentResults
from mmbench.runs.run import Run
from mmbench.scoring.statistics import SeedSummary, over_logarithms

Bound = Literal["", "≤", "≥"]


@dataclass(frozen=True)
class Reach:
    """The compute at which a quality is reached; with `bound`, it is only an upper (or lower) bound."""

    compute: float
    bound: Bound = ""


def compute_to_reach(
    compute: Sequence[float], values: Sequence[float], target: float, *, higher_is_better: bool
) -> Reach | None:
    """The compute at which a learning curve first reaches `target`; None if it never does.

    The curve takes the best value so far (once reached, a quality stays reached) and is linear in the logarithm of
    compute between points. There is no curve before the first point: if that reaches the target, it is a bound.

    Args:
        compute: (n,) positive and rising, n >= 1.
        values: (n,) the metric there.
        higher_is_better: the direction of the metric.

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


def ratio(studied: Reach, base: Reach) -> Reach | None:
    """`studied` as a multiple of `base`; None if both are bounds, whose ratio is unknown."""
    if studied.bound and base.bound:
        return None
    turned: dict[Bound, Bound] = {"": "", "≤": "≥", "≥": "≤"}
    return Reach(studied.compute / base.compute, studied.bound or turned[base.bound])


def over_ratios(ratios: Sequence[Reach]) -> tuple[Reach, SeedSummary] | None:
    """Geometric mean of one ratio per seed, and mean and interval of their logarithms, exponentiated.

    Returns:
        The mean, a bound if any of the ratios is one, and the summary, without an interval if so; None without ratios
        or if some are bounds from above and others from below.
    """
    bounds = {r.bound for r in ratios} - {""}
    if not ratios or len(bounds) > 1:
        return None
    summary = over_logarithms([r.compute for r in ratios])
    mean = Reach(summary.mean, bounds.pop() if bounds else "")
    return mean, replace(summary, low=None, high=None) if mean.bound else summary


COLUMNS = ["question", "case", "metric", "method", "title", "seed", "share", "flops", "images", "seconds", "value"]
COSTS = {"flops": "training_flops", "images": "images_seen", "seconds": "train_seconds"}


@dataclass(frozen=True)
class Goal:
    """The target of a question: the final score of a method, seed by seed."""

    line: Headline
    method: str
    curves: Mapping[int, pd.DataFrame]

    @property
    def values(self) -> dict[int, float]:
        """The score to reach by seed."""
        return {seed: float(curve["value"].iloc[-1]) for seed, curve in self.curves.items()}


def curve_frame(results: ExperimentResults, lines: Sequence[Headline]) -> pd.DataFrame:
    """One row per question, method, seed and share of the training run, by compute; only of trained methods."""
    rows = []
    for run in [*results.snapshots, *results.runs]:
        cost = {name: run.cost.get(key) for name, key in COSTS.items()}
        if not cost["flops"]:
            continue
        for line in lines:
            if (value := value_of(run, line)) is not None:
                asked = {"question": line.question, "case": line.case, "metric": line.board.metric}
                who = {"method": run.method, "title": run.title, "seed": run.seed, "share": run.share}
                rows.append({**asked, **who, **cost, "value": value})
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({name: float for name in ("share", *COSTS, "value")})
    return frame.sort_values(["question", "metric", "method", "seed", "share"], kind="stable", ignore_index=True)


def value_of(run: Run, line: Headline) -> float | None:
    """A run's score on a question; None if it was not evaluated on it, or the score could not be measured."""
    for row in run.scores["metrics"]:
        if (row["name"], row["case"]) == (line.board.metric, line.case) and row["value"] is not None:
            return float(row["value"])
    return None


def of_line(frame: pd.DataFrame, line: Headline) -> pd.DataFrame:
    """The rows of one question."""
    return frame[(frame["metric"] == line.board.metric) & (frame["case"] == line.case)]


def by_seed(frame: pd.DataFrame, line: Headline, method: str) -> dict[int, pd.DataFrame]:
    """The curves of a method in a question, by finished seed."""
    rows = of_line(frame, line)
    curves = {int(seed): curve for seed, curve in rows[rows["method"] == method].groupby("seed")}
    return {seed: curve for seed, curve in curves.items() if curve["share"].iloc[-1] == 1}


def make_goal(frame: pd.DataFrame, line: Headline, method: str) -> Goal | None:
    """The final score of a method as a target; None if it was not trained, or not evaluated on the question."""
    curves = by_seed(frame, line, method)
    return Goal(line, method, curves) if curves else None


def baseline_goal(results: ExperimentResults, frame: pd.DataFrame, line: Headline) -> Goal | None:
    """The best final score of a baseline trained at full length, without variants; None if there is none."""
    trained, studied = set(of_line(frame, line)["method"]), results.studied
    ranks = {
        method: line.board.entries[method, line.case].rank
        for method in sorted(trained)
        if method not in studied and "@" not in method
    }
    return make_goal(frame, line, min(ranks, key=lambda method: ranks[method])) if ranks else None
