"""The joint experiment as a matrix: inputs (rows) by generated modalities (columns), with one main metric per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmbench.config.methods import STUDIED, is_studied
from mmbench.report import text
from mmbench.report.tables.board import Board, Entry, make_board
from mmbench.report.tables.table import Cell
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import leading


@dataclass(frozen=True)
class Measures:
    """The metrics of the cells of one modality; a name that ends with `[` stands for any extractor.

    Attributes:
        truth: the metric against the truth.
        drawn: the metric without inputs, where there is no truth: whether the image shows what was generated with it.
        chance: the metric by chance: `drawn` of shuffled pairs; empty for the image itself.
        best: the best possible value, if that is not the value of `drawn` on real images.
        also: further metrics against the truth, shown below the value in the table.
    """

    truth: str
    drawn: str
    chance: str = ""
    best: float | None = None
    also: tuple[str, ...] = ()


#: The metrics of each modality, in the order of the columns.
MEASURES = {
    "image": Measures("fd[", "fd["),
    "mask": Measures("miou", "judged_miou", "shuffled_miou"),
    "label": Measures("accuracy", "judged_accuracy", "shuffled_accuracy"),
    "embedding": Measures("cosine", "cosine[", "shuffled_cosine[", best=1.0),
    "depth": Measures("delta", "judged_delta", "shuffled_delta", also=("abs_rel", "rmse")),
}
#: The metric of the hidden pixels of an image.
RECONSTRUCTED = "lpips_alex"
#: The prefix of the names of two-modality models.
PAIR = "pair_"
PER_TASK = "@per_task"


@dataclass(frozen=True)
class Spot:
    """One cell of the matrix.

    Attributes:
        case: the name of its case in cases.json.
        given: the input modalities.
        want: the modality that is generated.
        board: the board of its metric, which includes this case.
    """

    case: str
    given: tuple[str, ...]
    want: str
    board: Board

    @property
    def title(self) -> str:
        """The task of the cell, e.g. `mask given image`."""
        if self.want == "image" and "masked_image" in self.given:
            return "hidden pixels of an image"
        return f"{self.want} given {given_words(self.given)}"

    @property
    def heading(self) -> str:
        """The title with a capital letter."""
        return self.title[0].upper() + self.title[1:]

    @property
    def column(self) -> str:
        """The metric without its extractor, and the direction that is better."""
        return f"{self.board.label} {self.board.arrow}"

    def entry(self, method: str) -> Entry | None:
        """A method's result."""
        return self.board.entries.get((method, self.case))

    def cell(self, method: str) -> Cell:
        """A method's result as a cell."""
        return self.board.cell(method, self.case)


@dataclass(frozen=True)
class Matrix:
    """All cells that the experiment's methods answered.

    Attributes:
        rows: the cases with their input modalities, in order.
        columns: the modalities that any method generates.
        spots: the cells by case and modality.
        boards: the board of every metric, over the cases that have it.
    """

    results: ExperimentResults
    rows: Sequence[tuple[str, tuple[str, ...]]]
    columns: Sequence[str]
    spots: Mapping[tuple[str, str], Spot]
    boards: Sequence[Board]

    def answered(self, method: str) -> list[Spot]:
        """The cells that a method answers."""
        return [spot for spot in self.spots.values() if spot.entry(method)]

    def singles(self) -> list[str]:
        """The single-task models at full compute: baselines that answer one cell."""
        methods = [m for m in self.results.titles if not is_studied(m) and not m.startswith(PAIR) and "@" not in m]
        return [method for method in methods if len(self.answered(method)) == 1]

    def rivals(self, spot: Spot) -> dict[str, str]:
        """The rivals of the multitask model in a cell: `single`, `per_task` and `pair`, as far as there are any.

        If several models of one kind answer the cell, the best of them is the rival.
        """
        ranked = {m: entry.rank for m in self.results.titles if (entry := spot.entry(m))}
        rivals = {
            "single": [m for m in self.singles() if m in ranked],
            "per_task": [m for m in ranked if m.endswith(PER_TASK) and not m.startswith(PAIR)],
            "pair": [m for m in ranked if m.startswith(PAIR) and "@" not in m],
        }
        return {name: min(methods, key=lambda m: ranked[m]) for name, methods in rivals.items() if methods}

    def compared(self) -> list[Spot]:
        """The cells of the multitask model that a rival also answers."""
        return [spot for spot in self.answered(STUDIED) if self.rivals(spot)]

    def real_data(self, spot: Spot) -> float | None:
        """A cell's metric on real data: of other real images as a set (the floor), or by the judge (the ceiling)."""
        return {**self.results.real("floor"), **self.results.real("ceiling")}.get(spot.board.metric)


def make_matrix(results: ExperimentResults) -> Matrix:
    """Every cell that any method answers."""
    cases = [(case["name"], tuple(case["given"]), case["want"]) for case in results.cases]
    cases.sort(key=lambda case: ("masked_image" in case[1], len(case[1])))
    scored = results.metrics.groupby("metric", sort=False)["case"].unique()
    boards = {
        metric: make_board(results, metric, [name for name, *_ in cases if name in set(scored[metric])])
        for metric in leading(scored.index)
    }
    spots = {}
    for name, given, want in cases:
        for modality in [m for m in MEASURES if m in want]:
            metric = main_metric(given, modality, [m for m, board in boards.items() if name in board.cases])
            if metric:
                spots[name, modality] = Spot(name, given, modality, boards[metric])
    rows = [(name, given) for name, given, _ in cases if any(case == name for case, _ in spots)]
    columns = [m for m in MEASURES if any(want == m for _, want in spots)]
    return Matrix(results, rows, columns, spots, list(boards.values()))


def main_metric(given: Sequence[str], want: str, known: Sequence[str]) -> str | None:
    """The metric of a cell among the `known` ones of its case; None if the cell is not scored."""
    measure = MEASURES[want].truth if given else MEASURES[want].drawn
    if want == "image" and "masked_image" in given:
        measure = RECONSTRUCTED
    return next((metric for metric in known if is_named(metric, measure)), None)


def is_named(metric: str, name: str) -> bool:
    """Whether a metric has that name; a name that ends with `[` matches any extractor."""
    return metric == name or (name.endswith("[") and metric.startswith(name))


def given_words(given: Sequence[str]) -> str:
    """`nothing`, `image`, `mask and label`, `masked image`."""
    return text.listing([name.replace("_", " ") for name in given]) if given else "nothing"
