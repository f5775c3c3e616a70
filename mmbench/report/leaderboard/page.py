"""The leaderboard's page and its tidy files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.errors import UserError
from mmbench.files.atomic import write_text
from mmbench.report import text
from mmbench.report.draw import figures
from mmbench.report.leaderboard.collect import board_frame, delta_frame, read_sources
from mmbench.report.leaderboard.figures import difference_figure, pareto_figure
from mmbench.report.leaderboard.ranks import Ranking, rankings
from mmbench.report.page import SCRIPTS, render
from mmbench.report.parts.multitask import NOTE, per_cent
from mmbench.report.tables.table import write_frame
from mmbench.scoring.names import describe
from mmbench.scoring.statistics import LEVEL

#: The filters of the table, and their options that are chosen at first.
FILTERS = {
    "experiment": "Experiment",
    "data": "Data set",
    "kinds": "Kind of modality",
    "budget": "Budget",
    "methods": "Methods",
}
CHOSEN = {"methods": "ranked"}


def write_leaderboard(runs: Sequence[Path], out: Path, root: Path) -> Path:
    """Write `out`/index.html, leaderboard.csv, delta-m.csv and leaderboard/ with its figures; returns the page's path.

    Args:
        root: the checkout, to whose method files the page links.

    Raises:
        UserError: there is no run, or one is not finished.
    """
    if not runs:
        raise UserError(f"{out}: holds no finished run (no */manifest.json); name runs: mmbench leaderboard RUN...")
    sources = read_sources(runs, out, root)
    frame, deltas = board_frame(sources), delta_frame(sources)
    write_frame(frame, out / "leaderboard.csv")
    write_frame(deltas, out / "delta-m.csv")
    ranked = rankings(frame)
    pareto = figures.draw(
        "pareto",
        "Quality against training compute, by the first metric of each task. The line joins the Pareto front: the "
        "methods that no other method beats in quality with no more compute.",
        "Scatter plots of quality over training compute; the numbers are in leaderboard.csv.",
        partial(pareto_figure, frame),
        out / "leaderboard",
    )
    rows = [shown_row(row) for row in frame.to_dict("records")]
    options = {key: sorted({option for row in rows for option in row["filters"][key]}) for key in FILTERS}
    page = render(
        "leaderboard.html.j2",
        rows=rows,
        filters=[(key, name, options[key], CHOSEN.get(key)) for key, name in FILTERS.items()],
        rankings=[(ranking, rank_rows(ranking), said(ranking)) for ranking in ranked],
        differences=[draw_differences(ranking, out) for ranking in ranked if ranking.difference],
        deltas=[shown_delta(row) for row in deltas.to_dict("records")],
        delta_note=NOTE,
        pareto=pareto,
        runs=len(runs),
        methods=frame["method"].nunique(),
        scripts=sorted(path.name for path in SCRIPTS.glob("*.js")),
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def draw_differences(ranking: Ranking, out: Path) -> figures.Drawing:
    """The critical-difference diagram of an experiment."""
    return figures.draw(
        f"critical-difference-{ranking.experiment}",
        f"{ranking.experiment}: mean ranks. A method whose point lies within another's bar is not significantly "
        "different from it (Nemenyi's test at 5 %).",
        "Critical-difference diagram; its numbers are in the table of mean ranks.",
        partial(difference_figure, ranking),
        out / "leaderboard",
    )


def number(value: float, metric: str) -> str:
    """A value with its metric's decimals."""
    return text.number(value, describe(metric).decimals)


def shown_row(row: dict[Any, Any]) -> dict[str, Any]:
    """A row for the template, with the values of the filters."""
    metric, images, ends = str(row["metric"]), row["images_seen"], (row["t_low"], row["t_high"])
    budget = "not trained" if pd.isna(images) or not images else f"{images:,.0f} images seen"
    return {
        **row,
        "shown": number(row["mean"], metric),
        "interval": "" if pd.isna(ends[0]) else text.brackets(ends, partial(number, metric=metric)),
        "label": describe(metric).label + (" ↑" if row["higher_is_better"] else " ↓"),
        "place": text.DASH if pd.isna(row["rank"]) else f"{row['rank']:g}",
        "images_seen": None if pd.isna(images) else images,
        "filters": {
            "experiment": [row["experiment"]], "data": [row["data"]], "kinds": str(row["kinds"]).split(),
            "budget": [budget], "methods": ["ranked" if row["ranked"] else "not ranked"],
        },
    }  # fmt: skip


def shown_delta(row: dict[Any, Any]) -> dict[str, Any]:
    """Delta-m of one experiment for the template."""
    ends = row["t_low"], row["t_high"]
    interval = "one seed" if pd.isna(ends[0]) else text.brackets(ends, per_cent)
    return {**row, "shown": per_cent(row["delta_m"]), "interval": interval}


def rank_rows(ranking: Ranking) -> list[tuple[str, str, str, str]]:
    """Name, title, mean rank and its interval of each method."""
    form = "{:.2f}".format
    return [
        (m, ranking.titles[m], form(s.mean), text.brackets(s.interval, form) if s.interval else "one data set")
        for m, s in ranking.means.items()
    ]


def said(ranking: Ranking) -> str:
    """The data sets of the ranks, and whether they are enough for a diagram."""
    count, methods = len(ranking.data), len(ranking.means)
    why = (
        f"A critical-difference diagram of {methods} methods needs {ranking.enough} data sets: with fewer, mean ranks "
        "could not differ by more than the critical difference, or the test's large-sample distribution does not hold."
    )
    sets = f"{count} data set{'s' * (count > 1)} ({'; '.join(ranking.data)})"
    return f"Mean rank over {sets}, with the {100 * LEVEL:.0f} % t-interval over data sets. {why}"
