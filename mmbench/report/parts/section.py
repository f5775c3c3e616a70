"""What a section of the page is: the module `section` of an experiment, with `build(context)`.

A module decides what is worth showing of its experiment. Its template is `templates/<experiment>.html.j2`, or that of
`mmbench.report.parts.tasks.build_tasks`, for experiments that ask a question for each task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd
from matplotlib.figure import Figure

from mmbench.errors import UserError
from mmbench.experiments import load_part
from mmbench.report.draw import figures, pictures
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.pictures import Grid
from mmbench.report.draw.theme import Mode
from mmbench.report.tables import table as tables
from mmbench.report.tables.board import Board
from mmbench.report.tables.table import Table
from mmbench.runs.results import ExperimentResults, Results


@dataclass(frozen=True)
class Card:
    """One computed finding, for the overview.

    Attributes:
        title: which question, e.g. the masked share.
        headline: the answer, e.g. the best method.
        value: the number behind it.
        lines: what else must be known to judge it.
        tone: of the method under study: `better`, `worse`, `unclear` or nothing.
    """

    title: str
    headline: str
    value: str
    lines: Sequence[str] = ()
    tone: str = ""


@dataclass(frozen=True)
class Headline:
    """One line of the overview: a question, and the metric and case that answer it."""

    question: str
    board: Board
    case: str


@dataclass(frozen=True)
class Section:
    """An experiment's part of the page.

    Attributes:
        name: of the experiment, and of its template.
        title: heading.
        lead: what was asked, in one or two sentences.
        findings: sentences computed from the numbers.
        cards: the same in boxes.
        content: what the template shows.
        headlines: its lines in the overview.
        template: if not the one of its name.
        singles: models of one task each, trained as long, beside which a model of all is put.
    """

    name: str
    title: str
    lead: str
    findings: Sequence[str]
    cards: Sequence[Card]
    content: Mapping[str, Any]
    headlines: Sequence[Headline] = ()
    template: str = ""
    singles: Sequence[str] = ()


@dataclass
class Context:
    """What a section is built from, where it puts its files, and the command behind it.

    It remembers which files it wrote, and the names and titles of its grids of pictures.
    """

    results: Results
    experiment: ExperimentResults
    out: Path
    written: list[Path] = field(default_factory=list)
    command: str = ""
    pictures: list[tuple[str, str]] = field(default_factory=list)

    def table(self, table: Table) -> Table:
        """Write a table's files and return it for the page."""
        self.written += tables.write_table(table, self.out / "tables")
        return table

    def frame(self, name: str, frame: pd.DataFrame) -> None:
        """Write a data frame as CSV."""
        self.written.append(tables.write_frame(frame, self.out / "tables" / f"{name}.csv"))

    def draw(self, name: str, caption: str, alt: str, paint: Callable[[Mode], Figure]) -> Drawing:
        """Draw a figure, write its files and return it for the page."""
        self.written += [self.out / "figures" / f"{name}.{suffix}" for suffix in ("png", "svg")]
        drawing = figures.draw(name, caption, alt, paint, self.out / "figures")
        return replace(drawing, command=self.command)

    def grid(self, grid: Grid) -> Grid:
        """Write a grid of pictures as PNG and return it for the page."""
        path = self.out / "figures" / f"{grid.name}.png"
        pictures.write_grid(path, grid)
        self.written.append(path)
        self.pictures.append((grid.name, grid.title))
        return replace(grid, command=self.command)


class NumbersOnly(Context):
    """What a section is built from where only its numbers are wanted: nothing is drawn or written."""

    def table(self, table: Table) -> Table:
        """The table as it is."""
        return table

    def frame(self, name: str, frame: pd.DataFrame) -> None:
        """Nothing."""

    def draw(self, name: str, caption: str, alt: str, paint: Callable[[Mode], Figure]) -> Drawing:
        """A figure without a picture."""
        return Drawing(name, caption, alt, {})

    def grid(self, grid: Grid) -> Grid:
        """The grid as it is."""
        return grid


class SectionModule(Protocol):
    """What a module of this package provides."""

    def build(self, context: Context) -> Section:
        """The experiment's part of the page; writes its tables and figures."""


def load_section(experiment: str) -> SectionModule:
    """The section of an experiment; UserError if it has none."""
    module = load_part(experiment, "section")
    if module is None:
        raise UserError(
            f"experiment '{experiment}' has no section in the report; add mmbench/experiments/{experiment}/section.py"
        )
    return cast(SectionModule, module)
