"""What learning all tasks at once costs or gains: the multitask model against models of fewer tasks, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mmbench.config.methods import STUDIED
from mmbench.experiments.joint.section.cells import Matrix, Spot
from mmbench.report import text
from mmbench.report.draw.axes import name_rows
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, method_styles, paper
from mmbench.report.parts.multitask import DELTA, change_by_seed, delta_cell, per_cent
from mmbench.report.parts.multitask import NOTE as DELTA_NOTE
from mmbench.report.parts.section import Context
from mmbench.report.tables.board import ALPHA, Entry, reading_of
from mmbench.report.tables.cells import network_notes, number_cell, single_seeds, spread_note
from mmbench.report.tables.table import NONE, Cell, Mark, Table
from mmbench.report.tables.values import end_columns
from mmbench.scoring.statistics import LEVEL, SeedSummary, holm_known, over_seeds, zero_mean_p

#: The rivals of the multitask model, and their names in tables and figures.
RIVALS = {"single": "Single-task, C", "per_task": "Single-task, C/K", "pair": "Two modalities"}
SENTENCE = {
    "single": "single-task models trained as long (C)",
    "per_task": "single-task models at one task's share (C/K)",
    "pair": "models of two modalities",
}
COMPUTE = (
    "C: as many training steps as the multitask model. C/K: its steps divided by the number K of modalities that it "
    "learns, which is the share of one."
)


@dataclass(frozen=True)
class Change:
    """Relative change of the multitask model in one cell against one rival; above 0 the multitask model is better.

    Attributes:
        spot: the cell.
        rival: a key of `RIVALS`.
        method: the rival's name.
        values: for each seed that both have, the difference divided by the rival's mean.
        p_holm: p-value of the t-test over seeds that their mean is 0, adjusted over all changes; None with one seed.
    """

    spot: Spot
    rival: str
    method: str
    values: Sequence[float]
    p_holm: float | None = None

    @property
    def summary(self) -> SeedSummary:
        """The summary over seeds."""
        return over_seeds(self.values)

    @property
    def tone(self) -> str:
        """`better` or `worse` if the interval over seeds excludes 0 and the adjusted p is small enough, else empty."""
        return reading_of(self.summary, self.summary.mean, self.p_holm, higher_is_better=True).replace("unclear", "")


def relative_changes(studied: Entry, other: Entry, higher_is_better: bool) -> list[float]:
    """The relative change of each shared seed, or of the means without shared seeds; none if the rival's mean is 0."""
    base = abs(other.summary.mean)
    if set(studied.values) & set(other.values) or not base:
        return list(change_by_seed(studied, other, higher_is_better).values())
    return [(1 if higher_is_better else -1) * (studied.summary.mean - other.summary.mean) / base]


def changes(matrix: Matrix) -> list[Change]:
    """Every comparison, cell by cell."""
    changed = []
    for spot in matrix.compared():
        studied = spot.entry(STUDIED)
        for rival, method in matrix.rivals(spot).items():
            other = spot.entry(method)
            values = relative_changes(studied, other, spot.board.higher_is_better) if studied and other else []
            if values:
                changed.append(Change(spot, rival, method, values))
    adjusted = holm_known({i: zero_mean_p(change.values) for i, change in enumerate(changed)})
    return [replace(change, p_holm=adjusted.get(i)) for i, change in enumerate(changed)]


def present(changed: Sequence[Change]) -> list[str]:
    """The rivals that occur, in the order of `RIVALS`."""
    return [rival for rival in RIVALS if any(change.rival == rival for change in changed)]


