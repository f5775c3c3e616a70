"""The charts that experiments share: a metric relative to the best baseline with intervals, and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from mmbench.config.methods import STUDIED
from mmbench.report.draw.axes import name_rows, panels, scale_factors, scale_values
from mmbench.report.draw.hover import tell, tell_curve
from mmbench.report.draw.theme import Mode, method_styles, paper, steps
from mmbench.report.tables.board import Board
from mmbench.report.text import quantity
from mmbench.runs.results import ExperimentResults

#: The names of the loss on each split.
LOSSES = {"train": "loss", "validation": "validation loss"}
#: How far above its minimum a validation loss may end, as a share of it, without a remark on the page.
RISE = 0.05


def ratios(board: Board, labels: Sequence[str], titles: Mapping[str, str], mode: Mode) -> Figure:
    """Each method's mean as a multiple of the best baseline's with the interval that decides; right is better.

    Args:
        board: the board of a metric with positive values.
    """
    shown = [m for m in board.methods if any(board.ratio(m, case) for case in board.cases)]
    figure = Figure(figsize=(6.4, 1.65 + 0.42 * len(shown)), layout="constrained")
    axes, colours, count = figure.add_subplot(), steps(len(board.cases), mode), len(board.cases)
    for index, (case, label) in enumerate(zip(board.cases, labels, strict=True)):
        offset = 0.62 * ((index + 0.5) / count - 0.5)
        points = [(row + offset, ratio) for row, method in enumerate(shown) if (ratio := board.ratio(method, case))]
        for row, (value, low, high) in points:
            method = shown[round(row - offset)]
            words = f"{board.words(method, case)}, {value:.3g}× [{low:.3g}×, {high:.3g}×]".replace("inf", "∞")
            tell(axes, value, row, f"{titles[method]}, {label}: {words}")
        if points:
            rows, multiples = zip(*points, strict=True)
            middle, low, high = np.array(multiples).T
            axes.hlines(rows, low.clip(middle / 8), high.clip(max=8 * middle), color=colours[index], linewidth=1.6)
            axes.scatter(middle, rows, color=colours[index], s=22, zorder=3, label=label)
    axes.axvline(1, color=paper(mode)["ink"], linewidth=1)
    scale_factors(axes, LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    name_rows(axes, [titles[method] for method in shown], paper(mode)["ink"], {titles.get(STUDIED, "")})
    axes.set_xlabel(f"{board.label} as a multiple of the best baseline's\n(turned so that right is better)")
    figure.legend(loc="outside upper center", ncols=count, handletextpad=0.2, columnspacing=1.2)
    return figure


def training_frame(results: ExperimentResults) -> pd.DataFrame:
    """Losses against images seen: columns method, seed, split, images, loss; no rows if nothing was trained here."""
    rows = []
    for run in results.runs:
        curve, total = run.training.get("curve") or [], run.training.get("images_seen")
        if not curve or not total or "loss" not in curve[-1]:
            continue
        per_step = total / curve[-1]["step"]
        points = {"train": curve, "validation": run.training.get("validation_curve") or []}
        rows += [
            (run.method, run.seed, split, point["step"] * per_step, point["loss"])
            for split, measured in points.items()
            for point in measured
            if "loss" in point
        ]
    return pd.DataFrame(rows, columns=["method", "seed", "split", "images", "loss"])


def rising(frame: pd.DataFrame) -> list[str]:
    """The methods whose validation loss ends more than `RISE` above its minimum, in the mean over seeds."""
    points = frame[frame["split"] == "validation"].groupby(["method", "images"], sort=False)["loss"].mean()
    loss = points.groupby(level="method", sort=False)
    excess = (loss.last() - loss.min()) / loss.min().abs()
    return list(excess.index[excess > RISE])


def training_curves(frame: pd.DataFrame, titles: Mapping[str, str], order: Sequence[str], mode: Mode) -> Figure:
    """One small panel per trained method; one line per seed, its running median in bold; validation dashed."""
    shown, styles = [method for method in order if method in set(frame["method"])], method_styles(order, mode)
    figure, grid = panels(len(shown), 2.9, 2.0, 0.3, sharex=True)
    for axes, method in zip(grid, shown, strict=True):
        for (seed, split), curve in frame[frame["method"] == method].groupby(["seed", "split"]):
            colour, loss = styles[method].colour, curve["loss"]
            if split == "train":
                axes.plot(curve["images"], loss, color=colour, alpha=0.3, linewidth=0.8)
                loss = loss.rolling(max(1, len(curve) // 10), min_periods=1).median()
                axes.plot(curve["images"], loss, color=colour, linewidth=1.5)
            else:
                axes.plot(curve["images"], loss, color=paper(mode)["ink"], linewidth=1.0, linestyle="--", zorder=3)
            called = f"{titles[method]}, seed {seed}: {LOSSES[split]}"
            places = zip(curve["images"], loss, strict=True)
            tell_curve(axes, [(x, y, f"{called} {y:.3g} after {quantity(x)} images") for x, y in places])
        axes.set_title(titles[method], fontsize=9.5)
        scale_values(axes, frame["loss"].min(), float("inf"))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    figure.supxlabel("training images seen", fontsize=10)
    figure.supylabel("loss", fontsize=10)
    return figure
