"""The comparison by one metric over an experiment's cases: methods are ranked and compared with the best baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mmbench.errors import UserError
from mmbench.report import text
from mmbench.report.tables.cells import seeds_cell
from mmbench.report.tables.table import NONE, Cell, Mark
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import describe, short_label
from mmbench.scoring.statistics import Ends, PairedDifference, SeedSummary, compare_paired, holm_known, over_seeds

#: A difference is significant if its interval excludes 0 and its Holm-adjusted p-value is at most this.
ALPHA = 0.05
MARKS: dict[int, Mark] = {1: "best", 2: "second"}
#: The words for a reading in tables.
WORD = {"better": "better", "worse": "worse", "unclear": "no significant difference"}


@dataclass(frozen=True)
class Entry:
    """One method's result in one case.

    Attributes:
        values: the metric by training seed.
        rank: 1 for the best mean among all methods; equal means share a rank.
        difference: paired, per seed and image, from the best baseline; None for that baseline itself, for a metric
            without per-image values, and where there is no other baseline.
        p_holm: its p-value over images, adjusted over all methods and cases of this metric.
        p_retrained: its p-value over training runs and images, adjusted likewise.
    """

    values: Mapping[int, float]
    summary: SeedSummary
    rank: int
    difference: PairedDifference | None = None
    p_holm: float | None = None
    p_retrained: float | None = None

    @property
    def deciding(self) -> Ends | None:
        """The interval that decides on the difference: over images and training runs, if there are several runs."""
        return self.difference and (self.difference.retrained or self.difference)


@dataclass(frozen=True)
class Board:
    """One metric over several cases.

    Attributes:
        metric: its name in metrics.json.
        cases: the cases in order.
        methods: all methods of the experiment, also those without a result here.
        best_baseline: the baseline with the best mean, by case; absent if no baseline answers the case.
        entries: the results by method and case; absent where a method does not answer the case.
    """

    metric: str
    higher_is_better: bool
    cases: Sequence[str]
    methods: Sequence[str]
    best_baseline: Mapping[str, str]
    entries: Mapping[tuple[str, str], Entry]

    @property
    def label(self) -> str:
        """The reader's name of the metric; a note below the table names its network."""
        return short_label(self.metric)

    @property
    def decimals(self) -> int:
        """The number of decimals of the metric."""
        return describe(self.metric).decimals

    @property
    def arrow(self) -> str:
        """An arrow in the direction that is better."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def column(self) -> str:
        """A column's name: the metric and its arrow."""
        return f"{self.label} {self.arrow}"

    def cell(self, method: str, case: str) -> Cell:
        """Mean ± sd, on demand t-interval and single seeds; a dash if the method does not answer the case."""
        if (entry := self.entries.get((method, case))) is None:
            return NONE
        cell = seeds_cell(list(entry.values.values()), self.number, describe(self.metric).bounds)
        return replace(cell, mark=MARKS.get(entry.rank, ""))

    def words(self, method: str, case: str) -> str:
        """Mean ± sd and t-interval as one text, for hovering."""
        cell = self.cell(method, case)
        return " ".join([cell.text, *cell.more[:1]])

    def number(self, value: float | None) -> str:
        """A value of the metric in words."""
        return text.number(value, self.decimals)

    def mean(self, method: str, case: str) -> str:
        """A method's mean in words; the method must answer the case."""
        return self.number(self.entries[method, case].summary.mean)

    def ratio(self, method: str, case: str) -> tuple[float, float, float] | None:
        """A method's mean as a multiple of the best baseline's, and the ends of its interval; above 1 is better.

        The interval is the one of the difference that decides, over the best baseline's mean. Without values per image
        it is the t-interval of the method's mean; without that too, its ends are the ratio itself.

        Returns:
            None without either mean, or where one of them is not above 0.
        """
        entry, best = self.entries.get((method, case)), self.best_baseline.get(case)
        if entry is None or best is None:
            return None
        mean, base = entry.summary.mean, self.entries[best, case].summary.mean
        if mean <= 0 or base <= 0:
            return None
        decided = entry.deciding and entry.deciding.interval
        ends = [base + end for end in decided] if decided else [*(entry.summary.interval or (mean, mean))]
        values = [mean / base, *(max(end / base, 0.0) for end in ends)]
        if self.higher_is_better:
            return values[0], values[1], values[2]
        middle, high, low = (1 / value if value else float("inf") for value in values)
        return middle, low, high

    def best(self, case: str) -> list[str]:
        """The methods of rank 1 in a case."""
        return [method for method in self.methods if (e := self.entries.get((method, case))) and e.rank == 1]

    def reading(self, method: str, case: str) -> str:
        """`better`, `worse`, `unclear` (no significant difference), or empty, against the best baseline.

        With several training runs it holds for other runs on other images; otherwise it is `of_these`.
        """
        entry = self.entries.get((method, case))
        if entry is None or entry.difference is None or entry.difference.retrained is None:
            return self.of_these(method, case)
        both = entry.difference.retrained
        return reading_of(both, entry.difference.difference, entry.p_retrained, self.higher_is_better)

    def of_these(self, method: str, case: str) -> str:
        """The reading for these training runs on other images."""
        entry = self.entries.get((method, case))
        if entry is None or entry.difference is None:
            return ""
        return reading_of(entry.difference, entry.difference.difference, entry.p_holm, self.higher_is_better)

    def scope(self, method: str, case: str) -> str:
        """The restriction of `reading`: ` (these training runs)` if it holds only for them, else empty."""
        entry = self.entries.get((method, case))
        alone = entry is not None and entry.difference is not None and entry.difference.retrained is None
        return " (these training runs)" if alone and self.reading(method, case) in ("better", "worse") else ""


