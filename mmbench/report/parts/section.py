"""The interface of a section of the page: the module `section` of an experiment, with `build(context)`.

The module selects what the page shows of its experiment. Its template is `templates/<experiment>.html.j2`, or that of
`mmbench.report.parts.tasks.build_tasks`, for experiments with one question per task.
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
        title: the question, e.g. the masked share.
        headline: the answer, e.g. the best method.
        value: the number behind the answer.
        lines: further facts that are needed to judge it.
        tone: the reading of the method under study: `better`, `worse`, `unclear` or empty.
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
        name: the name of the experiment and of its template.
        lead: the tasks, in one or two sentences.
        findings: sentences computed from the numbers.
        cards: findings in boxes.
        content: the values for the template.
        headlines: the lines of the section in the overview.
        template: the template if it is not the one of its name.
        singles: single-task models, trained as long, with which the multitask model is compared.
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
    """The results that a section is built from, the folder of its files, and the command that makes it.

    It records which files it wrote, and the names and titles of its grids of images.
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
        """Write a grid of images as PNG and return it for the page."""
        path = self.out / "figures" / f"{grid.name}.png"
        pictures.write_grid(path, grid)
        self.written.append(path)
        self.pictures.append((grid.name, grid.title))
        return replace(grid, command=self.command)


class NumbersOnly(Context):
    """A context for callers that need only the numbers of a section: no figure is drawn and no file is written."""

    def table(self, table: Table) -> Table:
        """The table unchanged."""
        return table

    def frame(self, name: str, frame: pd.DataFrame) -> None:
        """Write nothing."""

    def draw(self, name: str, caption: str, alt: str, paint: Callable[[Mode], Figure]) -> Drawing:
        """A figure without content."""
        return Drawing(name, caption, alt, {})

    def grid(self, grid: Grid) -> Grid:
        """The grid unchanged."""
        return grid


class SectionModule(Protocol):
    """The interface of an experiment's module `section`."""

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
