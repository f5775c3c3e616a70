"""Differences from the best baseline: of these trainings on other images, and of other trainings as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mmbench.report import text
from mmbench.report.tables.board import ALPHA, WORD, Board
from mmbench.report.tables.cells import method_cell, single_seeds
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.report.text import slug
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL, RESAMPLES

IMAGES_NOTE = (
    f"images: {100 * LEVEL:.0f} % BCa bootstrap interval of the mean per-image difference, each method's values first "
    "averaged over its training seeds; how other images would change the difference of these very trainings. Its test "
    f"is a two-sided sign-flip test of the same differences, {RESAMPLES:,} draws, Holm-adjusted over all cells of this "
    f"table (so no p is below cells / {RESAMPLES + 1:,})."
)
RETRAINED_NOTE = (
    f"images and trainings: {100 * LEVEL:.0f} % interval of the same difference for other trainings as well; to the "
    "margin over images it adds, in squares, that of the t-interval over the differences of each seed, which stand "
    "below it (the same seed is the same batches for all methods). p is of this interval, Holm-adjusted over all cells "
    f"of this table. Called better or worse if it leaves out 0 and p ≤ {ALPHA}; 'these trainings' is said where only "
    "the interval over images and its test say so."
)
ONE_SEED = "these trainings only: one seed"
ONE_SEED_NOTE = (
    f"Called better or worse if the interval leaves out 0 and p ≤ {ALPHA}. One training of each method: that is about "
    "these trainings only. Others, of another seed, may differ by more and the other way round."
)


def difference_cell(board: Board, method: str, case: str) -> Cell:
    """Paired difference from the case's best baseline, its intervals, single seeds and adjusted p-value."""
    entry, decimals = board.entries.get((method, case)), board.decimals
    if entry and board.best_baseline.get(case) == method:
        return Cell("best baseline", 0.0, tone="reference")
    if entry is None or (paired := entry.difference) is None:
        return NONE
    lines, p, ends = [f"{text.interval(paired.interval, decimals)} images"], entry.p_holm, paired.interval
    if both := paired.retrained:
        lines.append(f"{text.interval(both.interval, decimals)} images and trainings")
        lines.append(single_seeds(both.by_seed, partial(text.signed, decimals=decimals)))
        p, ends = entry.p_retrained, both.interval
    lines.append(", ".join(part for part in (text.p_value(p), said(board, method, case)) if part))
    tone = board.reading(method, case)
    return Cell(text.signed(paired.difference, decimals), paired.difference, lines, tone=tone, ends=ends)


def said(board: Board, method: str, case: str) -> str:
    """What may be said of a difference, and of what trainings; nothing without a comparison."""
    reading, of_these = board.reading(method, case), board.of_these(method, case)
    if reading == "unclear" and of_these != "unclear":
        return f"{WORD[reading]}; {WORD[of_these]} (these trainings)"
    return f"{WORD[reading]}{board.scope(method, case)}" if reading else ""


def difference_table(
    board: Board, labels: Sequence[str], results: ExperimentResults, notes: Sequence[str] = ()
) -> Table:
    """Every method minus the best baseline, per case; `notes` are said below beside those on the intervals."""
    rows = [
        [method_cell(results, m), *(difference_cell(board, m, case) for case in board.cases)] for m in board.methods
    ]
    direction = "above 0 is better" if board.higher_is_better else "below 0 is better"
    caption = f"{board.label}: difference from the best baseline of each column, paired per image; {direction}."
    name = f"{results.name}-{slug(board.metric)}-differences"
    several = any(entry.difference and entry.difference.retrained for entry in board.entries.values())
    notes = [IMAGES_NOTE, RETRAINED_NOTE if several else ONE_SEED_NOTE, *notes]
    return Table(name, caption, ["Method", *labels], rows, notes, differences=True)


def dependence_notes(card: Mapping[str, Any]) -> list[str]:
    """That the test images of a data set are not independent, if its card says so."""
    if not card.get("dependence"):
        return []
    return [f"The test images are not independent: {card['dependence']}. Intervals over images are too narrow."]
