"""A section of an experiment that asks several questions, a task each: tables, pictures and findings of every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.draw import charts
from mmbench.report.draw.figures import Drawing
from mmbench.report.parts.section import Card, Context, Headline, Section
from mmbench.report.parts.shared import VERB, case_table, over_cases, real_notes, real_values, training
from mmbench.report.parts.task_pictures import Pictures, draw_pictures
from mmbench.report.tables import common
from mmbench.report.tables.board import Board, make_board, means_frame
from mmbench.report.tables.differences import dependence_notes, difference_table
from mmbench.report.tables.table import Table
from mmbench.report.text import slug
from mmbench.scoring.names import describe, in_order


@dataclass(frozen=True)
class Question:
    """A task as the page shows it. Metrics are called by the beginning of their names, before any bracket.

    Attributes:
        task: its name.
        title: what is asked, e.g. `Painting given masks`.
        primary: the metric that findings are about.
        also: other metrics that get a box of their own.
        paired: the metric with values per image, for differences from the best baseline; empty if there is none.
        real: name of the row with what the metrics say of real data; empty for none.
        control: metric of a control, such as shuffled pairs, shown without ranks and beside the primary one.
        apart: beginning of the names of metrics that fill a table of their own, a column each.
        apart_caption: of that table.
        level: for a task of several cases, the key by which they differ, a share from 0 to 1, and what it is called.
        notes: said below the table.
        pictures: what the grid of pictures shows.
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
    level: tuple[str, str] | None = None
    notes: Sequence[str] = ()
    pictures: Pictures | None = None


def build_tasks(context: Context, title: str, lead: str, questions: Sequence[Question], **more: Any) -> Section:
    """The section of an experiment, its tables and figures.

    Args:
        context: results, and where files go.
        title: heading.
        lead: what was asked, in one or two sentences.
        questions: in the order of the page; those that nobody was scored on are left out.
        more: what else the template shows: `classes`, whether their colours are explained; `extra`, figures.
    """
    results = context.experiment
    boards = {q.task: task_boards(context, q) for q in questions}
    context.frame(f"{results.name}-long", common.long_frame(results))
    context.frame(f"{results.name}-summary", common.summary_frame([b for own in boards.values() for b in own], results))
    answered = [q for q in questions if boards[q.task]]
    content = {
        "tasks": [{"name": q.task, "title": q.title, **task_content(context, q, boards[q.task])} for q in answered],
        "cost": context.table(common.cost_table(results)),
        "curves": training(context),
        "classes": False,
        "extra": [],
        **more,
    }
    findings = [sentence for q in answered for sentence in task_findings(context, q, boards[q.task])]
    cards = [card for q in answered for card in task_cards(context, q, boards[q.task])]
    headlines = [line for q in answered for line in task_headlines(q, boards[q.task])]
    return Section(results.name, title, lead, findings, cards, content, headlines, "tasks.html.j2")


def task_boards(context: Context, question: Question) -> list[Board]:
    """A board for each metric of a task's cases; none if nobody was scored on it."""
    results = context.experiment
    names = [case["name"] for case in results.cases_of(question.task, question.level[0] if question.level else "")]
    scored = results.metrics[results.metrics["case"].isin(names)]
    return [make_board(results, metric, names) for metric in in_order(scored["metric"])]


def task_content(context: Context, question: Question, boards: Sequence[Board]) -> Mapping[str, Any]:
    """What the template shows of a task."""
    if question.level:
        return {
            "table": context.table(
                common.value_table(primary(question, boards), labels(context, question), context.experiment)
            ),
            "apart": None,
            "differences": differences(context, question, boards),
            "drawing": by_level(context, question, boards),
            "grid": None,
            "pictures": False,
        }
    return {
        "table": context.table(task_table(context, question, boards)),
        "apart": apart_table(context, question, boards),
        "differences": differences(context, question, boards),
        "drawing": None,
        "grid": draw_pictures(context, question.task, question.pictures) if question.pictures else None,
        "pictures": question.pictures is not None,
    }


def find(boards: Sequence[Board], metric: str) -> Board | None:
    """The board of a metric, called by its name up to any bracket."""
    return next((board for board in boards if board.metric.partition("[")[0] == metric), None)


def primary(question: Question, boards: Sequence[Board]) -> Board:
    """The board of a task's primary metric; the first, should it have none."""
    return find(boards, question.primary) or boards[0]


def labels(context: Context, question: Question) -> list[str]:
    """A task's cases as columns."""
    if question.level is None:
        return [question.title]
    return [text.percent(case[question.level[0]]) for case in context.experiment.cases_of(question.task)]


def task_table(context: Context, question: Question, boards: Sequence[Board]) -> Table:
    """All of a task's metrics but those that are shown apart, and what they say of real data."""
    results = context.experiment
    shown = [board for board in boards if not (question.apart and board.metric.startswith(question.apart))]
    return case_table(
        f"{results.name}-{question.task}",
        f"{question.title}: {sum(case['count'] for case in results.cases_of(question.task)):,} items.",
        shown,
        results,
        unranked=(question.control,),
        real=question.real,
        notes=[*(real_notes(results) if question.real else []), *question.notes],
    )


