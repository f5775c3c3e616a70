"""Joint: one model of image, mask, label, embedding and depth that generates any of them from any others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mmbench.config.methods import STUDIED, is_studied
from mmbench.errors import UserError
from mmbench.experiments.joint.section.cells import PER_TASK, Matrix, Spot, make_matrix
from mmbench.experiments.joint.section.consistency import (
    agreements,
    consistency_figure,
    consistency_findings,
    consistency_table,
)
from mmbench.experiments.joint.section.gradients import gradient_findings, gradient_frame, gradients
from mmbench.experiments.joint.section.matrix import heat_map, matrix_finding, matrix_table
from mmbench.experiments.joint.section.pictures import any_to_any, strip
from mmbench.experiments.joint.section.transfer import (
    Change,
    changes,
    comparison_table,
    transfer_figure,
    transfer_findings,
    transfer_frame,
    transfer_table,
)
from mmbench.report import text
from mmbench.report.parts.multitask import per_cent
from mmbench.report.parts.section import Card, Context, Headline, Section
from mmbench.report.parts.shared import training
from mmbench.report.tables.board import MARKS
from mmbench.report.tables.cells import method_cell, network_notes, number_cell, seeds_note
from mmbench.report.tables.cost import cost_table
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.report.tables.values import long_frame, summary_frame

TITLE = "Any to any"
#: The names of the rivals in the boxes.
AGAINST = {"single": "single-task (C)", "per_task": "single-task (C/K)", "pair": "two modalities"}


def build(context: Context) -> Section:
    """The section, its tables and figures.

    Raises:
        UserError: the method under study was not scored, so there is no matrix.
    """
    results = context.experiment
    if STUDIED not in results.titles:
        raise UserError(f"{results.folder}: {STUDIED} was not scored, of which this section is; evaluate it")
    matrix = make_matrix(results)
    context.frame(f"{results.name}-long", long_frame(results))
    context.frame(f"{results.name}-summary", summary_frame(matrix.boards, results))
    changed, agreed = changes(matrix), agreements(matrix)
    content: dict[str, Any] = {
        "heat": heat_map(context, matrix),
        "matrix": matrix_table(context, matrix),
        "transfer": transfer(context, matrix, changed),
        "gradients": gradients(context),
        "agreement": (consistency_figure(context, matrix, agreed), consistency_table(context, matrix, agreed))
        if agreed
        else None,
        "strip": strip(context, matrix),
        "examples": any_to_any(context, matrix),
        "variants": variants_table(context, matrix),
        "cost": context.table(cost_table(results)),
        "curves": training(context),
        "classes": "mask" in matrix.columns,
    }
    findings = [matrix_finding(matrix), *transfer_findings(matrix, changed), *consistency_findings(matrix, agreed)]
    findings += gradient_findings(gradient_frame(results))
    lines = [Headline(spot.heading, spot.board, spot.case) for spot in headline_spots(matrix)]
    return Section(
        results.name, TITLE, lead(matrix), findings, cards(matrix, changed), content, lines, singles=matrix.singles()
    )


def lead(matrix: Matrix) -> str:
    """The introduction: what the network learns, and what it is compared with."""
    names = text.listing([*matrix.columns])
    return (
        f"One network learns {names} together. It is given every subset of them and generates all the others, and it "
        "fills in masked images. It is compared with models of two modalities and of one task, which are trained for "
        "as many steps or for one task's share of the steps."
    )


def transfer(context: Context, matrix: Matrix, changed: list[Change]) -> dict[str, Any] | None:
    """Comparison and relative changes; None without any model of fewer tasks."""
    if not changed:
        return None
    context.frame(f"{matrix.results.name}-relative-changes", transfer_frame(changed))
    return {
        "comparison": comparison_table(context, matrix, changed),
        "drawing": transfer_figure(context, matrix, changed),
        "table": transfer_table(context, matrix, changed),
    }


def headline_spots(matrix: Matrix) -> list[Spot]:
    """The cells that single-task models answer; without such models, the cells with at most one input."""
    duels = [spot for spot in matrix.compared() if {"single", "per_task"} & matrix.rivals(spot).keys()]
    return duels or [spot for spot in matrix.answered(STUDIED) if len(spot.given) <= 1]


def cards(matrix: Matrix, changed: list[Change]) -> list[Card]:
    """A box per cell of `headline_spots`: the best method, the multitask model's value, and its relative changes."""
    boxes = []
    for spot in headline_spots(matrix):
        if spot.entry(STUDIED) is None:
            continue
        best, titles = spot.board.best(spot.case), matrix.results.titles
        mine = f"{titles[STUDIED]}: {spot.board.mean(STUDIED, spot.case)}"
        lines = [mine] if STUDIED not in best else []
        lines += [f"{per_cent(c.summary.mean)} against {AGAINST[c.rival]}" for c in changed if c.spot is spot]
        headline = text.listing([titles[method] for method in best])
        boxes.append(Card(f"{spot.heading}, {spot.column}", headline, spot.board.mean(best[0], spot.case), lines))
    return boxes


def variants_table(context: Context, matrix: Matrix) -> Table | None:
    """The method under study with its variants; None without variants.

    Baselines that have variants other than of their compute are listed too, with these variants.
    """
    order = matrix.results.methods
    methods = [m for m in order if is_studied(m)]
    if len(methods) < 2:
        return None
    others = [m for m in order if "@" in m and not is_studied(m) and not m.endswith(PER_TASK)]
    methods += [m for m in order if m in {*others, *(m.partition("@")[0] for m in others)} - set(methods)]
    spots = [s for s in matrix.answered(STUDIED) if len(s.given) <= 1]
    columns = [_ranked(spot, methods) for spot in spots]
    rows = [[method_cell(matrix.results, method), *(column[method] for column in columns)] for method in methods]
    real = [number_cell(matrix.real_data(spot), spot.board.decimals) for spot in spots]
    if any(cell is not NONE for cell in real):
        rows.append([Cell("Real data"), *real])
    header = ["Method", *(f"{spot.heading}: {spot.column}" for spot in spots)]
    notes = [seeds_note(matrix.results), *network_notes(spot.board.metric for spot in spots)]
    name, caption = f"{matrix.results.name}-variants", "The multitask model and its variants."
    return context.table(Table(name, caption, header, rows, notes))


def _ranked(spot: Spot, methods: list[str]) -> dict[str, Cell]:
    """Cells of one column, the best and the second among these methods marked."""
    entries = {m: entry for m in methods if (entry := spot.entry(m))}
    order = sorted(entries, key=lambda m: entries[m].rank)
    cells = {m: NONE for m in methods}
    for place, method in enumerate(order, start=1):
        cells[method] = replace(spot.cell(method), mark=MARKS.get(place, ""))
    return cells
