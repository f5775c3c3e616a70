"""The ablation: the effect of each change of a method on each question's metric."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes as Panel
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mmbench.config.methods import STUDIED, STUDIED_TITLE, reference_of
from mmbench.report import text
from mmbench.report.draw.axes import name_rows
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, paper
from mmbench.report.parts.effect import Axes, Effect, Effects, effect_cell, measure
from mmbench.report.parts.origin import flatten
from mmbench.report.parts.section import Context, Headline
from mmbench.report.tables.board import ALPHA
from mmbench.report.tables.cells import method_cell
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.report.tables.values import end_columns
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL

#: Relative changes beyond EDGE per cent are shown at the edge; within LINEAR per cent the axis is linear.
EDGE, LINEAR = 300.0, 10.0
COLOURS = {
    "light": {"better": "#08694a", "worse": "#9f1239"},
    "dark": {"better": "#4fd1a1", "worse": "#ff8fa3"},
}
TICKS = (-100, -10, 0, 10, 100)


def write_effects(context: Context, lines: Sequence[Headline], axes: Axes) -> dict[str, Any]:
    """The table and the figure of an experiment's effects; empty if no change was scored."""
    results, shown = context.experiment, scored_axes(context.experiment, axes)
    effects = measure(results, lines, [name for entries in shown.values() for name in entries])
    if not effects:
        return {}
    context.frame(f"{results.name}-effects-long", effects_frame(results, lines, shown, effects))
    drawing = context.draw(
        f"{results.name}-effects",
        "Change of each question's metric in per cent of the value without the change, with the interval of the table "
        "that decides. Filled points are significant, green if better and red if worse. The scale is linear within "
        f"{LINEAR:.0f} % and logarithmic beyond; changes of more than {EDGE:.0f} % are at the edge.",
        "Dot plots of relative changes, a row for each change and a column for each question; the numbers are in the "
        "table below.",
        partial(effects_figure, results, lines, shown, effects),
    )
    return {"table": context.table(effects_table(results, lines, shown, effects)), "drawing": drawing}


def scored_axes(results: ExperimentResults, axes: Axes) -> Axes:
    """The changes that were scored together with their references."""
    shown = {
        axis: {name: change for name, change in entries.items() if {name, reference_of(name)} <= set(results.titles)}
        for axis, entries in axes.items()
    }
    return {axis: entries for axis, entries in shown.items() if entries}


def effects_table(results: ExperimentResults, lines: Sequence[Headline], axes: Axes, effects: Effects) -> Table:
    """A row per change, below the rows of the references; a column per question."""
    names = [name for entries in axes.values() for name in entries]
    references = sorted({reference_of(name) for name in names}, key=lambda name: (name != STUDIED, name))
    rows = [
        [
            method_cell(results, name),
            NONE,
            NONE,
            *(replace(line.board.cell(name, line.case), mark="") for line in lines),
        ]
        for name in references
    ]
    for axis, entries in axes.items():
        for name, settings in entries.items():
            changed = Cell("; ".join(f"{key} {value}" for key, value in flatten(settings)) or "another method")
            cells = [effect_cell(effects.get((name, i)), line) for i, line in enumerate(lines)]
            rows.append([Cell(results.titles[name]), Cell(axis), changed, *cells])
    header = ["Method", "Axis", "Changed", *(f"{line.question}: {line.board.column}" for line in lines)]
    caption = (
        f"The effect of each change: first the values of {text.listing([results.titles[n] for n in references])}, then "
        "for each change the difference from its reference, also in per cent."
    )
    return Table(f"{results.name}-effects", caption, header, rows, notes(results, effects), frozenset({1, 2}))


def notes(results: ExperimentResults, effects: Effects) -> list[str]:
    """How to read the table: references, intervals and tests."""
    percent, tested = f"{100 * LEVEL:.0f} %", sum(effect.p is not None for effect in effects.values())
    intervals = (
        f"Brackets hold the {percent} interval of the difference for other images and other training runs. For a "
        f"metric without values per image they hold the {percent} t-interval of the difference, paired by training "
        "seed. On demand: the BCa bootstrap interval over images only, which holds for these training runs only."
    )
    test = "over images and training runs, or over seeds"
    if len(results.seeds) == 1:
        intervals = (
            f"Brackets hold the {percent} BCa bootstrap interval of the mean per-image difference. It shows how other "
            "images would change the difference of these two training runs, and nothing about other runs. 'one seed' "
            "marks a metric without values per image, for which no interval exists."
        )
        test = "sign-flip test over images"
    return [
        f"A variant is compared with its own method, another method with {STUDIED_TITLE}. Both are trained with the "
        "same seeds on the same batches and evaluated with the same noise.",
        intervals,
        f"An effect is called better or worse if the interval excludes 0 and p ≤ {ALPHA}, Holm-adjusted over the "
        f"{tested} tests of this table ({test}).",
    ]


def effects_frame(results: ExperimentResults, lines: Sequence[Headline], axes: Axes, effects: Effects) -> pd.DataFrame:
    """One row per change and question, with all values."""
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
                **end_columns("t", seeds),
                "images": items.count if items else None,
                **end_columns("bca", items),
                **end_columns("retrained", items and items.retrained),
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
    for i, (line, panel) in enumerate(zip(lines, columns, strict=True)):
        for row, (_, name) in enumerate(rows):
            if effect := effects.get((name, i)):
                draw_effect(panel, row, effect, line, results.titles[name], mode)
        for row in range(1, len(rows)):
            if rows[row][0] != rows[row - 1][0]:
                panel.axhline(row - 0.5, color=paper(mode)["line"], linewidth=0.8)
        panel.axvline(0, color=paper(mode)["ink"], linewidth=1)
        panel.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
        panel.set_xlim(-1.1 * EDGE, 1.1 * EDGE)
        panel.xaxis.set_major_locator(FixedLocator(TICKS))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.0f}".replace("+0", "0")))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.tick_params(axis="x", labelsize=7)
        name = f"{line.board.label} {line.board.arrow}"
        panel.set_title("\n".join([*textwrap.wrap(line.question, 18), name]), fontsize=8)
        panel.grid(visible=False, axis="y")
    name_rows(columns[0], [f"{axis}:  {results.titles[name]}" for axis, name in rows])
    figure.supxlabel("change in per cent", fontsize=9)
    return figure


def draw_effect(panel: Panel, row: int, effect: Effect, line: Headline, title: str, mode: Mode) -> None:
    """A point, filled if the effect is significant, and its interval; nothing without a reference."""
    if effect.relative is None:
        return
    tones = COLOURS[mode]
    x, colour = _bounded(effect.relative), tones.get(effect.reading, paper(mode)["soft"])
    if effect.interval is not None:
        low, high = (_bounded(100 * end / abs(effect.base)) for end in effect.interval)
        panel.hlines(row, low, high, color=colour, linewidth=1.4)
    cell = effect_cell(effect, line)
    tell(panel, x, row, "; ".join([f"{title}, {line.question}: {cell.text}", *cell.lines, *cell.more]))
    fill = colour if effect.reading in tones else paper(mode)["paper"]
    panel.scatter(x, row, s=20, zorder=3, edgecolor=colour, linewidth=1.1, color=fill)


def _bounded(percent: float) -> float:
    return min(EDGE, max(-EDGE, percent))
