"""Differences from the best baseline: for other images, and for other training runs as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mmbench.report import text
from mmbench.report.tables.board import ALPHA, WORD, Board
from mmbench.report.tables.cells import method_cell, network_notes, single_seeds
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.report.text import slug
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL, RESAMPLES

IMAGES_NOTE = (
    f"The interval over images only is the {100 * LEVEL:.0f} % BCa bootstrap interval of the mean per-image "
    "difference, each method's values first averaged over its training seeds. It shows how other images would change "
    "the difference of these training runs. Its test is a two-sided sign-flip test of the same differences with "
    f"{RESAMPLES:,} resamples, Holm-adjusted over all cells of this table (so no p is below cells / {RESAMPLES + 1:,})."
)
RETRAINED_NOTE = (
    f"Brackets hold the interval that decides: the {100 * LEVEL:.0f} % interval of the difference for other images and "
    "other training runs. Its squared margin is the sum of the squared margins over images and of the t-interval over "
    "the differences of each seed (the same seed means the same batches for all methods). On demand, a cell shows p "
    "of this interval, Holm-adjusted over all cells of this table, the interval over images only, and each seed. A "
    f"difference is called better or worse if the interval excludes 0 and p ≤ {ALPHA}. 'These training runs' marks a "
    "difference that is significant only by the interval over images."
)
ONE_SEED = "these training runs only (one seed)"
ONE_SEED_NOTE = (
    f"A difference is called better or worse if the interval excludes 0 and p ≤ {ALPHA}. Each method was trained "
    "once, so the result holds for these training runs only. Runs with another seed may differ by more, and in the "
    "other direction."
)


def difference_cell(board: Board, method: str, case: str) -> Cell:
    """Paired difference from the case's best baseline, the interval that decides, its reading; the rest on demand."""
    entry, decimals = board.entries.get((method, case)), board.decimals
    if entry and board.best_baseline.get(case) == method:
        return Cell("best baseline", 0.0, tone="reference")
    if entry is None or (paired := entry.difference) is None:
        return NONE
    ends, p, more = paired.interval, entry.p_holm, list[str]()
    if both := paired.retrained:
        ends, p = both.interval, entry.p_retrained
        more.append(f"{text.interval(paired.interval, decimals)} over images only")
        more.append(single_seeds(both.by_seed, partial(text.signed, decimals=decimals)))
    lines = [part for part in (text.interval(ends, decimals), said(board, method, case)) if part]
    return Cell(
        text.signed(paired.difference, decimals),
        paired.difference,
        lines,
        tone=board.reading(method, case),
        ends=ends,
        more=[text.p_value(p), *more],
    )


def said(board: Board, method: str, case: str) -> str:
    """The verdict on a difference, and the training runs that it holds for; empty without a comparison."""
    reading, of_these = board.reading(method, case), board.of_these(method, case)
    if reading == "unclear" and of_these != "unclear":
        return f"{WORD[reading]}; {WORD[of_these]} (these training runs)"
    return f"{WORD[reading]}{board.scope(method, case)}" if reading else ""


def difference_table(
    board: Board, labels: Sequence[str], results: ExperimentResults, notes: Sequence[str] = ()
) -> Table:
    """Every method minus the best baseline, per case; `notes` follow those on the intervals."""
    rows = [
        [method_cell(results, m), *(difference_cell(board, m, case) for case in board.cases)] for m in board.methods
    ]
    direction = "above 0 is better" if board.higher_is_better else "below 0 is better"
    caption = f"{board.label}: difference from the best baseline of each column, paired per image; {direction}."
    name = f"{results.name}-{slug(board.metric)}-differences"
    several = any(entry.difference and entry.difference.retrained for entry in board.entries.values())
    shown = [*([RETRAINED_NOTE, IMAGES_NOTE] if several else [IMAGES_NOTE, ONE_SEED_NOTE])]
    notes = [*shown, *network_notes([board.metric]), *notes]
    return Table(name, caption, ["Method", *labels], rows, notes)


def dependence_notes(card: Mapping[str, Any]) -> list[str]:
    """A note that the test images of a data set are not independent, if its card says so."""
    if not card.get("dependence"):
        return []
    return [f"The test images are not independent: {card['dependence']}. Intervals over images are too narrow."]
