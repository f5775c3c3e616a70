"""Scores of generated images by other extractors than that of the headlines, and the agreement of their rankings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from mmbench.report import text
from mmbench.report.parts.section import Context
from mmbench.report.parts.shared import real_notes
from mmbench.report.tables.board import Board, make_board
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.report.tables.values import case_table, summary_frame
from mmbench.report.text import slug
from mmbench.scoring.agreement import FEWEST, Agreement, rank_agreement
from mmbench.scoring.names import describe, extractor_of, in_order, measured

ABOUT = (
    "Kendall's τ-b of the methods' means over seeds, and below it Spearman's ρ and the number of methods. 1 is the "
    f"same order, 0 no relation, {text.MINUS}1 the reverse order. {text.DASH}: fewer than {FEWEST} methods, or all "
    "equal. If extractors disagree about two methods, neither order is reliable."
)


@dataclass(frozen=True)
class Seen:
    """One case by several extractors: their boards of each measure, by the extractor's name."""

    case: str
    boards: Mapping[str, Mapping[str, Board]]

    @property
    def extractors(self) -> list[str]:
        """The names of the extractors, that of the headlines first."""
        return list(dict.fromkeys(name for boards in self.boards.values() for name in boards))

    def agreement(self, measure: str, pair: tuple[str, str]) -> Agreement | None:
        """The agreement of two extractors' rankings by a measure; None if they cannot be compared."""
        boards = [self.boards[measure].get(name) for name in pair]
        first, second = ({} if board is None else means(board, self.case) for board in boards)
        return rank_agreement(first, second)

    def same_best(self, measure: str, pair: tuple[str, str]) -> list[str]:
        """The methods that are best by both extractors."""
        first, second = (self.boards[measure][name].best(self.case) for name in pair)
        return [method for method in first if method in second]


def means(board: Board, case: str) -> dict[str, float]:
    """Each method's mean over seeds in a case."""
    return {method: entry.summary.mean for (method, name), entry in board.entries.items() if name == case}


def seen_twice(context: Context) -> Iterator[Seen]:
    """The cases with measures that several extractors have."""
    results = context.experiment
    for case in results.cases:
        name = case["name"]
        by_measure: dict[str, list[str]] = defaultdict(list)
        for metric in in_order(results.metrics.loc[results.metrics["case"] == name, "metric"]):
            if extractor_of(metric):
                by_measure[measured(metric)].append(metric)
        shared = {
            measure: {extractor_of(metric): make_board(results, metric, [name]) for metric in metrics}
            for measure, metrics in by_measure.items()
            if len(metrics) > 1
        }
        if shared:
            yield Seen(name, shared)


def other_extractors(context: Context) -> dict[str, Any] | None:
    """Findings, the table of agreement, and tables of the other extractors' scores; None with one extractor."""
    cases = list(seen_twice(context))
    if not cases:
        return None
    results, tables, boards = context.experiment, [], []
    for seen in cases:
        for extractor in seen.extractors[1:]:
            shown = [board[extractor] for board in seen.boards.values() if extractor in board]
            name = f"{results.name}-{slug(seen.case)}-{slug(extractor)}"
            caption = f"Images of the case {seen.case}, measured with {extractor}."
            made = case_table(name, caption, shown, results, real="Real images", notes=real_notes(results))
            tables.append(context.table(made))
            boards += shown
    context.frame(f"{results.name}-extractors-summary", summary_frame(boards, results))
    return {"findings": findings(context, cases), "agreement": agreement_table(context, cases),
            "tables": tables}  # fmt: skip


def agreement_table(context: Context, cases: Sequence[Seen]) -> Table | None:
    """A row per case and pair of extractors, a column per measure; None if nothing can be compared."""
    measures = in_order(measure for seen in cases for measure in seen.boards)
    rows = []
    for seen, pair in [(case, pair) for case in cases for pair in combinations(case.extractors, 2)]:
        cells = [agreement_cell(seen, measure, pair) for measure in measures]
        if any(cell is not NONE for cell in cells):
            rows.append([Cell(seen.case), Cell(" and ".join(pair)), *cells])
    if not rows:
        return None
    header = ["Case", "Extractors", *(describe(measure).label for measure in measures)]
    caption = "How alike the extractors rank the methods."
    return context.table(Table(f"{context.experiment.name}-extractors", caption, header, rows, [ABOUT], frozenset({1})))


def agreement_cell(seen: Seen, measure: str, pair: tuple[str, str]) -> Cell:
    """tau, and below it rho and the number of methods."""
    agreed = seen.agreement(measure, pair) if measure in seen.boards else None
    if agreed is None or agreed.tau is None:
        return NONE
    return Cell(text.number(agreed.tau, 2), agreed.tau, [f"ρ {text.number(agreed.rho, 2)} · {agreed.count} methods"])


def findings(context: Context, cases: Sequence[Seen]) -> list[str]:
    """One sentence for each pair of extractors, on FD, that of the headlines first."""
    measure, said = "fd", []
    for pair in combinations(dict.fromkeys(name for seen in cases for name in seen.extractors), 2):
        known = [(seen, seen.agreement(measure, pair)) for seen in cases if measure in seen.boards]
        ranked = [(seen, agreed.tau, agreed.count) for seen, agreed in known if agreed and agreed.tau is not None]
        if ranked:
            who = f"By {describe(measure).label}, {text.listing(list(pair))} rank the"
            said.append(f"{who} {rankings(context, measure, pair, ranked)}.")
    return said


def rankings(context: Context, measure: str, pair: tuple[str, str], ranked: Sequence[tuple[Seen, float, int]]) -> str:
    """The agreement of two extractors in words, from the cases with their tau and number of methods."""
    taus = [tau for _, tau, _ in ranked]
    shared = [best for seen, *_ in ranked if (best := seen.same_best(measure, pair))]
    if len(ranked) > 1:
        low, middle, high = (text.number(value, 2) for value in (min(taus), median(taus), max(taus)))
        return (
            f"methods of {len(ranked)} cases with Kendall's τ from {low} to {high}, median {middle}, and have the same "
            f"best one in {len(shared)} of them"
        )
    titles = text.listing([context.experiment.titles[method] for method in shared[0]]) if shared else ""
    agreed = f"have the same best one, {titles}" if shared else "do not have the same best one"
    return f"{ranked[0][2]} methods of {ranked[0][0].case} with Kendall's τ {text.number(taus[0], 2)}, and {agreed}"