def apart_table(context: Context, question: Question, boards: Sequence[Board]) -> Table | None:
    """The metrics that fill a table of their own, such as the IoU of each class; None if there are none."""
    results = context.experiment
    own = [board for board in boards if question.apart and board.metric.startswith(question.apart)]
    if not own:
        return None
    names = [board.metric.removeprefix(question.apart) for board in own]
    order = {name: i for i, name in enumerate(context.results.card.get("classes", []))}
    own, names = (
        list(x) for x in zip(*sorted(zip(own, names, strict=True), key=lambda x: order.get(x[1], 0)), strict=True)
    )
    name = f"{results.name}-classes"
    return context.table(case_table(name, question.apart_caption, own, results, header=names))


def differences(context: Context, question: Question, boards: Sequence[Board]) -> Table | None:
    """Paired differences of the metric that has values per image; None without one."""
    board = find(boards, question.paired)
    if board is None or not any(entry.difference for entry in board.entries.values()):
        return None
    given = any(case["given"] for case in context.experiment.cases_of(question.task))
    notes = dependence_notes(context.results.card) if given else []
    table = difference_table(board, labels(context, question), context.experiment, notes)
    name = f"{context.experiment.name}-{question.task}-{slug(board.metric)}-differences"
    return context.table(replace(table, name=name))


def by_level(context: Context, question: Question, boards: Sequence[Board]) -> Drawing | None:
    """The primary metric against what the cases differ by."""
    if question.level is None:
        return None
    key, called = question.level
    board = primary(question, boards)
    label = describe(board.metric).label
    frame = means_frame(board, context.experiment, key)
    return context.draw(
        f"{context.experiment.name}-{question.task}-by-level",
        f"{question.title}: {label} against the {called}. {charts.MARKS}",
        f"Line chart of {label} by {called}; its numbers are in the table above.",
        partial(charts.metric_by_share, frame, board, context.experiment.titles, f"{called}, %"),
    )


def task_findings(context: Context, question: Question, boards: Sequence[Board]) -> list[str]:
    """One sentence on the primary metric, with the paired comparison, and the real data's value beside it."""
    board, titles = primary(question, boards), context.experiment.titles
    if question.level:
        return [f"{question.title}: {over_cases(board, labels(context, question), titles)}"]
    case, label, decimals = board.cases[0], describe(board.metric).label, describe(board.metric).decimals
    best = board.best(case)
    values = {method: text.number(entry.summary.mean, decimals) for (method, _), entry in board.entries.items()}
    parts = [f"{question.title}, the best {label} is {values[best[0]]}, of {text.listing([titles[m] for m in best])}"]
    if STUDIED in values and STUDIED not in best:
        parts.append(f"{titles[STUDIED]} has {values[STUDIED]}")
    parts += _beside(context, question, boards)
    paired = find(boards, question.paired)
    if paired and (reading := paired.reading(STUDIED, case)):
        other = titles[paired.best_baseline[case]]
        parts.append(
            f"image by image, on {describe(paired.metric).label.lower()}, {titles[STUDIED]} is {VERB[reading]} "
            f"the best baseline, {other}{paired.scope(STUDIED, case)}"
        )
    return ["; ".join(parts) + "."]


def _beside(context: Context, question: Question, boards: Sequence[Board]) -> list[str]:
    """What the primary value lies between: real data, and the control."""
    board, parts = primary(question, boards), []
    decimals, known = describe(board.metric).decimals, real_values(context.experiment)
    if question.real and board.metric in known:
        parts.append(f"real data have {text.number(known[board.metric], decimals)}")
    control = find(boards, question.control)
    if control and (entry := control.entries.get((STUDIED, control.cases[0]))):
        label, title = describe(control.metric).label.lower(), context.experiment.titles[STUDIED]
        parts.append(f"the {label} of {title} is {text.number(entry.summary.mean, describe(control.metric).decimals)}")
    return parts


def task_cards(context: Context, question: Question, boards: Sequence[Board]) -> list[Card]:
    """Who is best at a task, and where the method under study stands."""
    titles, cards, known = context.experiment.titles, [], real_values(context.experiment)
    for metric in (question.primary, *question.also):
        if (board := find(boards, metric)) is None:
            continue
        decimals = describe(board.metric).decimals
        for case, label in zip(board.cases, labels(context, question), strict=True):
            best = board.best(case)
            value = text.number(board.entries[best[0], case].summary.mean, decimals)
            lines = []
            if question.real and board.metric in known:
                lines.append(f"real data: {text.number(known[board.metric], decimals)}")
            if (entry := board.entries.get((STUDIED, case))) and STUDIED not in best:
                lines.insert(0, f"{titles[STUDIED]}: {text.number(entry.summary.mean, decimals)}")
            asked = question.title.lower() + (f", {label}" if question.level else "")
            headline = text.listing([titles[method] for method in best])
            cards.append(Card(f"{describe(board.metric).label}, {asked}", headline, value, lines))
    return cards


def task_headlines(question: Question, boards: Sequence[Board]) -> list[Headline]:
    """The lines of the overview: a task's primary metric and the others that have a box, in its middle case."""
    found = [board for metric in (question.primary, *question.also) if (board := find(boards, metric))]
    return [Headline(question.title, board, board.cases[len(board.cases) // 2]) for board in found]
