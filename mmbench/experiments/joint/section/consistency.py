"""Whether generated modalities fit each other: what a judge sees in the image, against chance and real data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from matplotlib.figure import Figure

from mmbench.config.methods import STUDIED
from mmbench.experiments.joint.section.cells import MEASURES, Matrix, given_words, is_named
from mmbench.report import text
from mmbench.report.draw.axes import name_rows
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, method_styles, paper
from mmbench.report.parts.section import Context
from mmbench.report.tables.board import Board, Entry
from mmbench.report.tables.cells import number_cell, spread_note
from mmbench.report.tables.table import NONE, Cell, Table


@dataclass(frozen=True)
class Agreement:
    """The agreement of one modality with the image: two boards, and the values of real data.

    Attributes:
        judged, chance: the boards over every case that has them.
        ceiling: the value of real pairs; None where it is not known.
        floor: the value of shuffled real pairs.
    """

    want: str
    judged: Board
    chance: Board | None
    ceiling: float | None
    floor: float | None

    def by_chance(self, method: str, case: str) -> Entry | None:
        """A method's result by chance."""
        return self.chance.entries.get((method, case)) if self.chance else None


def agreements(matrix: Matrix) -> list[Agreement]:
    """One entry for each modality that was judged in generated images."""
    agreed = []
    ceiling, floor = matrix.results.real("ceiling"), matrix.results.real("floor")
    for want, measures in MEASURES.items():
        board = _find(matrix, measures.drawn) if measures.chance else None
        if board is not None:
            best = ceiling.get(board.metric, measures.best)
            least = next((value for name, value in floor.items() if is_named(name, measures.chance)), None)
            agreed.append(Agreement(want, board, _find(matrix, measures.chance), best, least))
    return agreed


def _find(matrix: Matrix, name: str) -> Board | None:
    return next((board for board in matrix.boards if is_named(board.metric, name)), None)


def lines(matrix: Matrix, agreed: Sequence[Agreement]) -> list[tuple[str, str]]:
    """Method and case of every row: generation from noise by all methods, then the other cases of the studied one."""
    free = [case for case, given in matrix.rows if not given]
    others = [case for case, given in matrix.rows if given]
    wanted = [(method, case) for case in free for method in matrix.results.methods]
    wanted += [(STUDIED, case) for case in others]
    return [key for key in wanted if any(key in agreement.judged.entries for agreement in agreed)]


def consistency_table(context: Context, matrix: Matrix, agreed: Sequence[Agreement]) -> Table:
    """A row per method and case, two columns per modality."""
    rows, given = [], dict(matrix.rows)
    for method, case in lines(matrix, agreed):
        cells = [Cell(matrix.results.titles[method], tone="studied" if method == STUDIED and not given[case] else "")]
        cells.append(Cell(given_words(given[case])))
        for agreement in agreed:
            judged = agreement.judged.cell(method, case)
            chance = agreement.chance.cell(method, case) if agreement.chance else NONE
            cells += [replace(cell, mark="") for cell in (judged, chance)]
        rows.append(cells)
    real = [Cell("Real images"), NONE]
    for agreement in agreed:
        real += [number_cell(value, agreement.judged.decimals) for value in (agreement.ceiling, agreement.floor)]
    header = ["Method", "Given"]
    for agreement in agreed:
        name = agreement.want.capitalize()
        header += [f"{name}: {agreement.judged.label} {agreement.judged.arrow}", f"{name}: shuffled"]
    names = text.listing([agreement.want for agreement in agreed])
    caption = f"Agreement of a generated image with the {names} that were generated with it or given."
    notes = [
        spread_note(matrix.results),
        "Judged: what frozen networks see in the generated image, against what it should show. Shuffled: the same "
        "when every item is paired with another item's image, which is the value by chance. Real images: the same two "
        "values for real pairs. A method can exceed the first by generating what the judge recognises best.",
    ]
    name = f"{matrix.results.name}-consistency"
    return context.table(Table(name, caption, header, [*rows, real], notes, frozenset({1})))


