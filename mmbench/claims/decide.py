"""From the values of single trainings to a verdict, by intervals over training seeds alone.

A claim is the conjunction of its parts, a part is about every case of its task or about some. What must hold everywhere
is confirmed case by case at the full level (an intersection-union test needs no adjustment) and refuted by one case, so
refuting shares the error among the cases; what must hold somewhere is the other way round. Shares are Bonferroni's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mmbench.claims.language import Bounds
from mmbench.scoring.statistics import LEVEL, SeedSummary, over_logarithms, over_seeds

State = Literal["holds", "fails", "open"]
Over = Literal["every", "some"]


def summarise(values: Sequence[float], logarithmic: bool, level: float = LEVEL) -> SeedSummary:
    """Mean and t-interval over seeds; of logarithms, and turned back, for ratios (then the mean is the geometric one).

    Raises:
        ValueError: there are no values, one is not finite, or a ratio is not above 0.
    """
    return (over_logarithms if logarithmic else over_seeds)(values, level)


def state_of(values: Sequence[float], logarithmic: bool, bounds: Bounds, confirm: int, refute: int) -> State:
    """Whether a case holds, fails or stays open.

    It stays open with one seed, and where all seeds agree to the last digit: that is a measure too coarse to show their
    spread, not certainty.

    Args:
        values: one per training seed.
        logarithmic: whether they are ratios.
        bounds: where the claim holds.
        confirm: by how many the error of an interval that confirms is divided.
        refute: the same of one that refutes.
    """
    if len(values) < 2 or min(values) == max(values):
        return "open"
    for word, share, test in (("holds", confirm, bounds.contain), ("fails", refute, bounds.miss)):
        found = summarise(values, logarithmic, 1 - (1 - LEVEL) / share)
        if found.low is not None and found.high is not None and test(found.low, found.high):
            return "holds" if word == "holds" else "fails"
    return "open"


def shares(over: Over, cases: int, parts: int) -> tuple[int, int]:
    """By how much the errors of confirming and of refuting a case are divided, in a claim of so many parts."""
    return (1, cases * parts) if over == "every" else (cases, parts)


def join(states: Sequence[State], over: Over) -> State:
    """The state of a part from those of its cases: of every case, or of some; `every` joins parts, too."""
    first, all_of = ("fails", "holds") if over == "every" else ("holds", "fails")
    if first in states:
        return "fails" if over == "every" else "holds"
    return states[0] if states and all(state == all_of for state in states) else "open"
