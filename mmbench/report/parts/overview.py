"""The overview: which method is best at what, over all experiments of the page, in one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from mmbench.config.methods import STUDIED, STUDIED_TITLE, is_studied
from mmbench.report import text
from mmbench.report.draw import figures
from mmbench.report.draw.axes import name_rows, scale_factors
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, paper
from mmbench.report.parts.section import Headline, Section
from mmbench.report.tables import differences
from mmbench.report.tables import table as tables
from mmbench.report.tables.board import Board
from mmbench.report.tables.cells import number_cell, spread_note
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults

Part = tuple[Section, ExperimentResults]
REAL_NOTE = (
    "Real data: what the metric says of real images, of other ones as a set (the floor of FD and the like) or of what "
    "a judge sees in them."
)
#: A method further than this factor from the best baseline is drawn at the edge.
EDGE = 20.0
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
BASELINE: dict[str, Any] = {"s": 22, "alpha": 0.65, "zorder": 3}
#: Between the others, where the scores are so close that there is room.
FINE_TICKS = (0.3, 0.7, 1.5, 3)


def write_overview(parts: Sequence[Part], out: Path, command: str) -> tuple[dict[str, Any], list[Path]]:
    """The overview's table and figure, written below `out`, and the paths of their files; empty for no headlines.

    `command` is what makes them.
    """
    lines = [(section, results, line) for section, results in parts for line in section.headlines]
    if not lines:
        return {}, []
    table = overview_table(lines)
    drawing = figures.draw(
        "overview",
        "Every question at once: each method's score as a multiple of the best baseline's (line at 1×), turned so that "
        f"right is better. The bar of {STUDIED_TITLE} is the t-interval of its mean over training seeds, where there "
        "are several. Where a score is not above 0, or further than twenty times away, the point is at the edge.",
        "Dot plot of every method's score relative to the best baseline, by question; its numbers are in the table.",
        partial(scores_figure, lines),
        out / "figures",
    )
    written = tables.write_table(table, out / "tables")
    written += [out / "figures" / f"overview.{suffix}" for suffix in ("png", "svg")]
    return {"table": table, "drawing": replace(drawing, command=command), "tally": tally(lines)}, written


def named(section: Section, line: Headline) -> str:
    """A question with its experiment."""
    return f"{section.title}: {line.question[0].lower()}{line.question[1:]}"


def overview_table(lines: Sequence[tuple[Section, ExperimentResults, Headline]]) -> Table:
    """A row per question: the best method, the multitask model, the best baseline and real data on its metric."""
    header = ["Question", "Metric", "Best", "Its value", STUDIED_TITLE, "Best baseline", "Its value", "Real data",
              "Image by image"]  # fmt: skip
    rows = []
    for section, results, line in lines:
        board, case, titles = line.board, line.case, results.titles
        best, other = board.best(case), board.best_baseline.get(case)
        reading, real = board.reading(STUDIED, case), results.real().get(board.metric)
        rows.append(
            [
                Cell(named(section, line)),
                Cell(board.column),
                Cell(text.listing([titles[method] for method in best])),
                _value(board, best[0], case),
                _value(board, STUDIED, case),
                Cell(titles[other]) if other else NONE,
                _value(board, other, case) if other else NONE,
                number_cell(real, board.decimals),
                Cell(differences.said(board, STUDIED, case), tone=reading) if reading else NONE,
            ]
        )
    caption = "Which method is best at what: one metric per question, over all training seeds."
    notes = [
        *dict.fromkeys(spread_note(results, each=False) for _, results, _ in lines),
        *([REAL_NOTE] if any(row[7] is not NONE for row in rows) else []),
        f"Image by image: {STUDIED_TITLE} against the best baseline, by the paired intervals and tests below; "
        f"{text.DASH} where a metric has no value per image (FD and the like), or no baseline does the task.",
    ]
    return Table("overview", caption, header, rows, notes, frozenset({1, 2, 5, 8}))


def _value(board: Board, method: str, case: str) -> Cell:
    """Mean, deviation and interval; single seeds are in the question's own table."""
    cell = board.cell(method, case)
    return replace(cell, lines=cell.lines[:1], mark="", ends=None)  # columns mix metrics: no scale


