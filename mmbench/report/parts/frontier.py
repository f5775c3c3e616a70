"""The trade-off between two metrics over the settings that were tried on the validation split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mmbench.config.methods import STUDIED
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, method_styles, paper
from mmbench.report.parts.section import Context
from mmbench.runs.results import ExperimentResults, Run
from mmbench.scoring.names import describe

COLUMNS = ["method", "seed", "line", "value", "x", "y", "chosen"]


def frontier(context: Context, across: str, up: str) -> Drawing | None:
    """A curve for each method and seed through the settings that were tried; None if none were.

    Args:
        across: metric of the horizontal axis, by its name up to any bracket; likewise `up` for the vertical axis.
    """
    results = context.experiment
    frame = frontier_frame(results, across, up)
    if frame.empty:
        return None
    context.frame(f"{results.name}-frontier", frame)
    names = describe(across).label, describe(up).label
    return context.draw(
        f"{results.name}-frontier",
        f"{names[1]} against {names[0]} on the validation split, with one point for every strength that was tried. "
        "The ringed ones were chosen and used for the test cases. There is one curve per seed and sampler.",
        f"Curves of {names[1]} against {names[0]}, one point for each strength of guidance.",
        partial(draw_frontier, frame, results, names),
    )


def frontier_frame(results: ExperimentResults, across: str, up: str) -> pd.DataFrame:
    """One row per method, seed and strength that was tried: its value, both metrics, and whether it was chosen."""
    rows = []
    for run in results.runs:
        for line, value, metrics, same in strengths(run):
            scores = {row["name"].partition("[")[0]: row["value"] for row in metrics}
            if {across, up} <= scores.keys():
                rows.append((run.method, run.seed, line, value, scores[across], scores[up], same))
    return pd.DataFrame(rows, columns=COLUMNS)


def strengths(run: Run) -> Iterator[tuple[str, float, Sequence[Mapping[str, Any]], bool]]:
    """The choices that a run tried and that have a strength: a setting of the method, or guidance of a sampler.

    Yields:
        The name of the choice, its strength, the metrics, and whether it was chosen.
    """
    for entry in run.tuning.get("tried", []):
        if len(entry["settings"]) == 1:
            ((name, value),) = entry["settings"].items()
            yield name, value, entry["metrics"], entry["settings"] == run.tuning.get("chosen")
    for choice in run.tuning.get("drawings", []):
        for entry in choice["tried"]:
            drawing = entry["settings"]
            if drawing["guidance"] is not None:
                line = f"{choice['tasks'][0]}, {drawing['sampler']}, {drawing['nfe']} evaluations"
                yield line, drawing["guidance"], entry["metrics"], drawing == choice["chosen"]


def draw_frontier(frame: pd.DataFrame, results: ExperimentResults, names: tuple[str, str], mode: Mode) -> Figure:
    """The curves, with points labelled by the setting's value."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes, styles = figure.add_subplot(), method_styles(results.methods, mode)
    for method in [m for m in results.methods if m in set(frame["method"])]:
        style = styles[method]
        for i, (_, points) in enumerate(frame[frame["method"] == method].groupby(["seed", "line"])):
            curve, label = points.sort_values("value"), results.titles[method] if i == 0 else None
            weight = 2.2 if method == STUDIED else 1.5
            axes.plot(curve["x"], curve["y"], color=style.colour, marker=style.marker, label=label, linewidth=weight)
            best = curve[curve["chosen"]]
            axes.scatter(best["x"], best["y"], s=150, facecolors="none", edgecolors=style.colour, linewidths=1.6)
            for point in curve.itertuples():
                words = f"{names[0]} {point.x:.4g}, {names[1]} {point.y:.4g}" + ", chosen" * bool(point.chosen)
                tell(axes, point.x, point.y, f"{results.titles[method]}, {point.value:g}: {words}")
                axes.annotate(f"{point.value:g}", (point.x, point.y), xytext=(5, 5), textcoords="offset points",
                              fontsize=8, color=paper(mode)["soft"])  # fmt: skip
    axes.set(xlabel=f"{names[0]} (validation)", ylabel=f"{names[1]} (validation)")
    axes.legend()
    return figure
