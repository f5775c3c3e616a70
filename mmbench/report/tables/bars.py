"""The bars of a table's cells: value and interval on one scale for each column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mmbench.report.tables.table import Cell, Table

#: Columns that span more than this factor have a logarithmic scale, as the figures have.
LOG_FROM = 4.0


@dataclass(frozen=True)
class Scale:
    """From what to what a column's bars go."""

    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Where a value lies, in per cent from the left."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(100.0, max(0.0, 100 * (value - low) / (high - low)))


def scales(table: Table) -> list[Scale | None]:
    """The scale of each column; None for one in which not even two cells have an interval."""
    return [_scale([row[i] for row in table.rows], table.differences) for i in range(len(table.header))]


def _scale(cells: Sequence[Cell], differences: bool) -> Scale | None:
    drawn = [(cell.value, *cell.ends) for cell in cells if cell.ends and cell.value is not None]
    numbers = [number for own in drawn for number in own if math.isfinite(number)]
    if len(drawn) < 2 or min(numbers) == max(numbers):
        return None
    if differences:
        return Scale(min(0.0, *numbers), max(0.0, *numbers), False)
    middles = [value for value, *_ in drawn]
    if min(middles) <= 0 or max(middles) / min(middles) <= LOG_FROM:
        return Scale(min(numbers), max(numbers), False)
    # an interval over few seeds may reach far below what any method has
    return Scale(max(min(numbers), min(middles) / 2), max(numbers), True)


def bar(cell: Cell, scale: Scale | None) -> Markup:
    """The bar of a cell, whose numbers are beside it in words; nothing without an interval."""
    if scale is None or cell.ends is None or cell.value is None:
        return Markup("")
    left, right = (scale.place(end) for end in cell.ends)
    parts = [f"--a:{left:.1f}", f"--b:{right - left:.1f}", f"--m:{scale.place(cell.value):.1f}"]
    zero = scale.low <= 0 <= scale.high
    if zero:
        parts.append(f"--z:{scale.place(0.0):.1f}")
    kind = "range zero" if zero else "range"
    return Markup('<span class="{}" aria-hidden="true" style="{}"></span>').format(kind, ";".join(parts))
