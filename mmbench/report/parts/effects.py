"""The ablation: what each change of a method does to each question's metric, beside the method as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mmbench.config.methods import STUDIED, STUDIED_TITLE, reference_of
from mmbench.report import text
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, paper
from mmbench.report.parts.origin import flatten
from mmbench.report.parts.section import Context, Headline
from mmbench.report.parts.shared import direction
from mmbench.report.tables import common
from mmbench.report.tables.board import ALPHA, WORD, Board, by_item
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import describe
from mmbench.scoring.statistics import (
    LEVEL,
    PairedDifference,
    SeedSummary,
    compare_paired,
    holm_known,
    over_seeds,
    zero_mean_p,
)

#: What was changed: settings by axis and by method or variant.
Axes = Mapping[str, Mapping[str, Mapping[str, Any]]]
#: Relative changes beyond this many per cent are drawn at the edge; below the other, the axis is linear.
EDGE, LINEAR = 300.0, 10.0
TICKS = (-100, -10, 0, 10, 100)


@dataclass(frozen=True)
class Effect:
    """What one change does to one question's metric.

    Attributes:
        difference: over training seeds, of what was changed minus what it is compared with, paired by seed.
        base: mean of what it is compared with, over the same seeds.
        items: the same, paired by item; None for a metric without values per item.
        p: of the test that there is no difference, over what `interval` is; None without either.
        p_holm: that, adjusted over all effects of the experiment.
        higher_is_better: the metric's direction.
    """

    difference: SeedSummary
    base: float
    items: PairedDifference | None
    p: float | None
    p_holm: float | None
    higher_is_better: bool

    @property
    def relative(self) -> float | None:
        """Per cent of the reference's mean; None if that is 0."""
        return 100 * self.difference.mean / abs(self.base) if self.base else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Over items and trainings at once; over what there is of the two, if only one has several; else None."""
        items = self.items if self.items and self.items.low is not None else None
        found = (items.retrained or items) if items else self.difference
        return (found.low, found.high) if found.low is not None and found.high is not None else None

    @property
    def reading(self) -> str:
        """`better`, `worse`, `unclear`, or nothing where nothing can be said."""
        if self.interval is None or self.p_holm is None:
            return ""
        low, high = self.interval
        if low <= 0 <= high or self.p_holm > ALPHA:
            return "unclear"
        return "better" if (self.difference.mean > 0) == self.higher_is_better else "worse"


Effects = Mapping[tuple[str, int], Effect]


def write_effects(context: Context, lines: Sequence[Headline], axes: Axes) -> dict[str, Any]:
    """The table and the figure of an experiment's effects; empty if nothing that was changed was scored.

    Args:
        context: results, and where files go.
        lines: the questions, a column each.
        axes: what was changed.
    """
    results = context.experiment
    there = set(results.titles)
    shown = {
        axis: {name: own for name, own in entries.items() if {name, reference_of(name)} <= there}
        for axis, entries in axes.items()
    }
    shown = {axis: entries for axis, entries in shown.items() if entries}
    effects = measure(results, lines, [name for entries in shown.values() for name in entries])
    if not effects:
        return {}
    context.frame(f"{results.name}-effects-long", effects_frame(results, lines, shown, effects))
    drawing = context.draw(
        f"{results.name}-effects",
        "Change of each question's metric in per cent of the value without the change; filled where it is told apart, "
        "green if better and red if worse, with the interval of the table that decides. The scale is linear within "
        f"{LINEAR:.0f} % and logarithmic beyond; what is further than {EDGE:.0f} % is at the edge.",
        "Dot plots of relative changes, a row for each change and a column for each question; the numbers are in the "
        "table below.",
        partial(effects_figure, results, lines, shown, effects),
    )
    return {"table": context.table(effects_table(results, lines, shown, effects)), "drawing": drawing}


def measure(
    results: ExperimentResults, lines: Sequence[Headline], names: Sequence[str]
) -> dict[tuple[str, int], Effect]:
    """The effects by method or variant and number of the question, with p-values adjusted together."""
    found = {
        (name, i): effect
        for name in names
        for i, line in enumerate(lines)
        if (effect := compare(results, line.board, line.case, name))
    }
    adjusted = holm_known({key: effect.p for key, effect in found.items()})
    return {key: replace(effect, p_holm=adjusted.get(key)) for key, effect in found.items()}


def compare(results: ExperimentResults, board: Board, case: str, name: str) -> Effect | None:
    """The effect in one case, over the seeds that both have; None if there are none."""
    reference = reference_of(name)
    own, other = board.entries.get((name, case)), board.entries.get((reference, case))
    seeds = [seed for seed in own.values if seed in other.values] if own and other else []
    if own is None or other is None or not seeds:
        return None
    changes = [own.values[seed] - other.values[seed] for seed in seeds]
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
    own, other = (by_item(name, case, rows[rows["method"] == name]) for name in pair)
    if own.empty or not own.columns.equals(other.columns):
        return None
    return compare_paired(own.to_numpy(float), other.to_numpy(float))


def effects_table(results: ExperimentResults, lines: Sequence[Headline], axes: Axes, effects: Effects) -> Table:
    """A row per change, below those of what they are compared with; a column per question."""
    names = [name for entries in axes.values() for name in entries]
    references = sorted({reference_of(name) for name in names}, key=lambda name: (name != STUDIED, name))
    rows = [
        [common.method_cell(results, name), NONE, NONE, *(value_cell(line, name) for line in lines)]
        for name in references
    ]
    for axis, entries in axes.items():
        for name, own in entries.items():
            changed = Cell("; ".join(f"{key} {value}" for key, value in flatten(own)) or "another method")
            cells = [effect_cell(effects.get((name, i)), line) for i, line in enumerate(lines)]
            rows.append([Cell(results.titles[name]), Cell(axis), changed, *cells])
    header = ["Method", "Axis", "Changed", *(question(line) for line in lines)]
    caption = (
        f"What each change does: the values of {text.listing([results.titles[name] for name in references])}, then the "
        "difference that each change makes to its own method's, and that in per cent of it."
    )
    said = notes(results, lines, effects)
    return Table(f"{results.name}-effects", caption, header, rows, said, frozenset({1, 2}), True)


def notes(results: ExperimentResults, lines: Sequence[Headline], effects: Effects) -> list[str]:
    """How the table is read: what a change is compared with, the intervals, the tests."""
    percent, tested = f"{100 * LEVEL:.0f} %", sum(effect.p is not None for effect in effects.values())
    seeds = len(results.seeds)
    said = [
        f"A variant is compared with its own method, a whole method with {STUDIED_TITLE}, both trained with the same "
        "seeds on the same batches and asked with the same noise."
    ]
    if seeds > 1:
        said.append(
            f"images: {percent} BCa bootstrap of the mean per-image difference of these trainings. images and "
            "trainings: of other trainings as well; it decides. seeds: of a metric without values per image, the "
            f"{percent} t-interval of the difference, paired by training seed, which decides in its place."
        )
    else:
        said.append(
            f"images: {percent} BCa bootstrap of the mean per-image difference. It says how other images would change "
            "the difference of these two trainings, nothing about other trainings. one seed: the metric has no values "
            "per image, so nothing is said."
        )
    said.append(
        f"Called better or worse if the interval leaves out 0 and p ≤ {ALPHA}, Holm-adjusted over the {tested} tests "
        f"of this table ({'over images and trainings, or over seeds' if seeds > 1 else 'sign-flip test over images'})."
    )
    return said


def question(line: Headline) -> str:
    """A column's name."""
    return f"{line.question}: {direction(line.board)}"