def consistency_figure(context: Context, matrix: Matrix, agreed: Sequence[Agreement]) -> Drawing | None:
    """The shuffled and the judged value of every method, generating from noise."""
    free = next((case for case, given in matrix.rows if not given), None)
    shown = [a for a in agreed if free in a.judged.cases]
    if free is None or not shown:
        return None
    return context.draw(
        f"{matrix.results.name}-consistency",
        "Agreement of images with the modalities generated with them, without inputs: a bar leads from the value by "
        "chance (open) to the value of what was generated together (filled), means over seeds. The solid line is the "
        "value of real images, the dotted line that of shuffled real ones. A longer bar means a better fit.",
        "Dumbbell plot of judged and shuffled agreement by method, one panel for each modality; its numbers are in the "
        "table below.",
        partial(draw_consistency, matrix, shown, free),
    )


def draw_consistency(matrix: Matrix, shown: Sequence[Agreement], case: str, mode: Mode) -> Figure:
    """A panel per modality, a row per method."""
    methods = [m for m in matrix.results.methods if any((m, case) in a.judged.entries for a in shown)]
    figure = Figure(figsize=(2.1 + 2.5 * len(shown), 1.25 + 0.36 * len(methods)), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    styles, ink = method_styles(matrix.results.methods, mode), paper(mode)
    for axes, agreement in zip(panels, shown, strict=True):
        for row, method in enumerate(methods):
            entry = agreement.judged.entries.get((method, case))
            if entry is None:
                continue
            chance = agreement.by_chance(method, case)
            colour, value = styles[method].colour, entry.summary.mean
            if chance:
                axes.hlines(row, chance.summary.mean, value, color=colour, linewidth=2.2, alpha=0.55)
                axes.scatter(chance.summary.mean, row, s=34, facecolors=ink["paper"], edgecolors=colour, zorder=4)
            axes.scatter(value, row, s=40, color=colour, zorder=5)
            words = agreement.judged.words(method, case)
            if agreement.chance and chance:
                words += f"; shuffled {agreement.chance.words(method, case)}"
            tell(axes, value, row, f"{matrix.results.titles[method]}, {agreement.want}: {words}")
        for real, dash in ((agreement.ceiling, "-"), (agreement.floor, ":")):
            if real is not None:
                axes.axvline(real, color=ink["soft"], linewidth=1.1, linestyle=dash)
        label = agreement.judged.label
        axes.set_title(f"{agreement.want.capitalize()}: {label[0].lower() + label[1:]}", fontsize=10)
        axes.grid(visible=False, axis="y")
    name_rows(panels[0], [matrix.results.titles[m] for m in methods], margin=0.5)
    panels[0].tick_params(axis="y", labelcolor=ink["ink"])
    return figure


def consistency_findings(matrix: Matrix, agreed: Sequence[Agreement]) -> list[str]:
    """One sentence on the studied method without inputs: its judged and shuffled values, and those of real images."""
    free = next((case for case, given in matrix.rows if not given), "")
    parts = []
    for agreement in agreed:
        entry = agreement.judged.entries.get((STUDIED, free))
        chance = agreement.by_chance(STUDIED, free)
        if entry is None or chance is None:
            continue
        decimals = min(3, agreement.judged.decimals)
        said = f"{agreement.want} {text.number(entry.summary.mean, decimals)}, by chance "
        said += text.number(chance.summary.mean, decimals)
        if agreement.ceiling is not None and MEASURES[agreement.want].best is None:
            said += f", real images {text.number(agreement.ceiling, decimals)}"
        parts.append(said)
    if not parts:
        return []
    title = matrix.results.titles[STUDIED]
    return [f"When {title} generates without inputs, the image agrees with the rest as follows: {'; '.join(parts)}."]
