"""The verdict on a claim by results: values by seed, and intervals over training seeds alone.

A claim holds if all its parts hold; a part is about every case of its task, or about some case. A statement about every
case is confirmed case by case at the full level (an intersection-union test needs no adjustment) and refuted by one
case, so the error of refuting it is divided among the cases (Bonferroni). For a statement about some case, confirming
and refuting are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmbench.claims.evidence import Evidence, Untested, evidence_of
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
        methods: the methods whose numbers are compared.
        values: the value of the expression, by the seeds that all these methods have.
        dropped: the seeds that only some of the methods have.
        summary: mean and interval at the usual level; None if the expression has no value.
        state: whether the claim holds in this case.
        why: the reason for which the case must stay open; empty if there is none.
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
    """A part with the trials of its cases; if it has none, `missing` says what the results lack."""

    comparison: Comparison
    trials: Sequence[Trial]
    state: State
    missing: str = ""


@dataclass(frozen=True)
class Outcome:
    """A claim with the outcomes of its parts."""

    statement: Statement
    parts: Sequence[PartOutcome]

    @property
    def verdict(self) -> Verdict:
        """The verdict: a claim with a part that was not tested can fail, but cannot be reproduced.

        A claim whose source also says the opposite is contested, whatever the results are.
        """
        if not any(part.trials for part in self.parts):
            return "not tested"
        if self.statement.claim.contested:
            return "contested"
        return VERDICTS[join([part.state for part in self.parts], "every")]

    @property
    def missing(self) -> list[str]:
        """What the results lack to test the claim, each entry once."""
        lacks = [part.missing for part in self.parts if part.missing]
        return list(dict.fromkeys(lacks or filter(None, [self.statement.claim.not_testable])))


def assess_all(statements: Sequence[Statement], results: Results) -> list[Outcome]:
    """The outcome of every claim by the results of a run."""
    evidence = {experiment.name: evidence_of(experiment) for experiment in results.experiments}
    return [assess(statement, evidence) for statement in statements]


def assess(statement: Statement, evidence: Mapping[str, Evidence]) -> Outcome:
    """The outcome of a claim by the evidence of each experiment."""
    parts = [(comparison, *_trials(comparison, evidence)) for comparison in statement.comparisons]
    tested = sum(bool(trials) for _, trials, _ in parts)
    return Outcome(statement, [_judged(comparison, trials, tested, lack) for comparison, trials, lack in parts])


def _trials(comparison: Comparison, evidence: Mapping[str, Evidence]) -> tuple[list[Trial], str]:
    """The trials of all cases of a part, all of them open; if there are none, what the results lack."""
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
    """The trial of one case: the value of the expression for each seed that all methods have."""
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
        why = "a value of 0, or values of both signs, has no ratio"
        return Trial(case, methods, {}, dropped, None, why=why)
    why = ""
    if len(values) == 1:
        why = "one training seed: no interval"
    elif len(set(values.values())) == 1:
        why = "all seeds have the same value to the last digit, so their spread is not known"
    return Trial(case, methods, values, dropped, summary, why=why)


def _judged(comparison: Comparison, trials: Sequence[Trial], parts: int, missing: str) -> PartOutcome:
    """The outcome of a part from its trials, if `parts` parts of the claim are tested."""
    over, logarithmic = comparison.part.over, comparison.ours.logarithmic
    confirm, refute = shares(over, len(trials), parts)
    trials = [
        replace(t, state=state_of(list(t.values.values()), logarithmic, comparison.holds, confirm, refute))
        for t in trials
    ]
    return PartOutcome(comparison, trials, join([trial.state for trial in trials], over), missing)


def summarise(values: Sequence[float], logarithmic: bool, level: float = LEVEL) -> SeedSummary:
    """Mean and t-interval over seeds; for ratios those of the logarithms, transformed back (the geometric mean).

    Raises:
        ValueError: there are no values, one is not finite, or a ratio is not above 0.
    """
    return (over_logarithms if logarithmic else over_seeds)(values, level)


def state_of(values: Sequence[float], logarithmic: bool, bounds: Bounds, confirm: int, refute: int) -> State:
    """Whether a case holds, fails or stays open.

    It stays open with one seed. It also stays open if all seeds have the same value to the last digit, since the metric
    is then too coarse to show their spread.

    Args:
        bounds: the values at which the claim holds.
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
    """The numbers that divide the errors of confirming and of refuting a case, for these numbers of cases and parts."""
    return (1, cases * parts) if over == "every" else (cases, parts)


def join(states: Sequence[State], over: Over) -> State:
    """The state of a part from the states of its cases; with `every`, also the state of a claim from its parts."""
    order: tuple[State, State] = ("fails", "holds") if over == "every" else ("holds", "fails")
    decisive, unanimous = order
    if decisive in states:
        return decisive
    return unanimous if states and all(state == unanimous for state in states) else "open"
