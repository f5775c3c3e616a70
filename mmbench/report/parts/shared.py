"""What the sections of several experiments show: one case's metrics side by side, the real data's values, training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.draw import charts
from mmbench.report.draw.figures import Drawing
from mmbench.report.parts.section import Context
from mmbench.report.tables import common
from mmbench.report.tables.board import Board
from mmbench.report.tables.table import Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import describe

#: How a reading of `Board.reading` is put into a sentence.
VERB = {"better": "better than", "worse": "worse than", "unclear": "not told apart from"}


def real_values(results: ExperimentResults) -> dict[str, float]:
    """What each metric says of real images: of other ones as a set (the floor), and of what a judge sees in them."""
    rows: Sequence[Mapping[str, float | str]] = results.reference.get("metrics", [])
    return {str(row["name"]): float(row["value"]) for row in rows if row.get("value") is not None}


def real_notes(results: ExperimentResults) -> list[str]:
    """How many real images there were, and why their distances have no interval."""
    notes, reference = [], results.reference
    if "n" in reference:
        other = reference.get("floor", {})
        notes.append(
            f"Real set: {reference['n']:,} images of the {reference.get('split', 'reference')} split; floor: "
            f"{other.get('n', '?')} of the {other.get('split', 'other')} split."
        )
    notes.append(
        "FD and k-NN metrics are never bootstrapped: repeated points bias them. FD depends on the number of images."
    )
    return notes


def direction(board: Board) -> str:
    """A column's name: the metric, and which way is better."""
    return f"{describe(board.metric).label} {'↑' if board.higher_is_better else '↓'}"


def answering(boards: Sequence[Board]) -> list[str]:
    """The methods that have any result in the boards' first case, in their order."""
    return [m for m in boards[0].methods if any((m, board.cases[0]) in board.entries for board in boards)]


def case_table(
    name: str,
    caption: str,
    boards: Sequence[Board],
    results: ExperimentResults,
    *,
    header: Sequence[str] | None = None,
    unranked: Collection[str] = (),
    real: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """One case: a row per method that answers it, a column per metric.

    Args:
        name: of the table.
        caption: what is shown.
        boards: of one case, a column each.
        results: of the experiment.
        header: names of the columns; the metrics' own unless given.
        unranked: metrics of which no value is better than another.
        real: name of a last row with what the metrics say of real data; none if empty or not known.
        notes: said below.
    """
    case, rows = boards[0].cases[0], []
    for method in answering(boards):
        cells = [
            common.value_cell(board.entries.get((method, case)), describe(board.metric).decimals) for board in boards
        ]
        cells = [replace(c, mark="") if b.metric in unranked else c for b, c in zip(boards, cells, strict=True)]
        rows.append([common.method_cell(results, method), *cells])
    known = real_values(results)
    if real and any(board.metric in known for board in boards):
        values = [(known.get(board.metric), describe(board.metric).decimals) for board in boards]
        rows.append([Cell(real), *(common.number_cell(v, d) for v, d in values)])
    columns = ["Method", *(header or [direction(board) for board in boards])]
    return Table(name, caption, columns, rows, [common.seeds_note(results), *notes])


def over_cases(board: Board, labels: Sequence[str], titles: Mapping[str, str]) -> str:
    """One sentence on the method under study against the best baseline, over all cases of a metric.

    A word that all labels end with, after a non-breaking space and a number, is said once.
    """
    label = describe(board.metric).label
    winners = _by(lambda case: text.listing([titles[m] for m in board.best(case)]), board.cases, labels)
    best = "; ".join(f"{who} at {text.listing(shares)}" for who, shares in winners.items())
    if STUDIED not in titles:
        return f"Best mean {label}: {best}."
    readings = _by(lambda case: board.reading(STUDIED, case), board.cases, labels)
    parts = [f"{VERB[key]} the best baseline at {text.listing(readings[key])}" for key in VERB if key in readings]
    compared = ", and ".join(parts) or "not compared image by image with a baseline"
    compared += next((scope for case in board.cases if (scope := board.scope(STUDIED, case))), "")
    return f"On {label}, {titles[STUDIED]} is {compared}. Best mean of all: {best}."


def _by(key: Callable[[str], str], cases: Sequence[str], labels: Sequence[str]) -> dict[str, list[str]]:
    """Labels of the cases grouped by what `key` says of them; a last word that all share is kept by the last only."""
    groups: dict[str, list[str]] = {}
    ends = {label.rpartition(" ")[2] for label in labels}
    common_end = f" {ends.pop()}" if len(ends) == 1 and len(labels) > 1 else ""
    for case, label in zip(cases, labels, strict=True):
        groups.setdefault(key(case), []).append(label.removesuffix(common_end) if common_end else label)
    return {name: [*found[:-1], found[-1] + common_end] for name, found in groups.items()}


def training(context: Context) -> Drawing | None:
    """The training curves of every trained method; None if none was kept."""
    results = context.experiment
    frame = charts.training_frame(results)
    if frame.empty:
        return None
    caption = (
        "Training loss against images seen, one line per seed, with a running median. Losses of different methods "
        "measure different things: compare shapes, not heights."
    )
    if (frame["split"] == "validation").any():
        caption += (
            " Dashed: the loss on some items of the validation split, the same at every point, by the same weights. "
            "Where it rises and the other falls, the training items are learnt by heart."
        )
        if risen := [results.titles[method] for method in charts.rising(frame)]:
            caption += f" It ends more than {100 * charts.RISE:.0f} % above its least for {', '.join(risen)}."
    return context.draw(
        f"{results.name}-training",
        caption,
        "Line charts of the training loss, and that of validation, of each trained method.",
        partial(charts.training_curves, frame, results.titles, common.method_order(results)),
    )
