"""Figures: drawn in a light and a dark theme, written as files and embedded in the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from mmbench.files.atomic import atomic_path, write_text
from mmbench.report.draw.hover import Point, points
from mmbench.report.draw.theme import MODES, Mode, figure_style, paper

mpl.use("Agg")

#: Layout is measured in DejaVu Sans, which comes with Matplotlib; other sans-serif fonts are a little narrower.
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes:
        name: the name of its files and its anchor.
        caption: what is shown and how to read it.
        alt: the description for readers who cannot see it.
        svg: its source in the themes `light` and `dark`.
        points: the places with hover texts, the same in both themes.
        inches: its width, which determines the size of its text.
    """

    name: str
    caption: str
    alt: str
    svg: dict[Mode, str]
    points: list[Point] = field(default_factory=list)
    command: str = ""
    inches: float = 0.0


def draw(name: str, caption: str, alt: str, paint: Callable[[Mode], Figure], folder: Path) -> Drawing:
    """Draw a figure in both themes and write the light one as PNG and SVG into `folder`."""
    svg: dict[Mode, str] = {}
    marks, inches = list[Point](), 0.0
    for mode in MODES:
        with figure_style(mode):
            figure = paint(mode)
            if layout := figure.get_layout_engine():
                layout.execute(figure)
            figure.set_layout_engine("none")  # the layout is computed once, not for each file
            svg[mode] = _svg(figure)
            if mode == "light":
                marks, inches = points(figure), figure.get_figwidth()
                write_text(folder / f"{name}.svg", svg[mode])
                with atomic_path(folder / f"{name}.png") as path:
                    figure.savefig(path, format="png", facecolor=paper(mode)["paper"], metadata={"Software": None})
    return Drawing(name, caption, alt, svg, marks, inches=inches)


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :].replace("'DejaVu Sans'", _FONTS).replace('"DejaVu Sans"', _FONTS)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart: the nearest places to `positions` that are `gap` apart and within [low, high], in order.

    If there is no room for all, they are spaced evenly from low to high.
    """
    order = np.argsort(positions, kind="stable")
    gap = min(gap, (high - low) / max(1, len(order) - 1))
    offsets = gap * np.arange(len(order))
    pooled = isotonic_regression(np.asarray(positions, float)[order] - offsets).x
    result = np.empty(len(order))
    result[order] = np.clip(pooled, low, high - gap * (len(order) - 1)) + offsets
    return [float(value) for value in result]
