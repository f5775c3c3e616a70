"""The bars of a table's cells: difference and interval relative to 0, on one scale for each column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mmbench.report.tables.table import Cell, Table


@dataclass(frozen=True)
class Scale:
    """The ends of a column's bars; 0 is between them."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """The position of a value, in per cent from the left."""
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))


def scales(table: Table) -> list[Scale | None]:
    """The scale of each column; None for a column with fewer than two intervals."""
    return [_scale([row[i] for row in table.rows]) for i in range(len(table.header))]


def _scale(cells: Sequence[Cell]) -> Scale | None:
    drawn = [(cell.value, *cell.ends) for cell in cells if cell.ends and cell.value is not None]
    numbers = [number for column in drawn for number in column if math.isfinite(number)]
    if len(drawn) < 2 or min(numbers) == max(numbers):
        return None
    return Scale(min(0.0, *numbers), max(0.0, *numbers))


def bar(cell: Cell, scale: Scale | None) -> Markup:
    """The bar of a cell, which also has the numbers as text; empty without an interval."""
    if scale is None or cell.ends is None or cell.value is None:
        return Markup("")
    left, right = (scale.place(end) for end in cell.ends)
    places = {"a": left, "b": right - left, "m": scale.place(cell.value), "z": scale.place(0.0)}
    style = ";".join(f"--{name}:{place:.1f}" for name, place in places.items())
    return Markup('<span class="range" aria-hidden="true" style="{}"></span>').format(style)