def value_cell(line: Headline, name: str) -> Cell:
    """What a change is compared with: mean and deviation."""
    entry, decimals = line.board.entries.get((name, line.case)), describe(line.board.metric).decimals
    if entry is None:
        return NONE
    sd = entry.summary.sd
    lines = [f"± {text.number(sd, decimals)}"] if sd is not None else []
    return Cell(text.number(entry.summary.mean, decimals), entry.summary.mean, lines)


def effect_cell(effect: Effect | None, line: Headline) -> Cell:
    """Difference, per cent, intervals and what they allow to say."""
    if effect is None:
        return NONE
    decimals, found = describe(line.board.metric).decimals, effect.difference
    lines = [f"{text.signed(round(effect.relative, 1), 1)} %"] if effect.relative is not None else []
    if effect.items and effect.items.low is not None:
        lines.append(f"{text.interval(effect.items.low, effect.items.high, decimals)} images")
        if both := effect.items.retrained:
            lines.append(f"{text.interval(both.low, both.high, decimals)} images and trainings")
    elif found.count > 1:
        lines.append(f"{text.interval(found.low, found.high, decimals)} seeds")
    if effect.reading:
        lines.append(f"{text.p_value(effect.p_holm)}, {WORD[effect.reading]}")
    elif found.count == 1:
        lines.append("one seed")
    shown = text.signed(found.mean, decimals)
    return Cell(shown, found.mean, lines, tone=effect.reading, ends=effect.interval)


