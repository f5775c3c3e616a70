"""The picture grids: class maps beside the truth, painted images beside what was given, and pairs drawn together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmbench.config.methods import STUDIED
from mmbench.errors import UserError
from mmbench.files.store import Arrays
from mmbench.report import text
from mmbench.report.draw.pictures import Grid, Tile, affordable, class_pixels, to_pixels
from mmbench.report.parts.section import Context
from mmbench.report.read.check import check_images
from mmbench.report.tables import common
from mmbench.runs.results import Run
from mmbench.scoring.names import describe

#: Items in each grid, if they are small.
ITEMS = 8

Row = tuple[str, list[Tile | None]]


def palette_of(context: Context) -> np.ndarray:
    """The colours of the classes, uint8 (classes, 3); the legend on the page names them.

    Raises:
        UserError: the data card has not a colour for each class.
    """
    card = context.results.card
    names, palette = card.get("classes", []), card.get("palette", [])
    if not names or len(names) != len(palette):
        path = context.results.folder / "data" / "card.json"
        raise UserError(f"{path}: {len(names)} classes but {len(palette)} colours; give each class one in `palette`")
    return np.array(palette, np.uint8)


def segmented(context: Context) -> Grid | None:
    """Source, true mask and each method's mask; None if no predictions were kept."""
    case = _case(context, "segment")
    given = context.experiment.case_arrays([f"{case['name']}/given/image", f"{case['name']}/truth/mask"])
    if len(given) < 2:
        return None
    image, mask = (given[f"{case['name']}/{part}"] for part in ("given/image", "truth/mask"))
    rows = [
        ("Source", _images(image, "Source")),
        ("True mask", _masks(context, mask, "True mask")),
    ]
    caption = f"Test images, not selected, their masks, and each method's. Below each: its {_label('pixel_accuracy')}."
    return _grid(context, case, rows, ["mask"], caption, metric="pixel_accuracy")


def painted(context: Context) -> Grid | None:
    """Given mask, the real image it is of, and what each method paints; None if no predictions were kept."""
    case = _case(context, "paint")
    given = context.experiment.case_arrays([f"{case['name']}/given/mask", f"{case['name']}/truth/image"])
    if len(given) < 2:
        return None
    mask, image = (given[f"{case['name']}/{part}"] for part in ("given/mask", "truth/image"))
    rows = [
        ("Given mask", _masks(context, mask, "Given mask")),
        ("Real image", _images(image, "Real image")),
    ]
    caption = (
        "Test masks, not selected, and what each method paints for them; the real image is one of many that would do. "
        f"Below each: {_label('judged_accuracy')}."
    )
    return _grid(context, case, rows, ["image"], caption, metric="judged_accuracy")


def drawn_pairs(context: Context) -> Grid | None:
    """Images and masks that were drawn together; None if no predictions were kept."""
    case = _case(context, "generate")
    caption = (
        "Images and masks drawn together, not selected, from the same noise where methods share it. Below each mask: "
        f"{_label('judged_accuracy')}."
    )
    return _grid(context, case, [], ["image", "mask"], caption, metric="judged_accuracy")


def painted_labels(context: Context) -> Grid | None:
    """What each method paints for every class, two of each; None if no predictions were kept."""
    case, names = _case(context, "paint"), context.results.card.get("labels", [])
    given = context.experiment.case_arrays([f"{case['name']}/given/label"])
    if not given:
        return None
    label = given[f"{case['name']}/given/label"]
    chosen = [np.flatnonzero(label == k)[:2] for k in range(min(len(names), ITEMS))]
    groups = [(str(names[k]), len(items)) for k, items in enumerate(chosen) if len(items)]
    caption = "What each method paints for the classes, the first two items of each."
    return _grid(context, case, [], ["image"], caption, items=np.concatenate(chosen), groups=groups)


def labelled_pairs(context: Context) -> Grid | None:
    """Images and the labels drawn with them; None if no predictions were kept."""
    case, names = _case(context, "generate"), context.results.card.get("labels", [])
    caption = (
        "Images and labels drawn together, not selected, from the same noise where methods share it. Below each image: "
        "the likeliest label."
    )

    def note(found: Arrays) -> dict[int, str]:
        likeliest = found[f"{case['name']}/label"][:ITEMS].argmax(axis=1)
        return {i: str(names[k]) if k < len(names) else str(k) for i, k in enumerate(likeliest.tolist())}

    return _grid(context, case, [], ["image"], caption, note=note, noted=["label"])


def painted_embeddings(context: Context) -> Grid | None:
    """The images whose embeddings are given, and what each method paints; None if no predictions were kept."""
    case = _case(context, "paint")
    truth = context.experiment.case_arrays([f"{case['name']}/truth/image"])
    if not truth:
        return None
    rows = [("Real image", _images(truth[f"{case['name']}/truth/image"], "Real image"))]
    caption = (
        "Test images, not selected, and what each method paints when it is given their embeddings. Below each: "
        f"{_label('cosine')} of the given embedding and that of the painted image."
    )
    return _grid(context, case, rows, ["image"], caption, metric="cosine")


