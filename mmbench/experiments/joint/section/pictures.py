"""Pictures of the joint experiment: scenes drawn with all their parts, and one test scene from every given subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmbench.config.methods import STUDIED
from mmbench.experiments.joint.section.cells import MEASURES, Matrix, given_words
from mmbench.files.store import Arrays
from mmbench.report import text
from mmbench.report.draw.pictures import Grid, Tile, to_pixels
from mmbench.report.draw.tiles import Tiles
from mmbench.report.parts.section import Context
from mmbench.runs.run import Run

#: Scenes of the strip.
SCENES = 8
#: Scenes of which every subset is given.
ITEMS = 2


def answers(context: Context, run: Run, name: str) -> Arrays:
    """What a run answered in a case of this name, by modality; empty if its predictions were not kept."""
    case = next(case for case in context.experiment.cases if case["name"] == name)
    return run.answers(case, case["want"])


def strip(context: Context, matrix: Matrix) -> Grid | None:
    """Scenes drawn from nothing: all its parts, and the test image nearest by the embedding; None without any."""
    run, free = matrix.results.runs_of(STUDIED)[0], next((c for c, given in matrix.rows if not given), None)
    arrays = answers(context, run, free) if free else {}
    if "image" not in arrays:
        return None
    tiles = Tiles(context.results.card, matrix.results.name, arrays["image"].shape[2:])
    count = min(SCENES, len(arrays["image"]))
    rows: list[tuple[str, list[Tile | None]]] = []
    for name in [m for m in MEASURES if m in arrays]:
        made = [tiles(name, arrays[name][i], f"{name} of scene {i}") for i in range(count)]
        rows.append((name.capitalize(), [*made]))
    names = [name for name in MEASURES if name in arrays]
    caption = (
        f"Scenes generated from nothing by one network, not selected: {text.listing(names)} of each are generated "
    )
    caption += f"together. {tiles.legend(names)}"
    if "embedding" in arrays and (real := nearest(context, arrays["embedding"][:count])):
        pictures, cosines = real
        rows.append(
            ("Nearest test image by embedding",
             [Tile(to_pixels(x), f"nearest test image of scene {i}", text.number(c, 2))
              for i, (x, c) in enumerate(zip(pictures, cosines, strict=True))])
        )  # fmt: skip
        caption += " Last row: the test image whose embedding is nearest, and their cosine."
    return context.grid(Grid(f"{matrix.results.name}-scenes", caption, [("", count)], rows, title="scenes"))


def nearest(context: Context, embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Test images (n, 3, h, w) whose embeddings are nearest to (n, d), and the cosines (n,); None if there are none."""
    names = ["from_image/given/image", "from_image/truth/embedding"]
    stored = context.experiment.case_arrays(names)
    if len(stored) < 2:
        return None
    image, real = (stored[name] for name in names)
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (embedding, real)]
    cosines = unit[0] @ unit[1].T
    return image[cosines.argmax(axis=1)], cosines.max(axis=1)


def any_to_any(context: Context, matrix: Matrix) -> list[Grid]:
    """For each of the first test scenes a grid: given tiles on the left, generated ones on the right.

    A row for each single modality, and for several of them without the image, so that it is drawn.
    """
    run = matrix.results.runs_of(STUDIED)[0]
    cases = [(case, given) for case, given in matrix.rows if given and (len(given) == 1 or "image" not in given)]
    stored = context.experiment.case_arrays(
        [f"{case}/given/{name}" for case, given in cases for name in given]
        + [f"{case}/truth/{name}" for case, _ in cases for name in MEASURES]
    )
    made = {case: answers(context, run, case) for case, _ in cases}
    if not any("image" in arrays for arrays in made.values()) or not stored:
        return []
    grids = []
    for item in range(ITEMS):
        grid = _scene(context, matrix, cases, stored, made, item)
        if grid:
            grids.append(context.grid(grid))
    return grids


def _scene(
    context: Context,
    matrix: Matrix,
    cases: Sequence[tuple[str, tuple[str, ...]]],
    stored: Arrays,
    made: Mapping[str, Arrays],
    item: int,
) -> Grid | None:
    """One test scene given in every way."""
    columns = [m for m in MEASURES if m in matrix.columns or any(m in given for _, given in cases)]
    size = next(arrays["image"].shape[2:] for arrays in made.values() if "image" in arrays)
    tiles, rows = Tiles(context.results.card, matrix.results.name, size), []
    truth: dict[str, np.ndarray] = {}
    for key, array in stored.items():
        name = key.rpartition("/")[2]
        if name in columns and item < len(array):
            truth.setdefault(name, array[item])
    real = [tiles(m, truth[m], f"{m} of the test scene") if m in truth else None for m in columns]
    rows.append(("The test scene", [*real, *[None] * len(columns)]))
    for case, given in cases:
        arrays = made[case]
        if not arrays or item >= len(next(iter(arrays.values()))):
            continue
        left: list[Tile | None] = []
        for m in columns:
            name = "masked_image" if m == "image" and "masked_image" in given else m
            key = f"{case}/given/{name}"
            left.append(tiles(name, stored[key][item], f"given {name}") if name in given and key in stored else None)
        right = [tiles(m, arrays[m][item], f"generated {m}") if m in arrays else None for m in columns]
        rows.append((given_words(given).capitalize(), [*left, *right]))
    if len(rows) < 2:
        return None
    caption = (
        f"Test scene {item}, not selected: each row is given what stands on the left, and the rest is generated by the "
        f"same network. Columns: {text.listing(columns)}. {tiles.legend(columns)} Seed "
        f"{matrix.results.runs_of(STUDIED)[0].seed}."
    )
    groups = [("Given", len(columns)), ("Generated", len(columns))]
    return Grid(
        f"{matrix.results.name}-any-to-any-{item}", caption, groups, rows, ["The test scene"], title="any to any"
    )
