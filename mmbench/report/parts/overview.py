"""The overview of all experiments of the page: a table of the best methods, and a figure for each experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from mmbench.config.methods import STUDIED, STUDIED_TITLE, is_studied
from mmbench.report import text
from mmbench.report.draw import figures
from mmbench.report.draw.axes import scale_factors
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, method_styles, paper
from mmbench.report.parts.section import Headline, Section
from mmbench.report.tables import differences
from mmbench.report.tables import table as tables
from mmbench.report.tables.board import Board
from mmbench.report.tables.cells import network_notes, number_cell, spread_note
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults

Part = tuple[Section, ExperimentResults]
Line = tuple[Section, ExperimentResults, Headline]
REAL_NOTE = (
    "Real data: the metric's value on real images. It is the floor of FD and other distances; for judged metrics it is "
    "the judge's value on real images."
)
#: A method farther than this factor from the best baseline is shown at the edge.
EDGE = 20.0
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
#: Further ticks, used if the scores are close enough to leave room.
FINE_TICKS = (0.3, 0.7, 1.5, 3)
#: How many baselines of a question the figure shows, and its width in inches, which fits a phone.
SHOWN, WIDTH = 4, 4.2


def write_overview(parts: Sequence[Part], out: Path, command: str) -> tuple[dict[str, Any], list[Path]]:
    """The overview's table and figures, written below `out`, and the paths of their files; empty without headlines.

    `command` is the command that makes them.
    """
    lines = [(section, results, line) for section, results in parts for line in section.headlines]
    if not lines:
        return {}, []
    table = overview_table(lines)
    drawings = [
        replace(draw_overview(section, [line for line in lines if line[0] is section], out), command=command)
        for section, _ in parts
        if section.headlines
    ]
    written = tables.write_table(table, out / "tables")
    written += [out / "figures" / f"{drawing.name}.{suffix}" for drawing in drawings for suffix in ("png", "svg")]
    return {"table": table, "drawings": drawings, "tally": tally(lines)}, written


def draw_overview(section: Section, lines: Sequence[Line], out: Path) -> Drawing:
    """The figure of one experiment."""
    return figures.draw(
        f"overview-{section.name}",
        f"{section.title}: the score of {STUDIED_TITLE} and of the best {SHOWN} baselines as a multiple of the best "
        "baseline's (line at 1×), inverted where needed so that right is better. Bars are the intervals that decide: "
        "of the difference from the best baseline or, for a metric without values per image, the t-interval of the "
        f"mean over training seeds. A score that differs by more than a factor of {EDGE:.0f} is at the edge.",
        f"Dot plot of the scores of {section.title} relative to the best baseline, by question; its numbers are in the "
        "table.",
        partial(scores_figure, lines),
        out / "figures",
    )


def named(section: Section, line: Headline) -> str:
    """A question with its experiment."""
    return f"{section.title}: {line.question[0].lower()}{line.question[1:]}"


def overview_table(lines: Sequence[Line]) -> Table:
    """A row per question: the multitask model, the best other method and real data on its metric, and the verdict."""
    header = ["Question", "Metric", STUDIED_TITLE, "Best other", "Its value", "Real data", "Verdict"]
    rows = []
    for section, results, line in lines:
        board, case, other = line.board, line.case, line.board.best_baseline.get(line.case)
        reading, real = board.reading(STUDIED, case), results.real().get(board.metric)
        rows.append(
            [
                Cell(named(section, line)),
                Cell(board.column),
                _value(board, STUDIED, other, case),
                Cell(results.titles[other]) if other else NONE,
                _value(board, other, STUDIED, case) if other else NONE,
                number_cell(real, board.decimals),
                Cell(differences.said(board, STUDIED, case), tone=reading) if reading else NONE,
            ]
        )
    caption = f"{STUDIED_TITLE} and the best other method: one metric per question, over all training seeds."
    notes = [
        *dict.fromkeys(spread_note(results) for _, results, _ in lines),
        *network_notes(line.board.metric for *_, line in lines),
        *([REAL_NOTE] if any(row[5] is not NONE for row in rows) else []),
        f"The better mean is bold. The verdict compares {STUDIED_TITLE} with the best other method image by image, by "
        f"the paired intervals and tests below; {text.DASH} means that the metric has no value per image (FD and other "
        "distances of sets) or that no other method answers the question.",
    ]
    return Table("overview", caption, header, rows, notes, frozenset({1, 3, 6}))


def _value(board: Board, method: str, rival: str | None, case: str) -> Cell:
    """Mean and deviation, bold if the rank is better than the rival's."""
    studied, other = (board.entries.get((name, case)) for name in (method, rival or ""))
    return replace(board.cell(method, case), mark="best" if studied and other and studied.rank < other.rank else "")