def comparison_table(context: Context, matrix: Matrix, changed: Sequence[Change]) -> Table:
    """Values side by side: a row per cell, a column per kind of model."""
    title, shown = matrix.results.titles[STUDIED], present(changed)
    rows = []
    for spot in matrix.compared():
        rivals = matrix.rivals(spot)
        cells = {STUDIED: spot.cell(STUDIED)} | {rival: spot.cell(method) for rival, method in rivals.items()}
        sign = -1 if spot.board.higher_is_better else 1
        best = min(cells, key=lambda key: sign * (cells[key].value or 0.0))
        row = [Cell(spot.heading), Cell(spot.column)]
        for key in (STUDIED, *shown):
            cell = cells.get(key, NONE)
            names = [matrix.results.titles[rivals[key]]] if key in rivals else []
            mark: Mark = "best" if key == best and len(cells) > 1 else ""
            row.append(NONE if cell is NONE else Cell(cell.text, cell.value, names, mark, more=cell.more))
        rows.append([*row, number_cell(matrix.real_data(spot), spot.board.decimals)])
    header = ["Task", "Metric", title, *(RIVALS[rival] for rival in shown), "Real data"]
    caption = f"{title} and models of two modalities and of one task that answer the same cell."
    notes = [
        COMPUTE,
        spread_note(matrix.results),
        *network_notes(spot.board.metric for spot in matrix.compared()),
        f"{text.DASH}: there is no such model, or no value of real data. The best value is in bold. Of several "
        "two-modality models, the best one is shown.",
    ]
    return context.table(Table(f"{matrix.results.name}-comparison", caption, header, rows, notes, frozenset({1})))


def transfer_table(context: Context, matrix: Matrix, changed: Sequence[Change]) -> Table:
    """Relative changes: a row per cell, a column per kind of rival."""
    by_place = {(change.spot.heading, change.rival): change for change in changed}
    rows = [
        [Cell(heading), *(change_cell(by_place.get((heading, rival))) for rival in present(changed))]
        for heading in dict.fromkeys(change.spot.heading for change in changed)
    ]
    means = [delta_cell(all_by_seed(matrix, changed, rival)) for rival in present(changed)]
    rows.append([Cell(DELTA, tone="studied"), *means])
    studied = matrix.results.titles[STUDIED]
    caption = f"Transfer: relative change of {studied} against models of fewer tasks; above 0, {studied} is better."
    notes = [COMPUTE]
    if any(change.summary.low is not None for change in changed):
        notes.append(
            f"Each cell shows the mean ± standard deviation over seeds of the difference divided by the other model's "
            f"mean, and in brackets the {100 * LEVEL:.0f} % t-interval over seeds. On demand it shows each seed and p "
            f"of the t-test over seeds, Holm-adjusted over all cells of this table. A cell is coloured if the "
            f"interval excludes 0 and p ≤ {ALPHA}."
        )
    else:
        notes.append("With one training seed there is neither a deviation nor an interval: no change is tested.")
    notes.append(DELTA_NOTE)
    header = ["Task", *(f"against {RIVALS[rival].lower().replace(', c', ', C')}" for rival in present(changed))]
    header = [name.replace("C/k", "C/K") for name in header]
    return context.table(Table(f"{matrix.results.name}-transfer", caption, header, rows, notes))


def all_by_seed(matrix: Matrix, changed: Sequence[Change], rival: str) -> list[dict[int, float]]:
    """The relative changes against one kind of rival, a mapping by seed for each cell."""
    pairs = [(c.spot, c.spot.entry(STUDIED), c.spot.entry(c.method)) for c in changed if c.rival == rival]
    return [change_by_seed(a, b, spot.board.higher_is_better) for spot, a, b in pairs if a and b]


def change_cell(change: Change | None) -> Cell:
    """A relative change in per cent."""
    if change is None:
        return NONE
    summary, lines, more = change.summary, list[str](), list[str]()
    shown = per_cent(summary.mean)
    if summary.sd is not None:
        shown += f" ± {100 * summary.sd:.1f}"
    ends = None
    if summary.interval is not None:
        low, high = summary.interval
        lines = [text.brackets(summary.interval, per_cent)]
        more = [single_seeds(change.values, per_cent), text.p_value(change.p_holm)]
        ends = 100 * low, 100 * high
    return Cell(shown, 100 * summary.mean, lines, tone=change.tone, ends=ends, more=more)


def transfer_frame(changed: Sequence[Change]) -> pd.DataFrame:
    """Tidy: a row per cell and rival."""
    return pd.DataFrame(
        [
            {"case": c.spot.case, "generated": c.spot.want, "metric": c.spot.board.metric, "against": c.rival,
             "method": c.method, "seeds": c.summary.count, "relative_change": c.summary.mean, "sd": c.summary.sd,
             **end_columns("t", c.summary), "p_holm": c.p_holm}
            for c in changed
        ]
    )  # fmt: skip


