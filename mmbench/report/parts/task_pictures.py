"""The grid of images of a task: the stored arrays of its case, then the answers of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmbench.config.methods import STUDIED
from mmbench.errors import UserError
from mmbench.files.store import Arrays
from mmbench.report import text
from mmbench.report.draw.pictures import Grid, Tile, affordable
from mmbench.report.draw.tiles import Tiles
from mmbench.report.parts.section import Context
from mmbench.runs.run import Run

#: Items in each grid, if they are small, and items of each label, if they are chosen by label.
ITEMS, OF_LABEL = 8, 2

Row = tuple[str, list[Tile | None]]


@dataclass(frozen=True)
class Pictures:
    """The content of the grid of a task.

    Attributes:
        caption: the caption, to which the seed is added.
        answers: modalities that methods answer, a row each.
        stored: rows above them: array of the case, such as `given/image`, and its title.
        metric: the metric whose value is shown below each item's last image.
        by_label: whether the items are the first of each given label rather than the first of all.
        likeliest: whether the label of the answer is shown below each item's image.
        title: a title of one or two words.
    """

    caption: str
    answers: Sequence[str]
    stored: Sequence[tuple[str, str]] = ()
    metric: str = ""
    by_label: bool = False
    likeliest: bool = False
    title: str = "pictures"


def draw_pictures(context: Context, task: str, pictures: Pictures) -> Grid | None:
    """The grid of a task's first case; None if the predictions or the case were not kept."""
    results, (case, *_) = context.experiment, context.experiment.cases_of(task)
    prefix, wanted = case["name"], [name for name, _ in pictures.stored] + ["given/label"] * pictures.by_label
    stored = results.case_arrays([f"{prefix}/{name}" for name in wanted])
    answers = answers_of(context, case, [*pictures.answers, *["label"] * pictures.likeliest])
    if not answers or len(stored) < len(wanted):
        return None
    height, width = next(arrays[name].shape[-2:] for _, arrays in answers.values() for name in pictures.answers)
    rows = len(pictures.stored) + len(pictures.answers) * len(answers)
    count = min(affordable(ITEMS, rows, height, width), case["count"])
    items, groups = np.arange(count), [("", count)]
    if pictures.by_label:
        items, groups = of_labels(stored[f"{prefix}/given/label"], context.results.card.get("labels") or [])
    tiles = Tiles(context.results.card, results.name, (height, width))
    grid: list[Row] = [
        (title, [tiles(name.rpartition("/")[2], stored[f"{prefix}/{name}"][i], f"{title}: item {i}") for i in items])
        for name, title in pictures.stored
    ]
    emphasised = []
    for method, (run, arrays) in answers.items():
        notes = {int(i): tiles.words("label", arrays["label"][i]) for i in items} if pictures.likeliest else {}
        notes |= scores_of(context, run, prefix, pictures.metric)
        for name in pictures.answers:
            title = results.titles[method] + (f", {name}" if len(pictures.answers) > 1 else "")
            below = notes if name == pictures.answers[-1] else {}
            grid.append((title, [tiles(name, arrays[name][i], f"{title}: item {i}", below.get(i, "")) for i in items]))
            emphasised += [title] if method == STUDIED else []
    name = f"{results.name}-{task}-pictures"
    caption = f"{pictures.caption} Seed {next(iter(answers.values()))[0].seed}."
    return context.grid(Grid(name, caption, groups, grid, emphasised, title=pictures.title))


def answers_of(context: Context, case: Mapping[str, Any], names: Sequence[str]) -> dict[str, tuple[Run, Arrays]]:
    """By method, its first training run and its answers; without methods that were not evaluated on the task.

    Raises:
        UserError: a method answered only some of the modalities.
    """
    answers = {}
    for method in context.experiment.methods:
        run = context.experiment.runs_of(method)[0]
        if not (arrays := run.answers(case, names)):
            continue
        if missing := sorted(set(names) - arrays.keys()):
            path = run.folder / "predictions.npz"
            raise UserError(f"{path}: array '{case['name']}/{missing[0]}' is missing; run mmbench.stages.predict again")
        answers[method] = run, arrays
    return answers


def of_labels(label: np.ndarray, names: Sequence[Any]) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """The first items of each of the first labels, and the number of items of each label."""
    chosen = [np.flatnonzero(label == k)[:OF_LABEL] for k in range(min(len(names), ITEMS))]
    return np.concatenate(chosen), [(str(names[k]), len(items)) for k, items in enumerate(chosen) if len(items)]


def scores_of(context: Context, run: Run, case: str, metric: str) -> dict[int, str]:
    """The value of each item as shown below its image."""
    items = context.experiment.items
    rows = items[(items[["method", "seed", "case", "metric"]] == [run.method, run.seed, case, metric]).all(axis=1)]
    return {int(i): text.number(value, 3) for i, value in zip(rows["item"], rows["value"], strict=True)}
