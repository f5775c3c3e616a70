"""A claim held against the results of one report: values by seed, intervals, a verdict, and what cannot be tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmbench.claims.decide import State, join, shares, state_of, summarise
from mmbench.claims.language import Number
from mmbench.claims.read import Comparison, Stated
from mmbench.scoring.statistics import SeedSummary

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not tested"]
VERDICTS: dict[State, Verdict] = {"holds": "reproduced", "fails": "not reproduced", "open": "inconclusive"}


class Untested(Exception):
    """The results lack something; the message says what."""


@dataclass(frozen=True)
class Evidence:
    """The numbers of an experiment.

    Attributes:
        values: by method, metric and case, a value per training seed.
        higher: whether a metric is better when it is higher.
        baselines: methods that may be the best baseline.
        cases: by task.
    """

    values: Mapping[tuple[str, str, str], Mapping[int, float]]
    higher: Mapping[str, bool]
    baselines: Sequence[str]
    cases: Mapping[str, Sequence[str]]

    def find(self, number: Number, case: str) -> tuple[str, Mapping[int, float]]:
        """The method of a number, which may be the best baseline, and its values by seed.

        Raises:
            Untested: there are none.
        """
        if number.task is not None:
            if len(cases := self.cases.get(number.task, ())) != 1:
                raise Untested(f"task {number.task} has {len(cases) or 'no'} cases, not one")
            case = cases[0]
        method = number.method or self.best(number.by or number.metric, case)
        if not any(own == method for own, _, _ in self.values):
            raise Untested(f"no {method}")
        if (method, number.metric, case) not in self.values:
            raise Untested(f"no {number.metric} of {method} in {case}")
        return method, self.values[method, number.metric, case]

    def best(self, metric: str, case: str) -> str:
        """The baseline with the best mean over its seeds; the first by name of equals."""
        sign = -1 if self.higher.get(metric) else 1
        means = {
            method: sign * sum(found.values()) / len(found)
            for method in sorted(self.baselines)
            if (found := self.values.get((method, metric, case)))
        }
        if not means:
            raise Untested(f"no baseline with {metric} in {case}")
        return min(means, key=lambda method: means[method])


@dataclass(frozen=True)
class Trial:
    """One case of a part.

    Attributes:
        case: its name.
        methods: whose numbers are compared.
        values: of the expression, by the seeds that all of them have.
        dropped: seeds that only some of them have.
        summary: mean and interval at the usual level; None if an expression has no value here.
        state: what it means for the claim.
        why: why it must stay open, if it must.
    """

    case: str
    methods: Sequence[str]
    values: Mapping[int, float]
    dropped: Sequence[int]
    summary: SeedSummary | None
    state: State
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

    stated: Stated
    parts: Sequence[PartOutcome]

    @property
    def verdict(self) -> Verdict:
        """Computed from the parts; one that was not tested keeps a claim from being reproduced, not from failing."""
        if not any(part.trials for part in self.parts):
            return "not tested"
        return VERDICTS[join([part.state for part in self.parts], "every")]

    @property
    def missing(self) -> list[str]:
        """What the results lack for it, each once."""
        found = [part.missing for part in self.parts if part.missing]
        return list(dict.fromkeys(found or filter(None, [self.stated.claim.not_testable])))


def assess(stated: Stated, evidence: Mapping[str, Evidence]) -> Outcome:
    """Hold a claim against the results, by experiment."""
    found: list[tuple[Comparison, list[_Values], str]] = []
    for comparison in stated.comparisons:
        try:
            found.append((comparison, _cases(comparison, evidence), ""))
        except Untested as lack:
            found.append((comparison, [], str(lack)))
    count = sum(bool(cases) for _, cases, _ in found)
    return Outcome(stated, [_tested(comparison, cases, count, lack) for comparison, cases, lack in found])


@dataclass(frozen=True)
class _Values:
    case: str
    methods: Sequence[str]
    values: Mapping[int, float]
    dropped: Sequence[int]
    why: str


def _cases(comparison: Comparison, evidence: Mapping[str, Evidence]) -> list[_Values]:
    """The values of every case of a part."""
    experiment, task = comparison.part.experiment, comparison.part.task
    if experiment not in evidence:
        raise Untested(f"no experiment {experiment}")
    if not (cases := evidence[experiment].cases.get(task)):
        raise Untested(f"no task {task} in {experiment}")
    try:
        return [_values(comparison, evidence[experiment], case) for case in cases]
    except Untested as lack:
        raise Untested(f"{experiment}: {lack}") from None


def _values(comparison: Comparison, evidence: Evidence, case: str) -> _Values:
    """The expression's value for each seed that all methods have."""
    found = {number: evidence.find(number, case) for number in comparison.ours.numbers}
    seeds = [set(by_seed) for _, by_seed in found.values()]
    shared, every = sorted(set.intersection(*seeds)), set.union(*seeds)
    methods = list(dict.fromkeys(method for method, _ in found.values()))
    if not shared:
        raise Untested(f"no training seed that {' and '.join(methods)} share")
    values, why = {}, ""
    try:
        for seed in shared:
            values[seed] = comparison.ours.run({number: by_seed[seed] for number, (_, by_seed) in found.items()})
        summarise(list(values.values()), comparison.ours.logarithmic)
    except (ZeroDivisionError, OverflowError, ValueError):
        values, why = {}, "a value of 0, or on either side of it, has no ratio"
    return _Values(case, methods, values, sorted(every - set(shared)), why)


def _tested(comparison: Comparison, cases: Sequence[_Values], parts: int, lack: str) -> PartOutcome:
    """A part's trials and their state, where so many parts of the claim are tested."""
    over, logarithmic = comparison.part.over, comparison.ours.logarithmic
    confirm, refute = shares(over, len(cases), parts)
    trials = []
    for case in cases:
        values = list(case.values.values())
        state = state_of(values, logarithmic, comparison.holds, confirm, refute)
        why = case.why
        if len(values) == 1:
            why = "one training seed: no interval"
        elif values and min(values) == max(values):
            why = "the seeds agree to the last digit, which hides their spread"
        summary = summarise(values, logarithmic) if values else None
        trials.append(Trial(case.case, case.methods, case.values, case.dropped, summary, state, why))
    return PartOutcome(comparison, trials, join([trial.state for trial in trials], over), lack)
