"""Parts that several experiments' sections share: a sentence on a metric over cases, real data, training curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.draw import charts
from mmbench.report.draw.figures import Drawing
from mmbench.report.parts.section import Context
from mmbench.report.tables.board import Board
from mmbench.runs.results import ExperimentResults

#: The words for a reading (`Board.reading`) in a sentence.
VERB = {"better": "better than", "worse": "worse than", "unclear": "not significantly different from"}


def real_notes(results: ExperimentResults) -> list[str]:
    """The numbers of real images, and why distances to them have no interval."""
    notes, reference = [], results.reference
    if "n" in reference:
        other = reference.get("floor") or {}
        notes.append(
            f"Real set: {reference['n']:,} images of the {reference['split']} split; floor: "
            f"{other.get('n', '?')} of the {other.get('split', 'other')} split."
        )
    notes.append(
        "FD and k-NN metrics are not bootstrapped, since repeated points bias them. FD depends on the number of images."
    )
    return notes


def over_cases(board: Board, labels: Sequence[str], titles: Mapping[str, str]) -> str:
    """One sentence on the method under study against the best baseline, over all cases of a metric.

    A word that all labels end with, after a non-breaking space and a number, is written once.
    """
    winners = _by(lambda case: text.listing([titles[m] for m in board.best(case)]), board.cases, labels)
    best = "; ".join(f"{who} at {text.listing(shares)}" for who, shares in winners.items())
    if STUDIED not in titles:
        return f"Best mean {board.label}: {best}."
    readings = _by(lambda case: board.reading(STUDIED, case), board.cases, labels)
    parts = [f"{VERB[key]} the best baseline at {text.listing(readings[key])}" for key in VERB if key in readings]
    compared = ", and ".join(parts) or "not compared image by image with a baseline"
    compared += next((scope for case in board.cases if (scope := board.scope(STUDIED, case))), "")
    return f"On {board.label}, {titles[STUDIED]} is {compared}. Best mean of all: {best}."


def _by(key: Callable[[str], str], cases: Sequence[str], labels: Sequence[str]) -> dict[str, list[str]]:
    """Labels of the cases grouped by their `key`; a last word that all share is kept by the last label only."""
    groups: dict[str, list[str]] = {}
    ends = {label.rpartition(" ")[2] for label in labels}
    common_end = f" {ends.pop()}" if len(ends) == 1 and len(labels) > 1 else ""
    for case, label in zip(cases, labels, strict=True):
        groups.setdefault(key(case), []).append(label.removesuffix(common_end) if common_end else label)
    return {name: [*group[:-1], group[-1] + common_end] for name, group in groups.items()}


def draw_ratios(context: Context, name: str, board: Board, labels: Sequence[str], called: str) -> Drawing | None:
    """A metric relative to the best baseline over cases that differ in `called`; None without a baseline."""
    if not any(board.ratio(*place) for place in board.entries):
        return None
    return context.draw(
        name,
        f"{board.label} relative to the best baseline for each {called} (line at 1×). Bars are the intervals that "
        "decide in the table of differences, divided by the best baseline's mean.",
        f"Interval chart of {board.label} relative to the best baseline; its numbers are in the tables.",
        partial(charts.ratios, board, labels, context.experiment.titles),
    )


def training(context: Context) -> Drawing | None:
    """The training curves of every trained method; None if none was kept."""
    results = context.experiment
    frame = charts.training_frame(results)
    if frame.empty:
        return None
    caption = (
        "Training loss against images seen, one line per seed, with a running median. Losses of different methods "
        "are not comparable in height; compare their shapes."
    )
    if (frame["split"] == "validation").any():
        caption += (
            " Dashed: the loss of the same weights on fixed items of the validation split. Where it rises while the "
            "training loss falls, the network memorises the training items."
        )
        if risen := [results.titles[method] for method in charts.rising(frame)]:
            caption += f" It ends more than {100 * charts.RISE:.0f} % above its minimum for {', '.join(risen)}."
    return context.draw(
        f"{results.name}-training",
        caption,
        "Line charts of the training loss and the validation loss of each trained method.",
        partial(charts.training_curves, frame, results.titles, results.methods),
    )
