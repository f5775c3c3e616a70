"""The overview: which method is best at what, over all experiments of the page, in one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mmbench.config.methods import STUDIED, STUDIED_TITLE, is_studied
from mmbench.report import text
from mmbench.report.draw import figures
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, paper
from mmbench.report.parts.section import Headline, Section
from mmbench.report.parts.shared import direction, real_values
from mmbench.report.tables import common, differences
from mmbench.report.tables import table as tables
from mmbench.report.tables.board import Board
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import describe

Part = tuple[Section, ExperimentResults]
REAL_NOTE = (
    "Real data: what the metric says of real images, of other ones as a set (the floor of FD and the like) or of what "
    "a judge sees in them."
)
#: A method further than this factor from the best baseline is drawn at the edge.
EDGE = 20.0
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
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
        decimals, best = describe(board.metric).decimals, board.best(case)
        other = board.best_baseline.get(case)
        reading, real = board.reading(STUDIED, case), real_values(results).get(board.metric)
        rows.append(
            [
                Cell(named(section, line)),
                Cell(direction(board)),
                Cell(text.listing([titles[method] for method in best])),
                _value(board, best[0], case, decimals),
                _value(board, STUDIED, case, decimals),
                Cell(titles[other]) if other else NONE,
                _value(board, other, case, decimals) if other else NONE,
                common.number_cell(real, decimals),
                Cell(differences.said(board, STUDIED, case), tone=reading) if reading else NONE,
            ]
        )
    caption = "Which method is best at what: one metric per question, over all training seeds."
    notes = [
        *dict.fromkeys(common.spread_note(results, each=False) for _, results, _ in lines),
        *([REAL_NOTE] if any(row[7] is not NONE for row in rows) else []),
        f"Image by image: {STUDIED_TITLE} against the best baseline, by the paired intervals and tests below; "
        f"{text.DASH} where a metric has no value per image (FD and the like), or no baseline does the task.",
    ]
    return Table("overview", caption, header, rows, notes, frozenset({1, 2, 5, 8}))


def _value(board: Board, method: str, case: str, decimals: int) -> Cell:
    """Mean, deviation and interval; single seeds are in the question's own table."""
    cell = common.value_cell(board.entries.get((method, case)), decimals)
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
    own, base = entry.summary.mean, board.entries[other, case].summary.mean
    if own <= 0 or base <= 0:
        same = own == base
        return 1.0 if same else EDGE if (own > base) == board.higher_is_better else 1 / EDGE
    return min(EDGE, max(1 / EDGE, own / base if board.higher_is_better else base / own))


def _ends(board: Board, case: str) -> tuple[float, float]:
    """The t-interval of the studied method's mean as a multiple like `relative`'s; the mean where there is none."""
    summary, middle = board.entries[STUDIED, case].summary, relative(board, STUDIED, case) or 1.0
    if summary.low is None or summary.high is None or min(summary.low, summary.mean) <= 0:
        return middle, middle
    low, high = (middle * end / summary.mean for end in (summary.low, summary.high))
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
            own = method == STUDIED
            entry, decimals = line.board.entries[method, line.case], describe(line.board.metric).decimals
            words = f"{results.titles[method]}: {common.value_words(entry, decimals)}, {ratio:.2f}× the best baseline"
            tell(axes, ratio, row, f"{line.question}, {direction(line.board)}. {words}")
            if own:
                low, high = _ends(line.board, line.case)
                axes.hlines(row, low, high, color=accent, linewidth=1.8, alpha=0.6, zorder=2)
            axes.scatter(
                ratio, row, s=64 if own else 22, color=accent if own else ink["soft"], zorder=4 if own else 3,
                alpha=1.0 if own else 0.65, linewidth=0,
            )  # fmt: skip
    axes.axvline(1, color=ink["ink"], linewidth=1)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.6), max(high, 1.6))
    close = high / low < 10
    axes.xaxis.set_major_locator(FixedLocator(sorted((*TICKS, *FINE_TICKS)) if close else TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(
        range(len(lines)),
        [f"{named(s, line)}  ({describe(line.board.metric).label.partition('[')[0]})" for s, _, line in lines],
    )
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("multiple of the best baseline's score (right is better)")
    axes.scatter([], [], s=64, color=accent, label=STUDIED_TITLE)
    axes.scatter([], [], s=22, color=ink["soft"], label="baselines")
    figure.legend(loc="outside upper right", ncols=2, handletextpad=0.2)
    return figure