def reading_of(interval: Ends, difference: float, p: float | None, higher_is_better: bool) -> str:
    """`better`, `worse` or `unclear` by an interval and an adjusted p-value; empty if either is missing."""
    if p is None or interval.interval is None:
        return ""
    if not interval.clear or p > ALPHA:
        return "unclear"
    return "better" if (difference > 0) == higher_is_better else "worse"


def make_board(results: ExperimentResults, metric: str, cases: Sequence[str]) -> Board:
    """Rank all methods by `metric` in each of `cases` and compare each with the case's best baseline.

    The baseline is chosen on the test images of the comparison, which favours it over the method under study.
    """
    rows = results.metrics[(results.metrics["metric"] == metric) & results.metrics["case"].isin(cases)]
    directions = rows["higher_is_better"].unique()
    if len(directions) != 1:
        raise UserError(f"{results.folder}: metric '{metric}' is missing or has two directions; evaluate all again")
    higher = bool(directions[0])
    studied = results.studied
    entries: dict[tuple[str, str], Entry] = {}
    best_baseline: dict[str, str] = {}
    for case in cases:
        ranked = _rank(rows[rows["case"] == case], metric, higher)
        entries |= {(method, case): entry for method, entry in ranked.items()}
        baselines = {method: entry.rank for method, entry in ranked.items() if method not in studied}
        if baselines:
            best_baseline[case] = min(baselines, key=lambda method: (baselines[method], method))
    _compare(entries, best_baseline, results.items[results.items["metric"] == metric])
    return Board(metric, higher, cases, results.methods, best_baseline, entries)


def _rank(rows: pd.DataFrame, metric: str, higher_is_better: bool) -> dict[str, Entry]:
    values = {
        str(method): dict(zip(group["seed"].tolist(), group["value"].tolist(), strict=True))
        for method, group in rows.sort_values("seed").groupby("method")
    }
    bounds = describe(metric).bounds
    summaries = {method: over_seeds(list(by_seed.values()), bounds=bounds) for method, by_seed in values.items()}
    means = pd.Series({method: summary.mean for method, summary in summaries.items()}, dtype=float)
    ranks = means.rank(method="min", ascending=not higher_is_better)
    return {method: Entry(values[method], summaries[method], int(ranks[method])) for method in values}


def _compare(entries: dict[tuple[str, str], Entry], best: Mapping[str, str], items: pd.DataFrame) -> None:
    """Add the paired difference from the best baseline to each entry, and the p-values adjusted together."""
    per_item = {
        (str(method), str(case)): by_item(str(method), str(case), group)
        for (method, case), group in items.groupby(["method", "case"])
    }
    differences: dict[tuple[str, str], PairedDifference] = {}
    for method, case in entries:
        other = best.get(case, method)
        first, second = per_item.get((method, case)), per_item.get((other, case))
        if method == other or first is None or second is None:
            continue
        if not first.columns.equals(second.columns):
            raise UserError(
                f"items.csv of '{method}' and '{other}' list different items of {case}; evaluate both again"
            )
        differences[method, case] = compare_paired(*_same_seeds(first, second))
    images = holm_known({key: paired.p for key, paired in differences.items()})
    both = holm_known({key: paired.retrained.p if paired.retrained else None for key, paired in differences.items()})
    for key, difference in differences.items():
        entries[key] = replace(entries[key], difference=difference, p_holm=images.get(key), p_retrained=both.get(key))


def _same_seeds(first: pd.DataFrame, second: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The values (seeds, items) of the shared seeds, which had the same batches; else means over seeds."""
    shared = first.index.intersection(second.index)
    if shared.empty:
        return first.mean().to_numpy(float), second.mean().to_numpy(float)
    return first.loc[shared].to_numpy(float), second.loc[shared].to_numpy(float)


def by_item(method: str, case: str, items: pd.DataFrame) -> pd.DataFrame:
    """The values of one method and case: a row per seed, a column per item."""
    table = items.pivot(index="seed", columns="item", values="value")
    if table.isna().any(axis=None):
        raise UserError(
            f"items.csv of '{method}': its seeds list different items of {case}; evaluate all of them again"
        )
    return table
