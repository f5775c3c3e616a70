"""The numbers of an experiment, in the form in which claims ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmbench.claims.language import Number
from mmbench.runs.results import ExperimentResults


class Untested(Exception):
    """The results lack what a claim needs; the message says what is missing."""


@dataclass(frozen=True)
class Evidence:
    """The numbers of an experiment.

    Attributes:
        values: a value per training seed, by method, metric and case.
        higher: whether higher values are better, by metric.
        baselines: the methods among which the best baseline is chosen.
        cases: the names of the cases, by task.
    """

    values: Mapping[tuple[str, str, str], Mapping[int, float]]
    higher: Mapping[str, bool]
    baselines: Sequence[str]
    cases: Mapping[str, Sequence[str]]

    def find(self, number: Number, case: str) -> tuple[str, Mapping[int, float]]:
        """The method of a number, which may be the best baseline, and its values by seed; Untested without any."""
        if number.task is not None:
            if len(cases := self.cases.get(number.task, ())) != 1:
                raise Untested(f"task {number.task} has {len(cases) or 'no'} cases, not one")
            case = cases[0]
        method = number.method or self.best(number.by or number.metric, case)
        if not any(scored == method for scored, _, _ in self.values):
            raise Untested(f"no {method}")
        if (method, number.metric, case) not in self.values:
            raise Untested(f"no {number.metric} of {method} in {case}")
        return method, self.values[method, number.metric, case]

    def best(self, metric: str, case: str) -> str:
        """The baseline with the best mean over its seeds, the first by name of equal ones; Untested without any."""
        sign = -1 if self.higher.get(metric) else 1
        means = {
            method: sign * sum(by_seed.values()) / len(by_seed)
            for method in sorted(self.baselines)
            if (by_seed := self.values.get((method, metric, case)))
        }
        if not means:
            raise Untested(f"no baseline with {metric} in {case}")
        return min(means, key=lambda method: means[method])


def evidence_of(results: ExperimentResults) -> Evidence:
    """The evidence in the results of an experiment."""
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in results.metrics.sort_values("seed").itertuples():
        values.setdefault((str(row.method), str(row.metric), str(row.case)), {})[int(row.seed)] = float(row.value)
    directions = results.metrics.groupby("metric")["higher_is_better"].first()
    cases: dict[str, list[str]] = {}
    for case in results.cases:
        cases.setdefault(case["task"], []).append(case["name"])
    baselines = [method for method in results.titles if method not in results.studied]
    return Evidence(values, {str(name): bool(higher) for name, higher in directions.items()}, baselines, cases)
