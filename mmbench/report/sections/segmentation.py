"""Segmentation: class maps of images, images of class maps, and both drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmbench.report import common, text
from mmbench.report.board import Board, make_board
from mmbench.report.names import STUDIED, describe, in_order, slug
from mmbench.report.sections import Card, Context, Section
from mmbench.report.sections._segmentation_pictures import drawn_pairs, painted, segmented
from mmbench.report.sections._shared import VERB, case_table, real_notes, real_values, training

TITLE = "Image and mask"
LEAD = (
    "Three questions: name the class of each pixel of a test image, paint an image for a test mask, and draw an image "
    "and its mask together. What an image shows is said by a judge, a segmenter trained on real images that is no "
    "method here."
)
TASKS = ("segment", "paint", "generate")
#: The metric that findings are about, and the one of which there are values per image.
PRIMARY = {"segment": "miou", "paint": "judged_miou", "generate": "judged_miou"}
PAIRED = {"segment": "pixel_accuracy", "paint": "judged_accuracy", "generate": "judged_accuracy"}
ASKED = {"segment": "Segmenting", "paint": "Painting given masks", "generate": "Drawing image and mask together"}
IOU = "iou/"

Boards = Mapping[str, Sequence[Board]]


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    results = context.experiment
    boards = {task: task_boards(context, task) for task in TASKS}
    context.frame(f"{results.name}-long", common.long_frame(results))
    context.frame(f"{results.name}-summary", common.summary_frame([b for own in boards.values() for b in own], results))
    answered = [task for task in TASKS if boards[task]]
    content = {
        "tasks": [
            {
                "name": task,
                "title": ASKED[task],
                "table": context.table(task_table(context, task, boards[task])),
                "classes": class_table(context, boards[task]),
                "differences": differences(context, task, boards[task]),
                "grid": {"segment": segmented, "paint": painted, "generate": drawn_pairs}[task](context),
            }
            for task in answered
        ],
        "cost": context.table(common.cost_table(results)),
        "curves": training(context),
    }
    findings = [sentence for task in answered for sentence in task_findings(context, task, boards[task])]
    cards = [card for task in answered for card in task_cards(context, task, boards[task])]
    return Section(results.name, TITLE, LEAD, findings, cards, content)


def task_boards(context: Context, task: str) -> list[Board]:
    """A board for each metric of a task's case; none if nobody was scored on it."""
    results = context.experiment
    names = [case["name"] for case in results.cases if case["task"] == task]
    scored = results.metrics[results.metrics["case"].isin(names)]
    return [make_board(results, metric, names) for metric in in_order(scored["metric"])]


def find(boards: Sequence[Board], metric: str) -> Board | None:
    """The board of a metric, called by the beginning of its name."""
    return next((board for board in boards if board.metric == metric or board.metric.startswith(f"{metric}[")), None)


def task_table(context: Context, task: str, boards: Sequence[Board]) -> common.Table:
    """All of a task's metrics but the single classes, and what they say of real data."""
    results = context.experiment
    shown = [board for board in boards if not board.metric.startswith(IOU)]
    notes = [] if task == "segment" else [*real_notes(results), *_judge_notes(task)]
    return case_table(
        f"{results.name}-{task}",
        f"{ASKED[task]}: {sum(case['count'] for case in results.cases if case['task'] == task):,} items.",
        shown,
        results,
        unranked=("shuffled_miou",),
        real="" if task == "segment" else "Real images",
        notes=notes,
    )


def _judge_notes(task: str) -> list[str]:
    notes = [
        "Judged: what the judge sees in an image, against the mask it should show; for real images, the true mask."
    ]
    if task == "generate":
        notes.append("Shuffled: the same with every mask beside another image, which is what agrees by chance.")
    return notes


def class_table(context: Context, boards: Sequence[Board]) -> common.Table | None:
    """IoU of each class, in the classes' order; None if the task has none."""
    results, found = context.experiment, {board.metric: board for board in boards}
    names = [name for name in context.results.card.get("classes", []) if f"{IOU}{name}" in found]
    if not names:
        return None
    own = [found[f"{IOU}{name}"] for name in names]
    caption = "IoU of each class; higher is better. A class that is in no test mask and was never predicted has none."
    return context.table(case_table(f"{results.name}-classes", caption, own, results, header=names))


def differences(context: Context, task: str, boards: Sequence[Board]) -> common.Table | None:
    """Paired differences of the metric that has values per image; None without one."""
    board = find(boards, PAIRED[task])
    if board is None or not any(entry.difference for entry in board.entries.values()):
        return None
    table = common.difference_table(board, [ASKED[task]], context.experiment)
    name = f"{context.experiment.name}-{task}-{slug(board.metric)}-differences"
    return context.table(common.Table(name, table.caption, table.header, table.rows, table.notes))


def task_findings(context: Context, task: str, boards: Sequence[Board]) -> list[str]:
    """One sentence on the primary metric, with the paired comparison, and the real data's value beside it."""
    board = find(boards, PRIMARY[task])
    if board is None:
        return []
    titles, case = context.experiment.titles, board.cases[0]
    label, decimals, best = describe(board.metric).label, describe(board.metric).decimals, board.best(case)
    values = {method: text.number(entry.summary.mean, decimals) for (method, _), entry in board.entries.items()}
    parts = [f"{ASKED[task]}, the best {label} is {values[best[0]]}, of {text.listing([titles[m] for m in best])}"]
    if STUDIED in values and STUDIED not in best:
        parts.append(f"{titles[STUDIED]} has {values[STUDIED]}")
    parts += _beside(context, task, boards, decimals)
    paired = find(boards, PAIRED[task])
    if paired and (reading := paired.reading(STUDIED, case)):
        other = titles[paired.best_baseline[case]]
        parts.append(
            f"image by image, on {describe(paired.metric).label.lower()}, {titles[STUDIED]} is {VERB[reading]} "
            f"the best baseline, {other}"
        )
    return ["; ".join(parts) + "."]


def _beside(context: Context, task: str, boards: Sequence[Board], decimals: int) -> list[str]:
    """What a judged value lies between: real data, and maps beside other images."""
    parts = []
    ceiling = real_values(context.experiment).get(PRIMARY[task])
    if task != "segment" and ceiling is not None:
        parts.append(f"real images have {text.number(ceiling, decimals)}")
    shuffled = find(boards, "shuffled_miou")
    if shuffled and (entry := shuffled.entries.get((STUDIED, shuffled.cases[0]))):
        title = context.experiment.titles[STUDIED]
        parts.append(f"shuffled pairs of {title} have {text.number(entry.summary.mean, decimals)}")
    return parts


def task_cards(context: Context, task: str, boards: Sequence[Board]) -> list[Card]:
    """Who is best at a task, and where the method under study stands."""
    titles, cards = context.experiment.titles, []
    for metric in (PRIMARY[task], *(("fd",) if task != "segment" else ())):
        board = find(boards, metric)
        if board is None:
            continue
        case, decimals = board.cases[0], describe(board.metric).decimals
        best = board.best(case)
        value = text.number(board.entries[best[0], case].summary.mean, decimals)
        real = real_values(context.experiment).get(board.metric) if task != "segment" else None
        lines = [] if real is None else [f"real images: {text.number(real, decimals)}"]
        if (entry := board.entries.get((STUDIED, case))) and STUDIED not in best:
            lines.insert(0, f"{titles[STUDIED]}: {text.number(entry.summary.mean, decimals)}")
        headline = text.listing([titles[method] for method in best])
        cards.append(Card(f"{describe(board.metric).label}, {ASKED[task].lower()}", headline, value, lines))
    return cards
