"""How many training seeds would decide what is open, if further seeds spread as those at hand do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from mmbench.claims.language import Bounds
from mmbench.claims.verdicts import Over, PartOutcome, State, Trial, shares, summarise
from mmbench.scoring.statistics import LEVEL

#: The chance of a decision that so many seeds must have.
POWER = 0.8
#: More are not counted: that many trainings are out of reach, and the estimate is too rough.
MOST = 1000


@dataclass(frozen=True)
class Needed:
    """Seeds that it would take to decide that a claim holds, and that it fails; infinite where none would.

    With the mean where it is, more seeds lead to one of the two only.
    """

    holds: float = math.inf
    fails: float = math.inf

    @property
    def seeds(self) -> float:
        """That lead to either decision."""
        return min(self.holds, self.fails)

    @property
    def decision(self) -> State:
        """Which of the two."""
        return "holds" if self.holds <= self.fails else "fails"


def needed_of(trial: Trial, logarithmic: bool, bounds: Bounds, confirm: int, refute: int) -> Needed:
    """What it takes to decide one case; no number of seeds where these show no spread.

    Args:
        trial: the case.
        logarithmic: whether its values are ratios.
        bounds: where the claim holds.
        confirm: the number that divides the error of an interval which confirms the claim.
        refute: the number that divides the error of an interval which refutes the claim.
    """
    if trial.state != "open":
        return Needed(holds=0) if trial.state == "holds" else Needed(fails=0)
    if trial.summary is None or not trial.summary.sd:
        return Needed()
    sd = summarise(list(trial.values.values()), logarithmic).sd
    mean, low, high = (_scale(x, logarithmic) for x in (trial.summary.mean, bounds.low, bounds.high))
    distances = [abs(end - mean) / sd for end in (low, high) if math.isfinite(end)] if sd else []
    if low < mean < high:
        return Needed(holds=seeds_needed(distances, 1 - (1 - LEVEL) / confirm))
    return Needed(fails=seeds_needed([min(distances)], 1 - (1 - LEVEL) / refute))


def _scale(value: float, logarithmic: bool) -> float:
    if not logarithmic:
        return value
    return math.log(value) if value > 0 else -math.inf


def seeds_needed(distances: Sequence[float], level: float) -> float:
    """The fewest seeds whose t-interval leaves out every end with the chance `POWER`; infinite beyond `MOST`.

    Student's t of n seeds has the noncentrality d sqrt(n) against an end at a distance of d standard deviations, so the
    interval reaches that end with the chance P(t < t_crit); the chances of several ends are added, which is cautious.

    Args:
        distances: of the mean from each end that must be left out, in standard deviations of a seed.
        level: of the interval.
    """

    def chance(n: int) -> float:
        critical = float(stats.t.isf((1 - level) / 2, n - 1))
        return 1 - sum(float(stats.nct.cdf(critical, n - 1, d * math.sqrt(n))) for d in distances)

    if min(distances) <= 0 or chance(MOST) < POWER:
        return math.inf
    few, enough = 1, MOST  # the chance rises with the seeds
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if chance(middle) >= POWER else (middle, enough)
    return enough


def combine(parts: Sequence[Needed], over: Over) -> Needed:
    """What it takes for every part to hold, the most demanding one, or for some, the least; to fail, the reverse."""
    if not parts:
        return Needed()
    first, second = (max, min) if over == "every" else (min, max)
    return Needed(first(part.holds for part in parts), second(part.fails for part in parts))


def needed_by_case(part: PartOutcome, tested: int) -> list[Needed]:
    """What it takes to decide each case of a part, where so many parts of the claim are tested."""
    confirm, refute = shares(part.comparison.part.over, len(part.trials), tested)
    logarithmic, bounds = part.comparison.ours.logarithmic, part.comparison.holds
    return [needed_of(trial, logarithmic, bounds, confirm, refute) for trial in part.trials]


def needed_for(parts: Sequence[PartOutcome]) -> Needed:
    """What it takes to decide a claim of these parts; a part that was not tested keeps it from holding."""
    tested = sum(bool(part.trials) for part in parts)
    return combine([combine(needed_by_case(part, tested), part.comparison.part.over) for part in parts], "every")
