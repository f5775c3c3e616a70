"""Tables of values: one metric over cases, one case over metrics, and the tidy files of both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pandas as pd

from mmbench.report import text
from mmbench.report.tables.board import Board
from mmbench.report.tables.cells import method_cell, network_notes, number_cell, seeds_note
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import describe
from mmbench.scoring.statistics import Ends


def value_table(board: Board, labels: Sequence[str], results: ExperimentResults) -> Table:
    """One metric, a row per method, a column per case."""
    rows = [[method_cell(results, m), *(board.cell(m, case) for case in board.cases)] for m in board.methods]
    meaning, direction = describe(board.metric).meaning, "higher" if board.higher_is_better else "lower"
    caption = f"{board.label}: {meaning}; {direction} is better" if meaning else board.label
    notes = [seeds_note(results), *network_notes([board.metric])]
    if any(cell is NONE for row in rows for cell in row):
        notes.append(f"{text.DASH}: the method does not answer this task.")
    return Table(f"{results.name}-{text.slug(board.metric)}", f"{caption}.", ["Method", *labels], rows, notes)


def answering(boards: Sequence[Board]) -> list[str]:
    """The methods that have any result in the boards' first case, in order."""
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
        boards: the boards of one case, a column each.
        header: the names of the columns; those of the metrics unless given.
        unranked: metrics for which no value is better than another.
        real: the name of a last row with the metrics' values on real data; no such row if empty or not known.
    """
    case, rows = boards[0].cases[0], []
    for method in answering(boards):
        cells = [(board.cell(method, case), board.metric in unranked) for board in boards]
        rows.append([method_cell(results, method), *(replace(c, mark="") if same else c for c, same in cells)])
    known = results.real()
    if real and any(board.metric in known for board in boards):
        rows.append([Cell(real), *(number_cell(known.get(board.metric), board.decimals) for board in boards)])
    notes = [seeds_note(results), *network_notes(board.metric for board in boards), *notes]
    columns = ["Method", *(header or [board.column for board in boards])]
    return Table(name, caption, columns, rows, notes)


def long_frame(results: ExperimentResults) -> pd.DataFrame:
    """Tidy: one row per method, seed, case and metric."""
    frame = results.metrics.assign(experiment=results.name)
    columns = ["experiment", "method", "title", "seed", "case", "share", "metric", "value", "n", "higher_is_better"]
    return frame[[*columns, "extractor", "weights_sha256"]]


def summary_frame(boards: Sequence[Board], results: ExperimentResults) -> pd.DataFrame:
    """Wide: one row per method, case and metric, with all summaries over seeds and against the best baseline."""
    rows = []
    for board, (method, case), entry in [(b, *item) for b in boards for item in b.entries.items()]:
        paired, both = entry.difference, entry.difference and entry.difference.retrained
        rows.append(
            {
                "experiment": results.name,
                "metric": board.metric,
                "case": case,
                "method": method,
                "title": results.titles[method],
                "rank": entry.rank,
                "seeds": entry.summary.count,
                "mean": entry.summary.mean,
                "sd": entry.summary.sd,
                **end_columns("t", entry.summary),
                **{f"seed{seed}": value for seed, value in entry.values.items()},
                "best_baseline": board.best_baseline.get(case),
                "difference": paired.difference if paired else None,
                **end_columns("bca", paired),
                "p": paired.p if paired else None,
                "p_holm": entry.p_holm,
                "reading_of_these": board.of_these(method, case),
                **end_columns("retrained", both),
                "retrained_p": both.p if both else None,
                "retrained_p_holm": entry.p_retrained,
                "reading": board.reading(method, case),
            }
        )
    return pd.DataFrame(rows).sort_values(["metric", "case", "rank", "method"], kind="stable")


def end_columns(name: str, interval: Ends | None) -> dict[str, float | None]:
    """The ends of an interval as columns of a file."""
    return {f"{name}_{end}": getattr(interval, end) if interval else None for end in ("low", "high")}
