"""The matrix of one method: a heat map whose colour shows where each cell lies between chance and the best value."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mmbench.config.methods import STUDIED
from mmbench.experiments.joint.section.cells import MEASURES, Matrix, Spot, given_words, is_named
from mmbench.report import text
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, paper, steps
from mmbench.report.parts.section import Context
from mmbench.report.tables.cells import network_notes, spread_note
from mmbench.report.tables.table import NONE, Cell, Table


def ends(matrix: Matrix, spot: Spot) -> tuple[float, float]:
    """The values of a cell's metric that count as worst and as best.

    For images: the worst method in any case, and the distance of other real images (for LPIPS, the best method).
    For other modalities: the value of shuffled real data, and the judge's value on real images (1 for a cosine).
    """
    values = [entry.summary.mean for entry in spot.board.entries.values()]
    floor, ceiling = matrix.results.real("floor"), matrix.results.real("ceiling")
    if spot.want == "image":
        return max(values), floor.get(spot.board.metric, min(values))
    measures = MEASURES[spot.want]
    chance = next((value for name, value in floor.items() if is_named(name, measures.chance)), min(values))
    return chance, measures.best or ceiling.get(measures.drawn, max(values))


def place(matrix: Matrix, spot: Spot, value: float) -> float:
    """Where a value lies between its ends, from 0 (worst) to 1 (best)."""
    worst, best = ends(matrix, spot)
    return float(np.clip((value - worst) / (best - worst), 0, 1)) if best != worst else 1.0


def matrix_table(context: Context, matrix: Matrix) -> Table:
    """The table of the matrix: a row per set of inputs, a column per generated modality."""
    rows = []
    for case, given in matrix.rows:
        cells = [Cell(given_words(given))]
        for column in matrix.columns:
            spot = matrix.spots.get((case, column))
            if spot is None or spot.entry(STUDIED) is None:
                cells.append(NONE)
                continue
            value, real = spot.cell(STUDIED), matrix.real_data(spot)
            beside = [] if real is None else [f"real data {spot.board.number(real)}"]
            also = [board for board in matrix.boards if board.metric in MEASURES[column].also and case in board.cases]
            beside += [f"{board.label} {board.arrow} {board.mean(STUDIED, case)}" for board in also]
            cells.append(Cell(value.text, value.value, [spot.column, *beside], more=value.more))
        rows.append(cells)
    title = matrix.results.titles[STUDIED]
    notes = [spread_note(matrix.results), metric_note(matrix)]
    notes += network_notes(spot.board.metric for spot in matrix.spots.values())
    header = ["Given", *(column.capitalize() for column in matrix.columns)]
    caption = f"What {title} generates (columns) from what it is given (rows), all with one network."
    return context.table(Table(f"{matrix.results.name}-matrix", caption, header, rows, notes))


def metric_note(matrix: Matrix) -> str:
    """The metrics of the matrix, and the ends of their colours."""
    spans: dict[str, str] = {}
    for spot in matrix.spots.values():
        span = " to ".join(map(spot.board.number, ends(matrix, spot)))
        spans.setdefault(f"{spot.want}: {spot.board.label}", span)
    listed = "; ".join(f"{name}, {span}" for name, span in spans.items())
    return (
        f"Ends of the colours, from worst to best: {listed}. They are the value of shuffled real data (chance) and the "
        "judge's value on real images, or 1 for a cosine; for images, the worst method of any case and other real "
        "images (LPIPS: the best method). Judged: without inputs there is no truth, so a judge compares the modality "
        "with the image that was generated with it."
    )


def heat_map(context: Context, matrix: Matrix) -> Drawing:
    """The matrix as a figure."""
    title = matrix.results.titles[STUDIED]
    return context.draw(
        f"{matrix.results.name}-matrix",
        f"One network, any to any: what {title} generates (columns) from what it is given (rows), mean over seeds. "
        "Colour: where the value lies between chance, or the worst method (faint), and the best possible value "
        "(strong); arrows show which direction is better. The table below has the ends.",
        f"Heat map of {title}: rows are the inputs, columns the generated modalities; its numbers are in the table "
        "below.",
        partial(draw_matrix, matrix),
    )


def draw_matrix(matrix: Matrix, mode: Mode) -> Figure:
    """A cell for each given set and generated modality: its value, its metric, and its place as colour."""
    count, width = len(matrix.rows), len(matrix.columns)
    figure = Figure(figsize=(2.3 + 1.55 * width, 0.75 + 0.47 * count), layout="constrained")
    axes, ink = figure.add_subplot(), paper(mode)
    scale = LinearSegmentedColormap.from_list("place", [ink["paper"], *steps(4, mode)[: 3 if mode == "dark" else 4]])
    for row, (case, given) in enumerate(matrix.rows):
        for column, want in enumerate(matrix.columns):
            spot = matrix.spots.get((case, want))
            entry = spot.entry(STUDIED) if spot else None
            if spot is None or entry is None:
                word = "given" if want in given else text.DASH
                axes.text(column, row, word, ha="center", va="center", color=ink["soft"], fontsize=8.5)
                continue
            value = entry.summary.mean
            colour = scale(0.08 + 0.92 * place(matrix, spot, value))
            axes.add_patch(_box(column, row, colour, ink["line"]))
            on = ink["ink"] if _contrast(ink["ink"], colour) > _contrast(ink["paper"], colour) else ink["paper"]
            shown = text.number(value, min(3, spot.board.decimals))
            tell(axes, column, row, f"{spot.title}: {spot.column} {spot.board.words(STUDIED, case)}")
            axes.text(column, row - 0.13, shown, ha="center", va="center", color=on, fontsize=10.5, fontweight="bold")
            axes.text(column, row + 0.26, spot.column, ha="center", va="center", color=on, fontsize=7)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(count - 0.5, -0.5))
    axes.set_xticks(range(width), [name.capitalize() for name in matrix.columns])
    axes.set_yticks(range(count), [given_words(given).capitalize() for _, given in matrix.rows])
    axes.tick_params(labelsize=9.5, labelcolor=ink["ink"], labeltop=True, labelbottom=False)
    axes.set(xlabel="generated", ylabel="given")
    axes.xaxis.set_label_position("top")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _box(column: int, row: int, colour: Any, edge: str) -> FancyBboxPatch:
    return FancyBboxPatch(
        (column - 0.46, row - 0.44), 0.92, 0.88, boxstyle="round,pad=0,rounding_size=0.06", facecolor=colour,
        edgecolor=edge, linewidth=0.7,
    )  # fmt: skip


def _contrast(first: Any, second: Any) -> float:
    """The contrast of two colours: the ratio of WCAG 2."""
    light = []
    for colour in (first, second):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(light) / min(light)


def matrix_finding(matrix: Matrix) -> str:
    """How many cells one network answers, and where it is nearest to and farthest from the best possible value."""
    spots = [spot for spot in matrix.answered(STUDIED) if spot.want != "image"]
    title = matrix.results.titles[STUDIED]
    first = f"{title} answers {len(matrix.answered(STUDIED))} cells of the matrix with one network"
    if not spots:
        return f"{first}."
    places = {spot.title: place(matrix, spot, e.summary.mean) for spot in spots if (e := spot.entry(STUDIED))}
    kinds = text.listing([f"{column}s" for column in matrix.columns if column != "image"])
    low, high = min(places, key=lambda k: places[k]), max(places, key=lambda k: places[k])
    return (
        f"{first}. For {kinds}, it is nearest to the best possible value for {high} "
        f"({100 * places[high]:.0f} % of the way from chance) and farthest for {low} ({100 * places[low]:.0f} %)."
    )
