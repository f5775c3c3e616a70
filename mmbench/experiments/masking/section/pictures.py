"""The grid of images: source, masked input and each method's reconstruction, with its score below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmbench.config.methods import STUDIED
from mmbench.files.store import Arrays
from mmbench.report import text
from mmbench.report.draw.pictures import Grid, Tile, affordable, composite, to_pixels
from mmbench.report.draw.tiles import Tiles
from mmbench.report.parts.section import Context
from mmbench.runs.results import ExperimentResults
from mmbench.runs.run import Run
from mmbench.scoring.names import describe

#: Images per masked share, if they are small.
ITEMS = 4


def reconstructions(context: Context, metric: str) -> Grid | None:
    """The grid over all masked shares; None if no predictions were kept."""
    results = context.experiment
    cases = results.cases_of("reconstruct")
    wanted = [f"{case['name']}/{part}" for case in cases for part in ("given/masked_image", "truth/image")]
    given = results.case_arrays(wanted)
    answers: dict[str, tuple[Run, Mapping[str, np.ndarray | None]]] = {}
    if not given:
        return None
    height, width = next(iter(given.values())).shape[2:]
    for method in results.methods:
        run = results.runs_of(method)[0]
        images = {case["name"]: run.answers(case, ["image"], (height, width)).get("image") for case in cases}
        if any(array is not None for array in images.values()):
            answers[method] = run, images
    if not answers:
        return None
    items = affordable(ITEMS, len(cases) * (len(answers) + 2), height, width)
    items = min(items, *(int(case["count"]) for case in cases))
    rows: list[tuple[str, list[Tile | None]]] = [("Source", []), ("Masked", [])]
    rows += [(results.titles[method], []) for method in answers]
    scores = (
        results.items[results.items["metric"] == metric]
        .set_index(["method", "seed", "case", "item"])["value"]
        .to_dict()
    )
    tiles = Tiles(context.results.card, results.name, (height, width))
    for case in cases:
        for item in range(items):
            column = _column(tiles, results, case, item, given, answers, scores)
            for (_, row), tile in zip(rows, column, strict=True):
                row.append(tile)
    seed = next(iter(answers.values()))[0].seed
    caption = (
        f"Source, masked input and reconstructions (known pixels pasted) of the first test images, of seed {seed}. "
        f"Below each reconstruction: its {describe(metric).label}."
    )
    groups = [(text.percent(case["share"]) + " masked", items) for case in cases]
    emphasised = [results.titles[STUDIED]] if STUDIED in results.titles else []
    return context.grid(
        Grid(
            f"{results.name}-reconstructions",
            caption,
            groups,
            rows,
            emphasised,
            title="reconstructions",
            slider="Masked share",
        )
    )


def _column(
    tiles: Tiles,
    results: ExperimentResults,
    case: Mapping[str, Any],
    item: int,
    given: Arrays,
    answers: Mapping[str, tuple[Run, Mapping[str, np.ndarray | None]]],
    scores: Mapping[tuple[str, int, str, int], float],
) -> list[Tile | None]:
    """Source, masked input and every method's reconstruction of one item."""
    name, where = case["name"], f"test image {item}, {text.percent(case['share'])} masked"
    masked: np.ndarray = given[f"{name}/given/masked_image"][item]
    column: list[Tile | None] = [
        Tile(to_pixels(given[f"{name}/truth/image"][item]), f"Source: test image {item}"),
        tiles("masked_image", masked, f"Masked input: {where}"),
    ]
    for method, (run, answered) in answers.items():
        if (images := answered[name]) is None:
            column.append(None)
            continue
        score = scores.get((method, run.seed, name, item))
        note = "" if score is None else text.number(score, 3)
        title = results.titles[method]
        column.append(Tile(to_pixels(composite(masked, images[item])), f"{title}: {where}", note))
    return column
