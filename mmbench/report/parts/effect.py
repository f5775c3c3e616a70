"""The effect of one change of a method on a question's metric: measured seed by seed, and item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmbench.config.methods import reference_of
from mmbench.report import text
from mmbench.report.parts.section import Headline
from mmbench.report.tables.board import WORD, Board, by_item, reading_of
from mmbench.report.tables.table import NONE, Cell
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import (
    Ends,
    PairedDifference,
    SeedSummary,
    compare_paired,
    holm_known,
    over_seeds,
    zero_mean_p,
)

#: The changes: settings by axis and by method or variant.
Axes = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Effect:
    """The effect of one change on one question's metric.

    Attributes:
        difference: the changed method minus its reference, paired by training seed.
        base: the mean of the reference over the same seeds.
        items: the same difference, paired by item; None for a metric without values per item.
        p: p-value of the test of no difference, over the same units as `interval`; None without an interval.
        p_holm: the p-value, adjusted over all effects of the experiment.
    """

    difference: SeedSummary
    base: float
    items: PairedDifference | None
    p: float | None
    p_holm: float | None
    higher_is_better: bool

    @property
    def relative(self) -> float | None:
        """The difference in per cent of the reference's mean; None if that is 0."""
        return 100 * self.difference.mean / abs(self.base) if self.base else None

    @property
    def decisive(self) -> Ends:
        """The interval's source: items and training runs together, or the one of the two that has several."""
        items = self.items if self.items and self.items.interval else None
        return (items.retrained or items) if items else self.difference

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of `decisive`; None if there is neither more than one item nor more than one run."""
        return self.decisive.interval

    @property
    def reading(self) -> str:
        """`better`, `worse`, `unclear`, or empty without an interval."""
        return reading_of(self.decisive, self.difference.mean, self.p_holm, self.higher_is_better)


Effects = Mapping[tuple[str, int], Effect]


def measure(
    results: ExperimentResults, lines: Sequence[Headline], names: Sequence[str]
) -> dict[tuple[str, int], Effect]:
    """The effects by method or variant and number of the question, with jointly adjusted p-values."""
    effects = {
        (name, i): effect
        for name in names
        for i, line in enumerate(lines)
        if (effect := compare(results, line.board, line.case, name))
    }
    adjusted = holm_known({key: effect.p for key, effect in effects.items()})
    return {key: replace(effect, p_holm=adjusted.get(key)) for key, effect in effects.items()}


def compare(results: ExperimentResults, board: Board, case: str, name: str) -> Effect | None:
    """The effect in one case, over the shared seeds; None without shared seeds."""
    reference = reference_of(name)
    studied, other = board.entries.get((name, case)), board.entries.get((reference, case))
    seeds = [seed for seed in studied.values if seed in other.values] if studied and other else []
    if studied is None or other is None or not seeds:
        return None
    changes = [studied.values[seed] - other.values[seed] for seed in seeds]
    items = compare_items(results, board.metric, case, (name, reference), seeds)
    both = items.retrained if items else None
    return Effect(
        over_seeds(changes),
        sum(other.values[seed] for seed in seeds) / len(seeds),
        items,
        both.p if both else items.p if items and items.p is not None else zero_mean_p(changes),
        None,
        board.higher_is_better,
    )


def compare_items(
    results: ExperimentResults, metric: str, case: str, pair: tuple[str, str], seeds: Sequence[int]
) -> PairedDifference | None:
    """The difference of two methods image by image; None without values of the same images."""
    rows = results.items
    rows = rows[(rows["metric"] == metric) & (rows["case"] == case) & rows["seed"].isin(seeds)]
    studied, other = (by_item(name, case, rows[rows["method"] == name]) for name in pair)
    if studied.empty or not studied.columns.equals(other.columns):
        return None
    return compare_paired(studied.to_numpy(float), other.to_numpy(float))


def effect_cell(effect: Effect | None, line: Headline) -> Cell:
    """Difference, per cent, intervals and the verdict."""
    if effect is None:
        return NONE
    decimals, difference = line.board.decimals, effect.difference
    lines = [f"{text.signed(round(effect.relative, 1), 1)} %"] if effect.relative is not None else []
    if effect.interval:
        lines.append(text.interval(effect.interval, decimals))
    more = []
    if effect.items and effect.items.retrained and effect.items.interval:
        more.append(f"{text.interval(effect.items.interval, decimals)} over images only")
    if effect.reading:
        lines.append(WORD[effect.reading])
        more.append(text.p_value(effect.p_holm))
    elif difference.count == 1:
        lines.append("one seed")
    shown = text.signed(difference.mean, decimals)
    return Cell(shown, difference.mean, lines, tone=effect.reading, ends=effect.interval, more=more)