def transfer_figure(context: Context, matrix: Matrix, changed: Sequence[Change]) -> Drawing:
    """The figure of the relative changes: dots and a line at 0."""
    title = matrix.results.titles[STUDIED]
    return context.draw(
        f"{matrix.results.name}-transfer",
        f"Transfer: relative change of {title} against models of fewer tasks, turned so that right is better for "
        f"{title}. Bars are standard deviations over seeds, where there are several. {COMPUTE}",
        f"Dot plot of the relative change of {title} in each task against models of fewer tasks; its numbers are in "
        "the table below.",
        partial(draw_transfer, changed),
    )


def draw_transfer(changed: Sequence[Change], mode: Mode) -> Figure:
    """A row per cell, a mark per kind of rival; the area left of 0, negative transfer, is tinted."""
    spots = {change.spot.title: change.spot for change in changed}
    titles = list(spots)
    figure = Figure(figsize=(8.6, 1.35 + 0.46 * len(titles)), layout="constrained")
    axes, ink, shown = figure.add_subplot(), paper(mode), present(changed)
    styles = method_styles(list(RIVALS), mode)
    for index, rival in enumerate(shown):
        against = [change for change in changed if change.rival == rival]
        offset = 0.5 * ((index + 0.5) / len(shown) - 0.5)
        rows = [titles.index(change.spot.title) + offset for change in against]
        means = [100 * change.summary.mean for change in against]
        errors = [100 * (change.summary.sd or 0.0) for change in against]
        for x, y, change in zip(means, rows, against, strict=True):
            cell = change_cell(change)
            tell(axes, x, y, f"{change.spot.title}, against {RIVALS[rival]}: {' '.join([cell.text, *cell.lines[:1]])}")
        style = styles[rival]
        axes.hlines(rows, 0, means, color=style.colour, linewidth=1.1, alpha=0.55)
        axes.errorbar(means, rows, xerr=errors, fmt="none", ecolor=style.colour, elinewidth=1.8, alpha=0.8)
        axes.scatter(means, rows, color=style.colour, marker=style.marker, s=34, zorder=4, label=RIVALS[rival],
                     linewidth=0.6, edgecolor=ink["paper"])  # fmt: skip
    axes.axvline(0, color=ink["ink"], linewidth=1)
    low, high = axes.get_xlim()
    reach = max(abs(low), abs(high), 1.0)
    axes.set_xlim(min(low, -0.15 * reach), max(high, 0.15 * reach))
    axes.axvspan(axes.get_xlim()[0], 0, color=ink["line"], alpha=0.28, linewidth=0, zorder=0)
    name_rows(axes, [f"{spot.heading} · {spot.board.label}" for spot in spots.values()], margin=0.5)
    axes.tick_params(axis="y", labelcolor=ink["ink"])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{text.signed(value, 0)}\u00a0%"))
    axes.set_xlabel("relative change (left of 0: negative transfer)")
    figure.legend(loc="outside upper right", ncols=len(shown), handletextpad=0.2)
    return figure


def transfer_findings(matrix: Matrix, changed: Sequence[Change]) -> list[str]:
    """One sentence for each kind of rival."""
    title = matrix.results.titles[STUDIED]
    return [_sentence(title, rival, [c for c in changed if c.rival == rival]) for rival in present(changed)]


def _sentence(title: str, rival: str, changes: Sequence[Change]) -> str:
    """How many tasks are better, by how much, and how many of them significantly."""
    order = sorted(changes, key=lambda change: change.summary.mean)
    values = [change.summary.mean for change in order]
    extremes = [f"{change.spot.title} ({per_cent(change.summary.mean)})" for change in (order[0], order[-1])]
    parts = [
        f"Against {SENTENCE[rival]}, {title} has the better mean in {sum(value > 0 for value in values)} of "
        f"{len(order)} tasks, median relative change {per_cent(float(np.median(values)))}",
        f"from {extremes[0]} to {extremes[1]}" if len(order) > 1 else extremes[0],
    ]
    if changes[0].summary.interval is not None:
        better, worse = (sum(change.tone == tone for change in changes) for tone in ("better", "worse"))
        parts.append(f"{better} better and {worse} worse by the adjusted test over seeds")
    return "; ".join(parts) + "."
