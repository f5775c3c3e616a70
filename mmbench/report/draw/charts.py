"""The charts that experiments share: a metric against a condition, intervals beside the best baseline, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from mmbench.config.methods import STUDIED
from mmbench.report.draw.figures import spread
from mmbench.report.draw.hover import tell, tell_curve
from mmbench.report.draw.theme import Mode, Style, method_styles, paper, steps
from mmbench.report.tables import common
from mmbench.report.tables.board import Board
from mmbench.report.text import percent, quantity
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import describe
from mmbench.scoring.statistics import LEVEL

#: What the marks of `metric_by_share` are, for its caption.
MARKS = (
    f"Lines are means over seeds, bars their {100 * LEVEL:.0f} % t-intervals as far as the axis goes (where there are "
    "several seeds), points single seeds."
)
#: A metric that spans more than this factor is drawn on a logarithmic axis.
LOG_FROM = 4.0
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
    axes = figure.add_subplot()
    styles = method_styles(board.methods, mode)
    frame = frame.assign(percent=100 * frame["share"])
    places = dict(zip(frame["case"], frame["percent"], strict=True))
    shown = [method for method in board.methods if method in set(frame["method"])]
    for method in reversed(shown):
        style, own = styles[method], frame[frame["method"] == method]
        zorder = 4 if method == STUDIED else 3
        look = {"x": "percent", "y": "value", "data": own, "ax": axes, "color": style.colour, "zorder": zorder}
        sns.lineplot(**look, errorbar=None, linewidth=style.width, linestyle=style.dash)
        edge = paper(mode)["paper"]
        sns.scatterplot(**look, marker=style.marker, s=30, linewidth=0.5, edgecolor=edge, legend=False)
    if frame["value"].min() > 0 and frame["value"].max() / frame["value"].min() > LOG_FROM:
        log_y(axes)
    _intervals(axes, board, places, styles)
    for (method, case), entry in board.entries.items():
        words = common.value_words(entry, describe(board.metric).decimals)
        tell(axes, places[case], entry.summary.mean, f"{titles[method]}, {percent(places[case] / 100)}: {words}")
    shares = sorted(frame["percent"].unique())
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.set(xlabel=called, ylabel="")
    axes.grid(visible=False, axis="x")
    axes.set_title(f"{describe(board.metric).label}, {'higher' if board.higher_is_better else 'lower'} is better")
    ends = frame[frame["percent"] == shares[-1]].groupby("method")["value"].mean()
    _label_ends(axes, shares[-1], {m: float(ends[m]) for m in shown if m in ends.index}, titles, styles)
    return figure


def _intervals(axes: Axes, board: Board, places: Mapping[str, float], styles: Mapping[str, Style]) -> None:
    """A bar over the t-interval of each mean, as far as it is within what the axis shows of the seeds."""
    low, high = axes.get_ylim()
    for (method, case), entry in board.entries.items():
        if entry.summary.low is None or entry.summary.high is None:
            continue
        bottom, top = (min(high, max(low, end)) for end in (entry.summary.low, entry.summary.high))
        axes.vlines(places[case], bottom, top, color=styles[method].colour, linewidth=1.1, alpha=0.55, zorder=2)
    axes.set_ylim(low, high)


def _label_ends(
    axes: Axes, x: float, ends: Mapping[str, float], titles: Mapping[str, str], styles: Mapping[str, Style]
) -> None:
    """Name each line at its right end, moved apart where they would overlap, with a hair line to its point."""
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {method: float(to_axes.transform((x, value))[1]) for method, value in ends.items()}
    right = float(to_axes.transform((x, 1.0))[0])
    places = spread(list(heights.values()), 0.062, 0.0, 1.0)
    for (method, height), place in zip(heights.items(), places, strict=True):
        colour = styles[method].colour
        axes.annotate(
            titles[method],
            xy=(right + 0.012, height),
            xytext=(1.06, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=9,
            fontweight="bold" if method == STUDIED else "normal",
            # to the middle of the name's left edge, as a line to its centre would run through other names
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "lw": 0.6,
                "alpha": 0.6,
                "shrinkA": 2,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def log_y(axes: Axes) -> None:
    """A logarithmic axis of values, with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


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
    axes = figure.add_subplot()
    colours, count = steps(len(board.cases), mode), len(board.cases)
    for index, (case, label) in enumerate(zip(board.cases, labels, strict=True)):
        offset = 0.62 * ((index + 0.5) / count - 0.5)
        points = [(row + offset, r) for row, method in enumerate(shown) if (r := _ratio(board, method, case))]
        if not points:
            continue
        rows, found = zip(*points, strict=True)
        middle, low, high = np.array(found).T
        for row, (value, *ends) in points:
            words = f"{value:.3g}× [{ends[0]:.3g}×, {ends[1]:.3g}×]"
            tell(axes, value, row, f"{titles[shown[round(row - offset)]]}, {label}: {words}")
        axes.hlines(rows, low, high, color=colours[index], linewidth=1.6)
        axes.scatter(middle, rows, color=colours[index], s=22, zorder=3, label=label)
    axes.axvline(1, color=paper(mode)["ink"], linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(shown)), [titles[method] for method in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    metric = describe(board.metric).label
    axes.set_xlabel(
        f"{metric} as a multiple of the best baseline's\n({'right' if board.higher_is_better else 'left'} is better)"
    )
    figure.legend(loc="outside upper center", ncols=count, handletextpad=0.2, columnspacing=1.2)
    for tick, method in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set(color=paper(mode)["ink"], fontweight="bold" if method == STUDIED else "normal")
    return figure


def _ratio(board: Board, method: str, case: str) -> tuple[float, float, float] | None:
    """Mean of a method over that of the best baseline, and the ends of its interval."""
    entry, best = board.entries.get((method, case)), board.best_baseline.get(case)
    if entry is None or best is None or entry.difference is None or entry.difference.low is None:
        return None
    base = board.entries[best, case].summary.mean
    ends = (entry.difference.difference, entry.difference.low, entry.difference.high or 0.0)
    values = [1 + end / base for end in ends] if base > 0 else []
    return (values[0], values[1], values[2]) if values and min(values) > 0 else None


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
    shown = [method for method in order if method in set(frame["method"])]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns + 0.4, 2.0 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    styles = method_styles(order, mode)
    for axes, method in zip(grid.flat, shown, strict=False):
        for (seed, split), own in frame[frame["method"] == method].groupby(["seed", "split"]):
            colour, loss = styles[method].colour, own["loss"]
            if split == "train":
                axes.plot(own["images"], loss, color=colour, alpha=0.3, linewidth=0.8)
                loss = loss.rolling(max(1, len(own) // 10), min_periods=1).median()
                axes.plot(own["images"], loss, color=colour, linewidth=1.5)
            else:
                axes.plot(own["images"], loss, color=paper(mode)["ink"], linewidth=1.0, linestyle="--", zorder=3)
            called = f"{titles[method]}, seed {seed}: {LOSSES[split]}"
            places = zip(own["images"], loss, strict=True)
            tell_curve(axes, [(x, y, f"{called} {y:.3g} after {quantity(x)} images") for x, y in places])
        axes.set_title(titles[method], fontsize=9.5)
        if frame["loss"].min() > 0:
            log_y(axes)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    for axes in list(grid.flat)[len(shown) :]:
        axes.remove()
    figure.supxlabel("training images seen", fontsize=10)
    figure.supylabel("loss", fontsize=10)
    return figure