def effects_frame(results: ExperimentResults, lines: Sequence[Headline], axes: Axes, effects: Effects) -> pd.DataFrame:
    """One row per change and question, with everything known."""
    axis_of = {name: axis for axis, entries in axes.items() for name in entries}
    rows = []
    for (name, i), effect in effects.items():
        line, items, seeds = lines[i], effect.items, effect.difference
        rows.append(
            {
                "experiment": results.name,
                "axis": axis_of[name],
                "method": name,
                "reference": reference_of(name),
                "case": line.case,
                "metric": line.board.metric,
                "higher_is_better": effect.higher_is_better,
                "reference_mean": effect.base,
                "difference": seeds.mean,
                "per_cent": effect.relative,
                "seeds": seeds.count,
                "t_low": seeds.low,
                "t_high": seeds.high,
                "images": items.count if items else None,
                "bca_low": items.low if items else None,
                "bca_high": items.high if items else None,
                "retrained_low": items.retrained.low if items and items.retrained else None,
                "retrained_high": items.retrained.high if items and items.retrained else None,
                "p": effect.p,
                "p_holm": effect.p_holm,
                "reading": effect.reading,
            }
        )
    return pd.DataFrame(rows)


def effects_figure(
    results: ExperimentResults, lines: Sequence[Headline], axes: Axes, effects: Effects, mode: Mode
) -> Figure:
    """A row per change, grouped by axis, and a column of relative changes per question."""
    rows = [(axis, name) for axis, entries in axes.items() for name in entries]
    figure = Figure(figsize=(3.2 + 1.7 * len(lines), 1.3 + 0.27 * len(rows)), layout="constrained")
    columns = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
    ink = paper(mode)
    colours = {
        "better": {"light": "#08694a", "dark": "#4fd1a1"}[mode],
        "worse": {"light": "#9f1239", "dark": "#ff8fa3"}[mode],
    }
    for i, (line, ax) in enumerate(zip(lines, columns, strict=True)):
        for row, (_, name) in enumerate(rows):
            effect = effects.get((name, i))
            if effect is None or effect.relative is None:
                continue
            colour = colours.get(effect.reading, ink["soft"])
            if effect.interval is not None:
                low, high = (_bounded(100 * end / abs(effect.base)) for end in effect.interval)
                ax.hlines(row, low, high, color=colour, linewidth=1.4)
            clear = effect.reading in colours
            cell = effect_cell(effect, line)
            words = [f"{results.titles[name]}, {line.question}: {cell.text}", *cell.lines]
            tell(ax, _bounded(effect.relative), row, "; ".join(words))
            ax.scatter(
                _bounded(effect.relative), row, s=20, zorder=3, edgecolor=colour, linewidth=1.1,
                color=colour if clear else ink["paper"],
            )  # fmt: skip
        for row in range(1, len(rows)):
            if rows[row][0] != rows[row - 1][0]:
                ax.axhline(row - 0.5, color=ink["line"], linewidth=0.8)
        ax.axvline(0, color=ink["ink"], linewidth=1)
        ax.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
        ax.set_xlim(-1.1 * EDGE, 1.1 * EDGE)
        ax.xaxis.set_major_locator(FixedLocator(TICKS))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.0f}".replace("+0", "0")))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(axis="x", labelsize=7)
        arrow = "↑" if line.board.higher_is_better else "↓"
        name = f"{describe(line.board.metric).label.partition('[')[0]} {arrow}"
        ax.set_title("\n".join([*textwrap.wrap(line.question, 18), name]), fontsize=8)
        ax.grid(visible=False, axis="y")
    columns[0].set_yticks(range(len(rows)), [f"{axis}:  {results.titles[name]}" for axis, name in rows])
    columns[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.supxlabel("change in per cent", fontsize=9)
    return figure


def _bounded(percent: float) -> float:
    return min(EDGE, max(-EDGE, percent))
