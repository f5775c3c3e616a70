"""The charts that experiments share: a metric against a condition, intervals beside the best baseline, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from mmbench.config.methods import STUDIED
from mmbench.report.draw.axes import End, name_ends, name_rows, panels, scale_factors, scale_values
from mmbench.report.draw.hover import tell, tell_curve
from mmbench.report.draw.theme import Mode, Style, method_styles, paper, steps
from mmbench.report.tables.board import Board
from mmbench.report.text import percent, quantity
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL

#: What the marks of `metric_by_share` are, for its caption.
MARKS = (
    f"Lines are means over seeds, bars their {100 * LEVEL:.0f} % t-intervals as far as the axis goes (where there are "
    "several seeds), points single seeds."
)
#: What the loss on a split is called.
LOSSES = {"train": "loss", "validation": "validation loss"}
#: How far above its least a validation loss may end, as a share of it, before the page says so.
RISE = 0.05


def metric_by_share(frame: pd.DataFrame, board: Board, titles: Mapping[str, str], called: str, mode: Mode) -> Figure:
    """Mean over seeds as a line, its t-interval as bars, every seed as a point, methods named at their line's end.

    Args:
        frame: columns method, share, seed, value (`board.means_frame`).
        board: which metric, and the order of methods.
        titles: of the methods.
        called: name of the axis of shares.
        mode: paper.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes, styles = figure.add_subplot(), method_styles(board.methods, mode)
    frame = frame.assign(percent=100 * frame["share"])
    places = dict(zip(frame["case"], frame["percent"], strict=True))
    shown = [method for method in board.methods if method in set(frame["method"])]
    for method in reversed(shown):
        style, points = styles[method], frame[frame["method"] == method]
        zorder = 4 if method == STUDIED else 3
        look = {"x": "percent", "y": "value", "data": points, "ax": axes, "color": style.colour, "zorder": zorder}
        sns.lineplot(**look, errorbar=None, linewidth=style.width, linestyle=style.dash)
        edge = paper(mode)["paper"]
        sns.scatterplot(**look, marker=style.marker, s=30, linewidth=0.5, edgecolor=edge, legend=False)
    scale_values(axes, frame["value"].min(), frame["value"].max())
    _intervals(axes, board, places, styles)
    for (method, case), entry in board.entries.items():
        words = f"{titles[method]}, {percent(places[case] / 100)}: {board.words(method, case)}"
        tell(axes, places[case], entry.summary.mean, words)
    shares = sorted(frame["percent"].unique())
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.set(xlabel=called, ylabel="")
    axes.grid(visible=False, axis="x")
    axes.set_title(f"{board.label}, {'higher' if board.higher_is_better else 'lower'} is better")
    last = frame[frame["percent"] == shares[-1]].groupby("method")["value"].mean()
    right = float((axes.transData + axes.transAxes.inverted()).transform((shares[-1], 1.0))[0])
    ends = [End(titles[m], last[m], styles[m].colour, m == STUDIED) for m in shown if m in last.index]
    name_ends(axes, ends, right + 0.012, 1.06)
    return figure


def _intervals(axes: Axes, board: Board, places: Mapping[str, float], styles: Mapping[str, Style]) -> None:
    """A bar over the t-interval of each mean, as far as it is within what the axis shows of the seeds."""
    low, high = axes.get_ylim()
    for (method, case), entry in board.entries.items():
        if entry.summary.interval is not None:
            bottom, top = (min(high, max(low, end)) for end in entry.summary.interval)
            axes.vlines(places[case], bottom, top, color=styles[method].colour, linewidth=1.1, alpha=0.55, zorder=2)
    axes.set_ylim(low, high)


def ratios(board: Board, labels: Sequence[str], titles: Mapping[str, str], mode: Mode) -> Figure:
    """Each method's mean as a multiple of the best baseline's, with the paired image-level interval.

    The interval is that of the difference, divided by the best baseline's mean.

    Args:
        board: of a metric with positive values.
        labels: of the cases, in their order.
        titles: of the methods.
        mode: paper.
    """
    shown = [m for m in board.methods if any(_ratio(board, m, case) for case in board.cases)]
    figure = Figure(figsize=(6.4, 1.65 + 0.42 * len(shown)), layout="constrained")
    axes, colours, count = figure.add_subplot(), steps(len(board.cases), mode), len(board.cases)
    for index, (case, label) in enumerate(zip(board.cases, labels, strict=True)):
        offset = 0.62 * ((index + 0.5) / count - 0.5)
        points = [(row + offset, r) for row, method in enumerate(shown) if (r := _ratio(board, method, case))]
        if not points:
            continue
        rows, multiples = zip(*points, strict=True)
        middle, low, high = np.array(multiples).T
        for row, (value, *ends) in points:
            words = f"{value:.3g}× [{ends[0]:.3g}×, {ends[1]:.3g}×]"
            tell(axes, value, row, f"{titles[shown[round(row - offset)]]}, {label}: {words}")
        axes.hlines(rows, low, high, color=colours[index], linewidth=1.6)
        axes.scatter(middle, rows, color=colours[index], s=22, zorder=3, label=label)
    axes.axvline(1, color=paper(mode)["ink"], linewidth=1)
    scale_factors(axes, LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    name_rows(axes, [titles[method] for method in shown], paper(mode)["ink"], {titles.get(STUDIED, "")})
    better = "right" if board.higher_is_better else "left"
    axes.set_xlabel(f"{board.label} as a multiple of the best baseline's\n({better} is better)")
    figure.legend(loc="outside upper center", ncols=count, handletextpad=0.2, columnspacing=1.2)
    return figure


def _ratio(board: Board, method: str, case: str) -> tuple[float, float, float] | None:
    """Mean of a method over that of the best baseline, and the ends of its interval."""
    entry, best = board.entries.get((method, case)), board.best_baseline.get(case)
    if entry is None or best is None or entry.difference is None or entry.difference.interval is None:
        return None
    base, (low, high) = board.entries[best, case].summary.mean, entry.difference.interval
    values = [1 + end / base for end in (entry.difference.difference, low, high)] if base > 0 else [0.0]
    return (values[0], values[1], values[2]) if min(values) > 0 else None


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
            for split, own in points.items()
            for point in own
            if "loss" in point
        ]
    return pd.DataFrame(rows, columns=["method", "seed", "split", "images", "loss"])


def rising(frame: pd.DataFrame) -> list[str]:
    """The methods whose validation loss ends more than `RISE` above its least, in the mean over seeds."""
    points = frame[frame["split"] == "validation"].groupby(["method", "images"], sort=False)["loss"].mean()
    loss = points.groupby(level="method", sort=False)
    excess = (loss.last() - loss.min()) / loss.min().abs()
    return list(excess.index[excess > RISE])


def training_curves(frame: pd.DataFrame, titles: Mapping[str, str], order: Sequence[str], mode: Mode) -> Figure:
    """One small panel per trained method; one line per seed, its running median in bold; validation in dashed ink."""
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
