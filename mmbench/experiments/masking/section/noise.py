"""Generation from noise: the cost of the second task, against plain DDPM and the real-vs-real floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.draw import pictures
from mmbench.report.parts.section import Card, Context
from mmbench.report.parts.shared import real_notes
from mmbench.report.tables.board import Board
from mmbench.report.tables.cells import seeds_cell
from mmbench.report.tables.table import NONE, Table
from mmbench.report.tables.values import answering, case_table
from mmbench.report.text import slug
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL, over_seeds

#: The same network trained on generation alone: the reference for the cost of the second task.
PLAIN = "ddpm"
#: How many generated images are shown, and in how many columns.
SHOWN, COLUMNS = 24, 8


def distance(boards: Sequence[Board]) -> Board | None:
    """The board of the Fréchet distance."""
    return next((board for board in boards if board.metric.startswith("fd")), None)


def generation_table(boards: Sequence[Board], results: ExperimentResults) -> Table:
    """A row per method that generates from noise, a column per metric, the ratio of FD to plain DDPM, and the floor."""
    fd, methods = distance(boards), answering(boards)
    caption = "Images generated from noise against real ones."
    if results.real():
        caption += " The last row is the floor: other real images in place of generated ones."
    others = [title for method, title in results.titles.items() if method not in methods]
    notes = [f"These methods do not generate from noise: {text.listing(others)}."] if others else []
    table = case_table(
        f"{results.name}-generation",
        caption,
        boards,
        results,
        real="Real images (floor)",
        notes=[*notes, *real_notes(results)],
    )
    if fd is None:
        return table
    place, name = 2 + boards.index(fd), f"FD ÷ {results.titles.get(PLAIN, 'plain DDPM')}"
    over_plain = [ratios(fd, method) for method in methods] + [[]] * (len(table.rows) - len(methods))
    cells = [seeds_cell(values, "{:.2f}×".format) if values else NONE for values in over_plain]
    rows = [[*row[:place], cell, *row[place:]] for row, cell in zip(table.rows, cells, strict=True)]
    return replace(table, header=[*table.header[:place], name, *table.header[place:]], rows=rows)


def ratios(fd: Board, method: str) -> list[float]:
    """FD of a method divided by that of plain DDPM with the same seed, for every seed that both have."""
    plain, studied = fd.entries.get((PLAIN, fd.cases[0])), fd.entries.get((method, fd.cases[0]))
    if plain is None or studied is None:
        return []
    return [value / other for seed, value in studied.values.items() if (other := plain.values.get(seed, 0.0)) > 0]


def generation_findings(boards: Sequence[Board], results: ExperimentResults) -> tuple[list[str], list[Card]]:
    """One sentence and one card on the Fréchet distance of the method under study."""
    fd = distance(boards)
    if fd is None or not fd.best(fd.cases[0]):
        return [], []
    case, titles, real = fd.cases[0], results.titles, results.real().get(fd.metric)
    best = fd.best(case)
    lines = [] if real is None else [f"real images against real ones: {text.number(real, 1)}"]
    card = Card(f"{fd.label}, from noise", text.listing([titles[m] for m in best]), fd.mean(best[0], case), lines)
    over_plain = ratios(fd, STUDIED)
    if not over_plain:
        return [], [card]
    value, mine = over_seeds(over_plain), fd.mean(STUDIED, case)
    lines.insert(0, f"{titles[STUDIED]}: {mine}, {value.mean:.2f}× {titles[PLAIN]}")
    interval = "one seed, so no interval"
    if value.interval is not None:
        interval = f"{100 * LEVEL:.0f} % t-interval over seeds {value.low:.2f} to {value.high:.2f}"
    floor_text = "" if real is None else f"; the real-vs-real floor is {text.number(real, 1)}"
    sentence = (
        f"Generating from noise, {titles[STUDIED]} has {fd.label} {mine} and {titles[PLAIN]} {fd.mean(PLAIN, case)} "
        f"(ratio {value.mean:.2f}; {interval}; FD is not bootstrapped){floor_text}."
    )
    return [sentence], [card]


def samples(context: Context) -> list[dict[str, object]]:
    """The first generated images of each method, all from the same noise, after real ones."""
    results = context.experiment
    drawn, truth = (results.cases_of(task)[:1] for task in ("generate", "reconstruct"))
    sheets: list[tuple[str, np.ndarray]] = []
    for case in truth:
        real = results.case_arrays([f"{case['name']}/truth/image"])
        sheets += [("Real test images", images) for images in real.values()]
    for case, method in [(case, method) for case in drawn for method in results.methods]:
        answers = results.runs_of(method)[0].answers(case, ["image"])
        sheets += [(results.titles[method], images) for images in answers.values()]
    shown = []
    for title, images in sheets if len(sheets) > bool(truth) else []:
        height, width = images.shape[2:]
        count = pictures.affordable(SHOWN, len(sheets), height, width)
        pixels = pictures.sheet(images[:count], min(COLUMNS, count))
        path = context.out / "figures" / f"{results.name}-samples-{slug(title)}.png"
        factor = pictures.zoom_of(width)
        pictures.write_picture(path, pixels, factor)
        context.written.append(path)
        tile = pictures.Tile(pixels, f"{min(count, len(images))} images: {title}")
        height, width = pixels.shape[:2]
        shown.append({"title": title, "tile": tile, "height": height, "width": width, "zoom": 3 if factor > 1 else 1})
    return shown
