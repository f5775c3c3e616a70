"""The training seeds that would decide an open claim, if further seeds have the spread of the present ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from mmbench.claims.language import Bounds
from mmbench.claims.verdicts import Over, PartOutcome, State, Trial, shares, summarise
from mmbench.scoring.statistics import LEVEL

#: The probability of a decision that the seeds must give.
POWER = 0.8
#: The largest number that is searched: more training runs are out of reach, and the estimate is too rough.
MOST = 1000


@dataclass(frozen=True)
class Needed:
    """The seeds that are needed to decide that a claim holds, and that it fails; infinite if no number decides it.

    With the present mean, more seeds lead to only one of the two decisions.
    """

    holds: float = math.inf
    fails: float = math.inf

    @property
    def seeds(self) -> float:
        """The seeds that are needed for either decision."""
        return min(self.holds, self.fails)

    @property
    def decision(self) -> State:
        """The decision that these seeds lead to."""
        return "holds" if self.holds <= self.fails else "fails"


def needed_of(trial: Trial, logarithmic: bool, bounds: Bounds, confirm: int, refute: int) -> Needed:
    """The seeds that are needed to decide one case; infinite if the present seeds have no spread.

    The other arguments are those of `mmbench.claims.verdicts.state_of`.
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
    """The fewest seeds whose t-interval excludes every end with the probability `POWER`; infinite beyond `MOST`.

    Student's t of n seeds has the noncentrality d sqrt(n) against an end at a distance of d standard deviations, so the
    interval reaches that end with the probability P(t < t_crit); those of several ends are added, which is cautious.

    Args:
        distances: the distance of the mean from each end to exclude, in standard deviations of a seed.
    """

    def chance(n: int) -> float:
        critical = float(stats.t.isf((1 - level) / 2, n - 1))
        return 1 - sum(float(stats.nct.cdf(critical, n - 1, d * math.sqrt(n))) for d in distances)

    if min(distances) <= 0 or chance(MOST) < POWER:
        return math.inf
    few, enough = 1, MOST  # the probability rises with the seeds
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if chance(middle) >= POWER else (middle, enough)
    return enough


def combine(parts: Sequence[Needed], over: Over) -> Needed:
    """The seeds needed by all parts together: for `every` to hold, those of the most demanding part, for `some` of the
    least demanding one; to fail, the reverse.
    """
    if not parts:
        return Needed()
    first, second = (max, min) if over == "every" else (min, max)
    return Needed(first(part.holds for part in parts), second(part.fails for part in parts))


def needed_by_case(part: PartOutcome, tested: int) -> list[Needed]:
    """The seeds that are needed to decide each case of a part, if `tested` parts of the claim are tested."""
    confirm, refute = shares(part.comparison.part.over, len(part.trials), tested)
    logarithmic, bounds = part.comparison.ours.logarithmic, part.comparison.holds
    return [needed_of(trial, logarithmic, bounds, confirm, refute) for trial in part.trials]


def needed_for(parts: Sequence[PartOutcome]) -> Needed:
    """The seeds that are needed to decide a claim of these parts; it cannot hold if one of them was not tested."""
    tested = sum(bool(part.trials) for part in parts)
    return combine([combine(needed_by_case(part, tested), part.comparison.part.over) for part in parts], "every")
