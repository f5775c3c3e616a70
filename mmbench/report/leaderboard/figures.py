"""The figures of the leaderboard: quality against compute, and critical differences of mean ranks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mmbench.config.methods import STUDIED
from mmbench.report.draw.axes import panels
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, Style, method_styles, paper
from mmbench.report.leaderboard.ranks import Ranking
from mmbench.scoring.names import describe


def pareto_figure(frame: pd.DataFrame, mode: Mode) -> Figure:
    """A panel for each task of a run: its first metric over the FLOPs of the training, and the Pareto front."""
    trained = frame[frame["training_flops"].fillna(0) > 0]
    groups = [rows for _, rows in trained.groupby(["run", "experiment", "task"], sort=False)]
    names = {str(name): sorted(rows["method"].unique()) for name, rows in frame.groupby("experiment")}
    figure, axes = panels(len(groups), 3.4, 2.6, 0.3)
    for panel, group in zip(axes, groups, strict=True):
        first = group.iloc[0]
        rows = group[(group["metric"] == first["metric"]) & (group["case"] == first["case"])]
        draw_front(panel, rows, method_styles(names[str(first["experiment"])], mode), paper(mode)["soft"])
        panel.set_title(f"{first['run']}\n{first['question']}", fontsize=8)
        arrow = "↑" if first["higher_is_better"] else "↓"
        panel.set_ylabel(f"{describe(first['metric']).label.partition('[')[0]} {arrow}", fontsize=8)
    figure.supxlabel("training compute, FLOPs", fontsize=9)
    return figure


def draw_front(panel: Axes, rows: pd.DataFrame, styles: Mapping[str, Style], ink: str) -> None:
    """The methods of one question as points; those on the front are joined and labelled."""
    front = rows[rows["pareto"].astype(bool)].sort_values("training_flops")
    panel.set_xscale("log")
    panel.plot(front["training_flops"], front["mean"], color=ink, linewidth=1, zorder=1)
    for method, title, x, y in rows[["method", "title", "training_flops", "mean"]].itertuples(index=False):
        style, size = styles[method], 46 if method == STUDIED else 20
        panel.scatter(x, y, color=style.colour, marker=style.marker, s=size, zorder=3)
        tell(panel, x, y, f"{title}: {y:.4g} at {x:.3g} FLOPs")
    for title, x, y in front[["title", "training_flops", "mean"]].itertuples(index=False):
        panel.annotate(title, (x, y), (3, 4), textcoords="offset points", fontsize=6, color=ink)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=3))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("e+", "e")))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.margins(x=0.25, y=0.15)
    panel.tick_params(labelsize=6)


def difference_figure(ranking: Ranking, mode: Mode) -> Figure:
    """Mean ranks on a line; a bar joins a method with all that are not significantly different from it."""
    ink, methods = paper(mode), list(ranking.means)
    figure = Figure(figsize=(8.0, 1.2 + 0.28 * len(methods)), layout="constrained")
    axes, width = figure.add_subplot(), ranking.difference or 0.0
    means = [ranking.means[m].mean for m in methods]
    for row, (method, mean) in enumerate(zip(methods, means, strict=True)):
        accent = method_styles([method], mode)[method].colour
        axes.hlines(row, mean, min(mean + width, len(methods)), color=ink["soft"], linewidth=3, alpha=0.35)
        axes.scatter(mean, row, color=accent, s=40, zorder=3)
        tell(axes, mean, row, f"{ranking.titles[method]}: mean rank {mean:.2f}")
    axes.set_yticks(range(len(methods)), [ranking.titles[m] for m in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(f"mean rank over {len(ranking.data)} data sets; bars: critical difference {width:.2f}")
    return figure
