"""Masked reconstruction: quality by masked share, generation from noise, example images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmbench.config.methods import STUDIED
from mmbench.experiments.masking.section.noise import generation_findings, generation_table, samples
from mmbench.experiments.masking.section.pictures import reconstructions
from mmbench.report import text
from mmbench.report.parts.section import Card, Context, Headline, Section
from mmbench.report.parts.shared import draw_ratios, over_cases, training
from mmbench.report.tables.board import Board, make_board
from mmbench.report.tables.cost import cost_table
from mmbench.report.tables.differences import ONE_SEED, dependence_notes, difference_table
from mmbench.report.tables.values import long_frame, summary_frame, value_table
from mmbench.report.text import slug
from mmbench.scoring.names import in_order, leading

TITLE = "Masked reconstruction"
LEAD = (
    "Every method is given the same test images under the same frozen masks, and the known pixels are pasted into its "
    "answer before anything is measured. Methods that can also generate from noise are compared on that task as well."
)
PRIMARY = "lpips_alex"
#: Single-task models.
SINGLES = ("reconstruction_only", "ddpm")
#: Shown relative to the best baseline at each masked share.
DRAWN = ("lpips_alex", "lpips_vgg")


def build(context: Context) -> Section:
    """The section, its tables and figures."""
    results = context.experiment
    cases = results.cases_of("reconstruct", "share")
    names = [case["name"] for case in cases]
    labels = [text.percent(case["share"]) + " masked" for case in cases]
    scored = results.metrics[results.metrics["case"].isin(names)]
    boards = [make_board(results, metric, names) for metric in in_order(scored["metric"])]
    drawn = [case["name"] for case in results.cases if case["task"] == "generate"]
    free = results.metrics[results.metrics["case"].isin(drawn)]
    noise = [make_board(results, metric, drawn) for metric in leading(free["metric"])]
    context.frame(f"{results.name}-long", long_frame(results))
    context.frame(f"{results.name}-summary", summary_frame([*boards, *noise], results))
    findings, cards, headlines = [], [], []
    if boards:
        primary = next((board for board in boards if board.metric == PRIMARY), boards[0])
        cards = [_card(primary, name, label, results.titles) for name, label in zip(names, labels, strict=True)]
        headlines = [Headline(f"Reconstructing, {label}", primary, n) for n, label in zip(names, labels, strict=True)]
        findings = [over_cases(board, labels, results.titles) for board in boards if board.metric in DRAWN] or [
            over_cases(primary, labels, results.titles)
        ]
    extra, more = generation_findings(noise, results)
    content = {
        "metrics": [_metric(context, board, labels) for board in boards],
        "reconstructions": reconstructions(context, PRIMARY),
        "generation": context.table(generation_table(noise, results)) if noise else None,
        "samples": samples(context),
        "cost": context.table(cost_table(results)),
        "curves": training(context),
        "count": cases[0]["count"] if cases else 0,
    }
    headlines += [Headline("Generating images", board, drawn[0]) for board in noise if board.metric.startswith("fd[")]
    return Section(results.name, TITLE, LEAD, [*findings, *extra], [*cards, *more], content, headlines, singles=SINGLES)


def _metric(context: Context, board: Board, labels: Sequence[str]) -> Mapping[str, object]:
    """The tables of one metric, and its figure if it has one."""
    results = context.experiment
    name, label = f"{results.name}-{slug(board.metric)}", board.label
    drawing = draw_ratios(context, f"{name}-ratios", board, labels, "masked share") if board.metric in DRAWN else None
    return {
        "label": label,
        "table": context.table(value_table(board, labels, results)),
        "differences": context.table(difference_table(board, labels, results, dependence_notes(context.results.card))),
        "drawing": drawing,
        "open": board.metric == PRIMARY,
    }


def _card(board: Board, case: str, label: str, titles: Mapping[str, str]) -> Card:
    """The best method of one case, and the value of the method under study."""
    best = board.best(case)
    value = board.mean(best[0], case) if best else text.DASH
    headline = text.listing([titles[method] for method in best])
    reading, lines = board.reading(STUDIED, case), []
    entry = board.entries.get((STUDIED, case))
    if entry and entry.difference and case in board.best_baseline:
        difference = entry.difference
        lines = [
            f"{titles[STUDIED]}: {board.mean(STUDIED, case)}",
            f"{text.signed(difference.difference, board.decimals)} "
            f"{text.interval(difference.interval, board.decimals)} from the best baseline"
            + (f", {titles[board.best_baseline[case]]}" if STUDIED in best else ""),
        ]
        lines += [ONE_SEED] if board.scope(STUDIED, case) else []
    return Card(f"{board.label}, {label}", headline, value, lines, reading)