def tally(lines: Sequence[tuple[Section, ExperimentResults, Headline]]) -> str:
    """One sentence: at how many questions the multitask model is best, and which methods are best elsewhere."""
    asked = [(line, results) for _, results, line in lines if (STUDIED, line.case) in line.board.entries]
    won = sum(any(is_studied(method) for method in line.board.best(line.case)) for line, _ in asked)
    return f"{STUDIED_TITLE} has the best mean at {won} of the {len(asked)} questions below that it was asked."


def relative(board: Board, method: str, case: str) -> float | None:
    """A method's mean as a multiple of the best baseline's, turned so that above 1 is better; None without either."""
    entry, other = board.entries.get((method, case)), board.best_baseline.get(case)
    if entry is None or other is None:
        return None
    mean, base = entry.summary.mean, board.entries[other, case].summary.mean
    if mean <= 0 or base <= 0:
        return 1.0 if mean == base else EDGE if (mean > base) == board.higher_is_better else 1 / EDGE
    return min(EDGE, max(1 / EDGE, mean / base if board.higher_is_better else base / mean))


def _ends(board: Board, case: str) -> tuple[float, float]:
    """The t-interval of the studied method's mean as a multiple like `relative`'s; the mean where there is none."""
    summary, middle = board.entries[STUDIED, case].summary, relative(board, STUDIED, case) or 1.0
    if summary.interval is None or min(summary.interval[0], summary.mean) <= 0:
        return middle, middle
    low, high = (middle * end / summary.mean for end in summary.interval)
    if not board.higher_is_better:
        low, high = middle**2 / high, middle**2 / low
    return max(1 / EDGE, low), min(EDGE, high)


def scores_figure(lines: Sequence[tuple[Section, ExperimentResults, Headline]], mode: Mode) -> Figure:
    """A row per question: the multitask model as a large point, every other method as a small one."""
    figure = Figure(figsize=(11.5, 1.3 + 0.3 * len(lines)), layout="constrained")
    axes, ink = figure.add_subplot(), paper(mode)
    accent = {"light": "#c2410c", "dark": "#ff8a4c"}[mode]
    for row, (_, results, line) in enumerate(lines):
        for method in line.board.methods:
            ratio = relative(line.board, method, line.case)
            if ratio is None or (is_studied(method) and method != STUDIED):
                continue
            words = f"{line.board.words(method, line.case)}, {ratio:.2f}× the best baseline"
            tell(axes, ratio, row, f"{line.question}, {line.board.column}. {results.titles[method]}: {words}")
            if method == STUDIED:
                axes.hlines(row, *_ends(line.board, line.case), color=accent, linewidth=1.8, alpha=0.6, zorder=2)
            look = {"s": 64, "color": accent, "zorder": 4} if method == STUDIED else BASELINE | {"color": ink["soft"]}
            axes.scatter(ratio, row, linewidth=0, **look)
    axes.axvline(1, color=ink["ink"], linewidth=1)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.6), max(high, 1.6))
    scale_factors(axes, FixedLocator(sorted((*TICKS, *FINE_TICKS)) if high / low < 10 else TICKS))
    name_rows(axes, [f"{named(section, line)}  ({line.board.short})" for section, _, line in lines])
    axes.set_xlabel("multiple of the best baseline's score (right is better)")
    axes.scatter([], [], s=64, color=accent, label=STUDIED_TITLE)
    axes.scatter([], [], s=22, color=ink["soft"], label="baselines")
    figure.legend(loc="outside upper right", ncols=2, handletextpad=0.2)
    return figure
