"""What results make of a claim: values by seed, intervals over training seeds alone, a verdict.

A claim is the conjunction of its parts, a part is about every case of its task or about some. What must hold everywhere
is confirmed case by case at the full level (an intersection-union test needs no adjustment) and refuted by one case, so
refuting shares the error among the cases; what must hold somewhere is the other way round. Shares are Bonferroni's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmbench.claims.evidence import Evidence, Untested, gather
from mmbench.claims.language import Bounds
from mmbench.claims.statements import Comparison, Statement
from mmbench.runs.results import Results
from mmbench.scoring.statistics import LEVEL, SeedSummary, over_logarithms, over_seeds

State = Literal["holds", "fails", "open"]
Over = Literal["every", "some"]
Verdict = Literal["reproduced", "not reproduced", "inconclusive", "contested", "not tested"]
VERDICTS: dict[State, Verdict] = {"holds": "reproduced", "fails": "not reproduced", "open": "inconclusive"}


@dataclass(frozen=True)
class Trial:
    """One case of a part.

    Attributes:
        case: its name.
        methods: whose numbers are compared.
        values: of the expression, by the seeds that all of them have.
        dropped: seeds that only some of them have.
        summary: mean and interval at the usual level; None if an expression has no value.
        state: what it means for the claim.
        why: why it must stay open, if it must.
    """

    case: str
    methods: Sequence[str]
    values: Mapping[int, float]
    dropped: Sequence[int]
    summary: SeedSummary | None
    state: State = "open"
    why: str = ""


@dataclass(frozen=True)
class PartOutcome:
    """A part with the trials of its cases; without any, `missing` says what the results lack."""

    comparison: Comparison
    trials: Sequence[Trial]
    state: State
    missing: str = ""


@dataclass(frozen=True)
class Outcome:
    """A claim and what came of it."""

    statement: Statement
    parts: Sequence[PartOutcome]

    @property
    def verdict(self) -> Verdict:
        """Computed from the parts; one that was not tested keeps a claim from being reproduced, not from failing.

        A claim whose source also says the opposite is contested whatever the results are.
        """
        if not any(part.trials for part in self.parts):
            return "not tested"
        if self.statement.claim.contested:
            return "contested"
        return VERDICTS[join([part.state for part in self.parts], "every")]

    @property
    def missing(self) -> list[str]:
        """What the results lack for it, each once."""
        lacks = [part.missing for part in self.parts if part.missing]
        return list(dict.fromkeys(lacks or filter(None, [self.statement.claim.not_testable])))


def assess_all(statements: Sequence[Statement], results: Results) -> list[Outcome]:
    """Every claim held against the results of a run."""
    evidence = gather(results)
    return [assess(statement, evidence) for statement in statements]


def assess(statement: Statement, evidence: Mapping[str, Evidence]) -> Outcome:
    """Hold a claim against the results, by experiment."""
    parts = [(comparison, *_trials(comparison, evidence)) for comparison in statement.comparisons]
    tested = sum(bool(trials) for _, trials, _ in parts)
    return Outcome(statement, [_judged(comparison, trials, tested, lack) for comparison, trials, lack in parts])


def _trials(comparison: Comparison, evidence: Mapping[str, Evidence]) -> tuple[list[Trial], str]:
    """Every case of a part, not judged yet; or, if there is none, what is missing."""
    experiment, task = comparison.part.experiment, comparison.part.task
    if experiment not in evidence:
        return [], f"no experiment {experiment}"
    if not (cases := evidence[experiment].cases.get(task)):
        return [], f"no task {task} in {experiment}"
    try:
        return [_trial(comparison, evidence[experiment], case) for case in cases], ""
    except Untested as lack:
        return [], f"{experiment}: {lack}"


def _trial(comparison: Comparison, evidence: Evidence, case: str) -> Trial:
    """The expression's value for each seed that all methods have."""
    numbers = {number: evidence.find(number, case) for number in comparison.ours.numbers}
    seeds = [set(by_seed) for _, by_seed in numbers.values()]
    shared, every = sorted(set.intersection(*seeds)), set.union(*seeds)
    methods = list(dict.fromkeys(method for method, _ in numbers.values()))
    if not shared:
        raise Untested(f"no training seed that {' and '.join(methods)} share")
    dropped = sorted(every - set(shared))
    try:
        values = {
            seed: comparison.ours.run({number: by_seed[seed] for number, (_, by_seed) in numbers.items()})
            for seed in shared
        }
        summary = summarise(list(values.values()), comparison.ours.logarithmic)
    except (ZeroDivisionError, OverflowError, ValueError):
        why = "a value of 0, or on either side of it, has no ratio"
        return Trial(case, methods, {}, dropped, None, why=why)
    why = ""
    if len(values) == 1:
        why = "one training seed: no interval"
    elif len(set(values.values())) == 1:
        why = "the seeds agree to the last digit, which hides their spread"
    return Trial(case, methods, values, dropped, summary, why=why)


def _judged(comparison: Comparison, trials: Sequence[Trial], parts: int, missing: str) -> PartOutcome:
    """A part's trials with their state and its own, where so many parts of the claim are tested."""
    over, logarithmic = comparison.part.over, comparison.ours.logarithmic
    confirm, refute = shares(over, len(trials), parts)
    trials = [
        replace(t, state=state_of(list(t.values.values()), logarithmic, comparison.holds, confirm, refute))
        for t in trials
    ]
    return PartOutcome(comparison, trials, join([trial.state for trial in trials], over), missing)


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
        confirm: the number that divides the error of an interval which confirms the claim.
        refute: the number that divides the error of an interval which refutes the claim.
    """
    if len(values) < 2 or min(values) == max(values):
        return "open"
    tests: list[tuple[State, int, Callable[[float, float], bool]]]
    tests = [("holds", confirm, bounds.contain), ("fails", refute, bounds.miss)]
    for state, divisor, test in tests:
        summary = summarise(values, logarithmic, 1 - (1 - LEVEL) / divisor)
        if summary.low is not None and summary.high is not None and test(summary.low, summary.high):
            return state
    return "open"


def shares(over: Over, cases: int, parts: int) -> tuple[int, int]:
    """By how much the errors of confirming and of refuting a case are divided, in a claim of so many parts."""
    return (1, cases * parts) if over == "every" else (cases, parts)


def join(states: Sequence[State], over: Over) -> State:
    """The state of a part from those of its cases: of every case, or of some; `every` joins parts, too."""
    order: tuple[State, State] = ("fails", "holds") if over == "every" else ("holds", "fails")
    decisive, unanimous = order
    if decisive in states:
        return decisive
    return unanimous if states and all(state == unanimous for state in states) else "open"
