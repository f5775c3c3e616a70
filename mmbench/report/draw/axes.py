"""Common functions for axes: panels, scales, labelled rows, labels at the ends of lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, NullFormatter, NullLocator

from mmbench.report.draw.figures import spread

#: Values that span more than this factor are shown on a logarithmic axis.
LOG_FROM = 4.0


@dataclass(frozen=True)
class End:
    """The right end of a line: its label, its value there, its colour, and whether the label is emphasised."""

    name: str
    value: float
    colour: str
    bold: bool = False


def panels(count: int, width: float, height: float, below: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of a size in inches, at most three per row, with room below them."""
    columns = min(3, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns + 0.4, height * rows + below), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def scale_values(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis of values, with plain numbers, if they span a large factor."""
    if low <= 0 or high / low <= LOG_FROM:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def scale_factors(axes: Axes, ticks: Locator) -> None:
    """A logarithmic axis of multiples, from left to right."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())


def name_rows(axes: Axes, names: Sequence[str], ink: str = "", bold: Collection[str] = (), margin: float = 0.6) -> None:
    """A labelled row for each name, from the top, without lines between them."""
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 1 + margin, -margin)
    axes.grid(visible=False, axis="y")
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        if ink:
            tick.set(color=ink, fontweight="bold" if name in bold else "normal")


def name_ends(axes: Axes, ends: Sequence[End], start: float, at: float, size: float = 9) -> None:
    """Label each line at its right end, with overlapping labels moved apart, and a thin line from the label to the end.

    Args:
        axes: axes with final limits.
        start: where the thin lines begin, as a share of the axes' width.
        at: the position of the labels, likewise.
    """
    to_axes, right = axes.transData + axes.transAxes.inverted(), axes.get_xlim()[1]
    heights = [float(to_axes.transform((right, end.value))[1]) for end in ends]
    for end, height, place in zip(ends, heights, spread(heights, 0.062, 0.0, 1.0), strict=True):
        axes.annotate(
            end.name, xy=(start, height), xytext=(at, place), xycoords="axes fraction", textcoords="axes fraction",
            color=end.colour, va="center", fontsize=size, fontweight="bold" if end.bold else "normal",
            # to the middle of the label's left edge, since a line to its centre would cross other labels
            arrowprops={"arrowstyle": "-", "color": end.colour, "lw": 0.6, "alpha": 0.6, "shrinkA": 2, "shrinkB": 0,
                        "relpos": (0, 0.5)},
        )  # fmt: skip
