"""The hover texts of a figure: recorded while it is drawn, positioned after its layout, shown by the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: How many points of a curve have a hover text.
PLACES = 10
_words: WeakKeyDictionary[Figure, list[tuple[Axes, float, float, str]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Point:
    """A place in a figure, in thousandths of its width from the left and of its height from the top, and its text."""

    x: int
    y: int
    words: str


def tell(axes: Axes, x: float, y: float, words: str) -> None:
    """Record `words` as the hover text at (x, y) of `axes`, in data coordinates."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    _words.setdefault(figure, []).append((axes, x, y, " ".join(words.split())))


def tell_curve(axes: Axes, places: Iterable[tuple[float, float, str]]) -> None:
    """Record hover texts at some evenly spaced places (x, y, words) of a curve, including the last one."""
    curve = list(places)
    for i in sorted({round(i) for i in np.linspace(len(curve) - 1, 0, min(PLACES, len(curve)))}):
        tell(axes, *curve[i])


def points(figure: Figure) -> list[Point]:
    """The hover texts of a figure after its layout, without those outside its axes."""
    visible = []
    width, height = figure.get_size_inches() * figure.dpi
    for axes, x, y, words in _words.get(figure, []):
        left, bottom = axes.transData.transform((x, y))
        if not axes.get_window_extent().padded(2).contains(left, bottom):
            continue
        visible.append(Point(round(1000 * left / width), round(1000 * (1 - bottom / height)), words))
    return visible