def drawn_embeddings(context: Context) -> Grid | None:
    """Images that were drawn with an embedding; None if no predictions were kept."""
    case = _case(context, "generate")
    caption = (
        "Images drawn with an embedding, not selected, from the same noise where methods share it. Below each: "
        f"{_label('cosine')} of the drawn embedding and that of the drawn image."
    )
    return _grid(context, case, [], ["image"], caption, metric="cosine")


def _case(context: Context, task: str) -> Any:
    return next(case for case in context.experiment.cases if case["task"] == task)


def _label(metric: str) -> str:
    return describe(metric).label.lower()


def _grid(
    context: Context,
    case: Any,
    rows: list[Row],
    parts: Sequence[str],
    caption: str,
    *,
    metric: str = "",
    items: np.ndarray | None = None,
    groups: Sequence[tuple[str, int]] = (),
    note: Callable[[Arrays], dict[int, str]] | None = None,
    noted: Sequence[str] = (),
) -> Grid | None:
    """`rows` and then each method's answers, a row for each modality in `parts`.

    Args:
        context: results, and where files go.
        case: whose answers.
        rows: what stands above them.
        parts: modalities that are shown.
        caption: what is shown.
        metric: whose value is printed below each item's last picture.
        items: which items; the first unless given.
        groups: label and number of columns of each group of items.
        note: what is printed below instead, from the answers.
        noted: modalities that `note` reads.
    """
    results = context.experiment
    answers: dict[str, tuple[Run, Arrays]] = {}
    for method in common.method_order(results):
        run = results.runs_of(method)[0]
        if found := _answer(run, [f"{case['name']}/{part}" for part in (*parts, *noted)]):
            answers[method] = run, found
    if not answers:
        return None
    emphasised: list[str] = []
    for method, (run, found) in answers.items():
        notes = note(found) if note else _notes(context, run, case["name"], metric)
        for part in parts:
            label = results.titles[method] + (f", {part}" if len(parts) > 1 else "")
            emphasised += [label] if method == STUDIED else []
            own = _checked(run, found, f"{case['name']}/{part}", case["count"])
            own = own if items is None else own[items]
            draw: Callable[..., list[Tile | None]] = _images if part == "image" else _masks_of(context)
            rows.append((label, draw(own, label, notes if part == parts[-1] else {})))
    height, width = next(tile for _, tiles in rows for tile in tiles if tile).pixels.shape[:2]
    shown = min(affordable(ITEMS, len(rows), height, width), int(case["count"]))
    if not groups:
        rows, groups = [(label, tiles[:shown]) for label, tiles in rows], [("", shown)]
    seed = next(iter(answers.values()))[0].seed
    name = f"{results.name}-{case['task']}-pictures"
    return context.grid(Grid(name, f"{caption} Seed {seed}.", groups, rows, emphasised))


def _notes(context: Context, run: Run, case: str, metric: str) -> dict[int, str]:
    """The score of each item, as it is printed below its picture."""
    items = context.experiment.items
    own = items[
        (items["method"] == run.method)
        & (items["seed"] == run.seed)
        & (items["case"] == case)
        & (items["metric"] == metric)
    ]
    return {int(i): text.number(value, 3) for i, value in zip(own["item"], own["value"], strict=True)}


def _answer(run: Run, wanted: Sequence[str]) -> Arrays:
    """The wanted arrays of a method's predictions; none if it was not asked, or they were not kept.

    Raises:
        UserError: only some of them are there.
    """
    found = run.arrays(wanted)
    if found and (missing := sorted(set(wanted) - found.keys())):
        path = run.folder / "predictions.npz"
        raise UserError(f"{path}: array '{missing[0]}' is missing; run mmbench.stages.predict again")
    return found


def _checked(run: Run, found: Arrays, name: str, count: int) -> np.ndarray:
    """A method's images or masks of a case; UserError if they are not what the case asks for."""
    path, array = run.folder / "predictions.npz", found[name]
    if name.endswith("/image"):
        check_images(path, {name: array}, (count, 3, None, None))
    elif array.dtype.kind not in "ui" or array.ndim != 3 or len(array) != count:
        raise UserError(
            f"{path}: {name} is {array.dtype} {array.shape}, not whole numbers ({count}, any, any); "
            "run mmbench.stages.predict again"
        )
    return array


def _images(images: np.ndarray, label: str, notes: dict[int, str] | None = None) -> list[Tile | None]:
    """Tiles of the first images, (n, 3, h, w)."""
    notes = notes or {}
    shown = images[: 2 * ITEMS]
    return [Tile(to_pixels(image), f"{label}: item {i}", notes.get(i, "")) for i, image in enumerate(shown)]


def _masks(context: Context, masks: np.ndarray, label: str, notes: dict[int, str] | None = None) -> list[Tile | None]:
    """Tiles of the first class maps, (n, h, w), in the palette's colours."""
    notes, palette = notes or {}, palette_of(context)
    return [
        Tile(class_pixels(mask, palette), f"{label}: item {i}", notes.get(i, ""))
        for i, mask in enumerate(masks[: 2 * ITEMS])
    ]


def _masks_of(context: Context) -> Callable[..., list[Tile | None]]:
    return lambda masks, label, notes: _masks(context, masks, label, notes)
