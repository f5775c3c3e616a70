"""What a figure says at its points: told while it is painted, placed once it is laid out, shown by the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: How many places of a curve are told.
PLACES = 10
_words: WeakKeyDictionary[Figure, list[tuple[Axes, float, float, str]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Point:
    """A place in a figure, in thousandths of its width from the left and of its height from the top, and its words."""

    x: int
    y: int
    words: str


def tell(axes: Axes, x: float, y: float, words: str) -> None:
    """Say `words` at (x, y) of `axes`, in its data's units."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    _words.setdefault(figure, []).append((axes, x, y, " ".join(words.split())))


def tell_curve(axes: Axes, places: Iterable[tuple[float, float, str]]) -> None:
    """Say words at some places (x, y, words) of a curve, evenly spaced along it, its last among them."""
    curve = list(places)
    for i in sorted({round(i) for i in np.linspace(len(curve) - 1, 0, min(PLACES, len(curve)))}):
        tell(axes, *curve[i])


def points(figure: Figure) -> list[Point]:
    """What was told of a figure that is laid out; what lies outside of its axes is left out."""
    visible = []
    width, height = figure.get_size_inches() * figure.dpi
    for axes, x, y, words in _words.get(figure, []):
        left, bottom = axes.transData.transform((x, y))
        if not axes.get_window_extent().padded(2).contains(left, bottom):
            continue
        visible.append(Point(round(1000 * left / width), round(1000 * (1 - bottom / height)), words))
    return visible