def tally(lines: Sequence[Line]) -> str:
    """One sentence: the number of questions at which the multitask model is best."""
    asked = [line for _, _, line in lines if (STUDIED, line.case) in line.board.entries]
    won = sum(any(is_studied(method) for method in line.board.best(line.case)) for line in asked)
    return f"{STUDIED_TITLE} has the best mean in {won} of the {len(asked)} questions below that it answers."


def contenders(board: Board, case: str) -> list[str]:
    """The method under study and the best baselines of a case that have a ratio, from the best to the worst."""
    ranked = sorted((entry.rank, method) for (method, answered), entry in board.entries.items() if answered == case)
    able = [method for _, method in ranked if board.ratio(method, case)]
    baselines = [method for method in able if not is_studied(method)][:SHOWN]
    return [method for method in able if method == STUDIED or method in baselines]


def scores_figure(lines: Sequence[Line], mode: Mode) -> Figure:
    """A block per question: its name, then a labelled row for each method."""
    blocks = [(line, results, contenders(line.board, line.case)) for _, results, line in lines]
    rows = sum(len(methods) + 1.3 for *_, methods in blocks)
    figure = Figure(figsize=(WIDTH, 0.7 + 0.2 * rows), layout="constrained")
    axes, ink, place, ticks = figure.add_subplot(), paper(mode), 0.0, list[tuple[float, str, bool]]()
    for line, results, methods in blocks:
        name = f"{line.question} ({line.board.column})"
        axes.annotate(name, (0.01, place), xycoords=("figure fraction", "data"), va="center", fontsize=9,
                      fontweight="bold", color=ink["ink"])  # fmt: skip
        axes.vlines(1, place + 0.5, place + len(methods) + 0.5, color=ink["ink"], linewidth=1, zorder=1)
        for method in methods:
            place += 1
            ticks.append((place, results.titles[method], method == STUDIED))
            draw_score(axes, line, method, place, results, mode)
        place += 1.3
    name_scores(axes, ticks, place, mode)
    return figure


def draw_score(axes: Axes, line: Headline, method: str, place: float, results: ExperimentResults, mode: Mode) -> None:
    """A method's point and interval in its row."""
    ratio = line.board.ratio(method, line.case)
    assert ratio is not None
    middle, low, high = (min(EDGE, max(1 / EDGE, value)) for value in ratio)
    style = method_styles([method], mode)[method]
    colour = style.colour if method == STUDIED else paper(mode)["soft"]
    axes.hlines(place, low, high, color=colour, linewidth=1.8, alpha=0.6, zorder=2)
    axes.scatter(middle, place, s=44 if method == STUDIED else 22, color=colour, linewidth=0, zorder=3)
    words = f"{line.board.words(method, line.case)}, {ratio[0]:.2f}× the best baseline"
    tell(axes, middle, place, f"{line.question}, {line.board.column}. {results.titles[method]}: {words}")


def name_scores(axes: Axes, ticks: Sequence[tuple[float, str, bool]], end: float, mode: Mode) -> None:
    """The names of the rows, that of the method under study in bold, and the scale of multiples."""
    axes.set_yticks([place for place, *_ in ticks], [text.shorten(name, 28) for _, name, _ in ticks])
    for label, (*_, studied) in zip(axes.get_yticklabels(), ticks, strict=True):
        label.set(fontsize=8, color=paper(mode)["ink"], fontweight="bold" if studied else "normal")
    axes.set_ylim(end - 0.6, -0.8)
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.6), max(high, 1.6))
    scale_factors(axes, FixedLocator(sorted((*TICKS, *FINE_TICKS)) if high / low < 10 else TICKS))
    axes.set_xlabel("multiple of the best baseline (right is better)", fontsize=8)
