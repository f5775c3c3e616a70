"""The section of an experiment with one question per task: tables, images and findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.draw.figures import Drawing
from mmbench.report.parts.section import Card, Context, Headline, Section
from mmbench.report.parts.shared import VERB, draw_ratios, over_cases, real_notes, training
from mmbench.report.parts.task_pictures import Pictures, draw_pictures
from mmbench.report.tables.board import Board, make_board
from mmbench.report.tables.cost import cost_table
from mmbench.report.tables.differences import dependence_notes, difference_table
from mmbench.report.tables.table import Table
from mmbench.report.tables.values import case_table, long_frame, summary_frame, value_table
from mmbench.scoring.names import leading


@dataclass(frozen=True)
class Question:
    """A task as the page shows it. Metrics are named without any part in brackets.

    Attributes:
        title: the title, e.g. `Generating images of given masks`.
        primary: the metric of the findings.
        also: other metrics with a box of their own.
        paired: the metric with values per image, for differences from the best baseline; empty if there is none.
        real: the name of the row with the metrics' values on real data; empty for no such row.
        control: the metric of a control, such as shuffled pairs, which is shown without ranks.
        apart: the beginning of the names of metrics that are shown in a separate table, a column each.
        level: for a task of several cases, the key by which they differ, a share from 0 to 1; else empty.
        pictures: the content of the grid of images.
    """

    task: str
    title: str
    primary: str
    also: Sequence[str] = ()
    paired: str = ""
    real: str = ""
    control: str = ""
    apart: str = ""
    apart_caption: str = ""
    level: str = ""
    level_name: str = ""
    notes: Sequence[str] = ()
    pictures: Pictures | None = None


@dataclass(frozen=True)
class Task:
    """A question and the results of its experiment."""

    context: Context
    question: Question

    @cached_property
    def cases(self) -> list[Mapping[str, Any]]:
        """The task's entries of cases.json."""
        return self.context.experiment.cases_of(self.question.task, self.question.level)

    @cached_property
    def boards(self) -> list[Board]:
        """A board for each metric of the task's cases; none if no method was scored on it."""
        results, names = self.context.experiment, [case["name"] for case in self.cases]
        scored = results.metrics[results.metrics["case"].isin(names)]
        return [make_board(results, metric, names) for metric in leading(scored["metric"])]

    def find(self, metric: str) -> Board | None:
        """The board of a metric, by its name without any part in brackets."""
        return next((board for board in self.boards if board.metric.partition("[")[0] == metric), None)

    @property
    def primary(self) -> Board:
        """The board of the primary metric, or the first board if there is none."""
        return self.find(self.question.primary) or self.boards[0]

    @property
    def boxed(self) -> list[Board]:
        """The boards of the primary metric and of the others with a box of their own."""
        return [board for metric in (self.question.primary, *self.question.also) if (board := self.find(metric))]

    @property
    def labels(self) -> list[str]:
        """The labels of the task's cases, which are columns."""
        level = self.question.level
        return [text.percent(case[level]) for case in self.cases] if level else [self.question.title]

    def content(self) -> Mapping[str, Any]:
        """The values for the template."""
        question, context = self.question, self.context
        levels = value_table(self.primary, self.labels, context.experiment) if question.level else None
        return {
            "name": question.task,
            "title": question.title,
            "table": context.table(levels or self.table()),
            "apart": self.apart(),
            "differences": self.differences(),
            "drawing": self.by_level() if question.level else None,
            "grid": draw_pictures(context, question.task, question.pictures) if question.pictures else None,
            "pictures": question.pictures is not None,
        }

    def table(self) -> Table:
        """All metrics of the task except those in the separate table, with their values on real data."""
        question, results = self.question, self.context.experiment
        return case_table(
            f"{results.name}-{question.task}",
            f"{question.title}: {sum(case['count'] for case in self.cases):,} items.",
            [board for board in self.boards if not (question.apart and board.metric.startswith(question.apart))],
            results,
            unranked=(question.control,),
            real=question.real,
            notes=[*(real_notes(results) if question.real else []), *question.notes],
        )

    def apart(self) -> Table | None:
        """The metrics in the separate table, such as the IoU of each class; None if there are none."""
        prefix, results = self.question.apart, self.context.experiment
        boards = {b.metric.removeprefix(prefix): b for b in self.boards if prefix and b.metric.startswith(prefix)}
        if not boards:
            return None
        order = {name: i for i, name in enumerate(self.context.results.card.get("classes") or [])}
        names = sorted(boards, key=lambda name: order.get(name, 0))
        columns = [boards[name] for name in names]
        table = case_table(f"{results.name}-classes", self.question.apart_caption, columns, results, header=names)
        return self.context.table(table)

    def differences(self) -> Table | None:
        """Paired differences of the metric with values per image; None without such a metric."""
        context, board = self.context, self.find(self.question.paired)
        if board is None or not any(entry.difference for entry in board.entries.values()):
            return None
        notes = dependence_notes(context.results.card) if any(case["given"] for case in self.cases) else []
        name = f"{context.experiment.name}-{self.question.task}-{text.slug(board.metric)}-differences"
        return context.table(replace(difference_table(board, self.labels, context.experiment, notes), name=name))

    def by_level(self) -> Drawing | None:
        """The primary metric relative to the best baseline; None without a baseline."""
        name = f"{self.context.experiment.name}-{self.question.task}-ratios"
        return draw_ratios(self.context, name, self.primary, self.labels, self.question.level_name)

    def finding(self) -> str:
        """One sentence on the primary metric, with the paired comparison and the value on real data."""
        board, titles, title = self.primary, self.context.experiment.titles, self.question.title
        if self.question.level:
            return f"{title}: {over_cases(board, self.labels, titles)}"
        case, best = board.cases[0], board.best(board.cases[0])
        of = text.listing([titles[method] for method in best])
        parts = [f"{title}, the best {board.label} is {board.mean(best[0], case)}, of {of}"]
        if (STUDIED, case) in board.entries and STUDIED not in best:
            parts.append(f"{titles[STUDIED]} has {board.mean(STUDIED, case)}")
        parts += self.beside()
        paired = self.find(self.question.paired)
        if paired and (reading := paired.reading(STUDIED, case)):
            parts.append(
                f"image by image, on {paired.label.lower()}, {titles[STUDIED]} is {VERB[reading]} "
                f"the best baseline, {titles[paired.best_baseline[case]]}{paired.scope(STUDIED, case)}"
            )
        return "; ".join(parts) + "."

    def beside(self) -> list[str]:
        """The values to compare the primary value with: real data and the control."""
        results, board, parts = self.context.experiment, self.primary, []
        if self.question.real and board.metric in (known := results.real()):
            parts.append(f"real data have {board.number(known[board.metric])}")
        control = self.find(self.question.control)
        if control and (STUDIED, control.cases[0]) in control.entries:
            value = control.mean(STUDIED, control.cases[0])
            parts.append(f"the {control.label.lower()} of {results.titles[STUDIED]} is {value}")
        return parts

    def cards(self) -> list[Card]:
        """The best method, and the value of the method under study."""
        titles, cards, known = self.context.experiment.titles, [], self.context.experiment.real()
        for board, case, label in [(b, *pair) for b in self.boxed for pair in zip(b.cases, self.labels, strict=True)]:
            best, lines = board.best(case), []
            if (STUDIED, case) in board.entries and STUDIED not in best:
                lines.append(f"{titles[STUDIED]}: {board.mean(STUDIED, case)}")
            if self.question.real and board.metric in known:
                lines.append(f"real data: {board.number(known[board.metric])}")
            asked = self.question.title.lower() + (f", {label}" if self.question.level else "")
            headline = text.listing([titles[method] for method in best])
            cards.append(Card(f"{board.label}, {asked}", headline, board.mean(best[0], case), lines))
        return cards

    def headlines(self) -> list[Headline]:
        """The lines of the overview: every board with a box, in the task's middle case."""
        return [Headline(self.question.title, board, board.cases[len(board.cases) // 2]) for board in self.boxed]


def build_tasks(
    context: Context, title: str, lead: str, questions: Sequence[Question], singles: Sequence[str] = (), **more: Any
) -> Section:
    """The section of an experiment, its tables and figures.

    Args:
        lead: the tasks, in one or two sentences.
        questions: the questions in the order of the page; those without any score are left out.
        singles: single-task models, as in `Section`.
        more: further values for the template: `classes`, whether their colours are explained; `extra`, figures.
    """
    results = context.experiment
    tasks = [task for question in questions if (task := Task(context, question)).boards]
    context.frame(f"{results.name}-long", long_frame(results))
    context.frame(f"{results.name}-summary", summary_frame([board for task in tasks for board in task.boards], results))
    content = {
        "tasks": [task.content() for task in tasks],
        "cost": context.table(cost_table(results)),
        "curves": training(context),
        "classes": False,
        "extra": [],
        **more,
    }
    findings, cards = [task.finding() for task in tasks], [card for task in tasks for card in task.cards()]
    headlines = [line for task in tasks for line in task.headlines()]
    return Section(results.name, title, lead, findings, cards, content, headlines, "tasks.html.j2", singles)
