"""Quality against compute: scores of a run's snapshots, and the compute that each method needs to reach a quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mmbench.config.methods import STUDIED, STUDIED_TITLE
from mmbench.report import text
from mmbench.report.draw.axes import panels, scale_values
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, Style, method_styles, paper
from mmbench.report.parts.reach import (
    Goal,
    Reach,
    baseline_goal,
    by_seed,
    compute_to_reach,
    curve_frame,
    make_goal,
    of_line,
    over_ratios,
    ratio,
)
from mmbench.report.parts.section import Context, Headline
from mmbench.report.tables.cells import method_cell
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL

NOT_REACHED = "not reached"

COSINE_NOTE = (
    "The learning rate follows a cosine over the whole training run. A snapshot is therefore usually worse than a "
    "complete run of its length, and compute read off a curve is an upper estimate. Variants called per_task are "
    "complete shorter runs and appear as single points."
)
REACH_NOTE = (
    "×: training compute (FLOP) to reach the target as a multiple of what the target's own method needs, seed by "
    f"seed; geometric mean over seeds, with its {100 * LEVEL:.0f} % t-interval (of the logarithms) in brackets. On "
    "demand: FLOP, images seen and training time on this machine, means over seeds. Between snapshots, the best score "
    "so far is interpolated linearly in log FLOP. ≤: the method's first snapshot already reaches the target; ≥: the "
    "first snapshot of the target's method does; without a ratio, both do. A method that answers with another "
    "method's weights has the compute of those weights. The compute of a model of several tasks is for all of them."
)


def quality_against_compute(context: Context, lines: Sequence[Headline]) -> dict[str, Any] | None:
    """Figure and tables of an experiment's headlines, with their files; None if no training run has snapshots."""
    results = context.experiment
    frame = curve_frame(results, lines)
    if frame.empty or (frame["share"] == 1).all():
        return None
    context.frame(f"{results.name}-curves", frame)
    lines = [line for line in lines if not of_line(frame, line).empty]
    goals = {
        "baseline": [goal for line in lines if (goal := baseline_goal(results, frame, line))],
        "studied": [goal for line in lines if (goal := make_goal(frame, line, STUDIED))],
    }
    drawing = context.draw(
        f"{results.name}-curves",
        "Scores against training compute, of snapshots and of finished runs; lines are means over seeds, points are "
        f"single seeds. Dotted: the best finished baseline, the target of the table below. {COSINE_NOTE}",
        "Line charts of every question's metric against training FLOP; the numbers are in the table of curves.",
        partial(draw_curves, frame, lines, goals["baseline"], results),
    )
    captions = {
        "baseline": "Compute to be as good as the best finished baseline; less than 1× is faster than that baseline.",
        "studied": f"Compute to be as good as the finished {STUDIED_TITLE}; less than 1× is faster than it.",
    }
    tables = [
        context.table(reach_table(results, frame, reachable, f"{results.name}-reach-{kind}", captions[kind]))
        for kind, reachable in goals.items()
        if reachable
    ]
    return {"drawing": drawing, "tables": tables}


def reached(goal: Goal, curves: Mapping[int, pd.DataFrame]) -> dict[int, Reach | None]:
    """The compute at which the curves of a method reach the goal of their seed, by seed."""
    return {
        seed: compute_to_reach(
            curve["flops"].tolist(),
            curve["value"].tolist(),
            goal.values[seed],
            higher_is_better=goal.line.board.higher_is_better,
        )
        for seed, curve in curves.items()
        if seed in goal.values
    }


def reach_cell(goal: Goal, method: str, curves: Mapping[int, pd.DataFrame]) -> Cell:
    """The compute that a method needs, as a multiple of what the goal's own method needs."""
    tried = reached(goal, curves)
    if not tried:
        return NONE
    arrived = {seed: reach for seed, reach in tried.items() if reach}
    if len(arrived) < len(tried):
        spent = text.quantity(float(np.mean([curves[seed]["flops"].iloc[-1] for seed in tried])), "FLOP")
        some = [f"by {len(tried) - len(arrived)} of {len(tried)} seeds"] if arrived else []
        return Cell(NOT_REACHED, lines=[*some, f"with {spent}"])
    bound = "≤ " if any(reach.bound for reach in arrived.values()) else ""
    lines, more = list[str](), [bound + costs(arrived, curves)]
    if method == goal.method:
        return Cell("1×", 1.0, tone="reference", more=more)
    base = {seed: reach for seed, reach in reached(goal, goal.curves).items() if reach}
    ratios = [r for seed, reach in arrived.items() if (r := ratio(reach, base[seed]))]
    over = over_ratios(ratios) if len(ratios) == len(arrived) else None
    if over is None:
        return Cell("no ratio", more=more)
    mean, summary = over
    if summary.interval:
        lines.append(text.brackets(summary.interval, times))
    return Cell(f"{mean.bound} {times(mean.compute)}×".strip(), mean.compute, lines, more=more)


def times(value: float) -> str:
    """A ratio with two decimals, or with two significant digits if it is small."""
    return text.number(value, 2) if value >= 0.1 else f"{value:.2g}"


def seen(images: float) -> str:
    """A number of images."""
    return f"{text.quantity(images)} images"


def costs(reaches: Mapping[int, Reach], curves: Mapping[int, pd.DataFrame]) -> str:
    """FLOP, images and seconds, means over seeds; the latter two grow with FLOP between the points of a curve."""
    flops = float(np.mean([reach.compute for reach in reaches.values()]))
    words = [text.quantity(flops, "FLOP")]
    for name, form in (("images", seen), ("seconds", text.duration)):
        at = [
            np.interp(reach.compute, [0.0, *curves[seed]["flops"]], [0.0, *curves[seed][name]])
            for seed, reach in reaches.items()
        ]
        if np.isfinite(at).all():
            words.append(form(float(np.mean(at))))
    return " · ".join(words)


def reach_table(
    results: ExperimentResults, frame: pd.DataFrame, goals: Sequence[Goal], name: str, caption: str
) -> Table:
    """A row per trained method, a column per question; the last row has the target."""
    header = [f"{goal.line.question}: {goal.line.board.column}" for goal in goals]
    rows = []
    for method in results.methods:
        cells = [reach_cell(goal, method, by_seed(frame, goal.line, method)) for goal in goals]
        if any(cell is not NONE for cell in cells):
            rows.append([method_cell(results, method), *cells])
    targets = []
    for goal in goals:
        mean, finished = float(np.mean(list(goal.values.values()))), f"finished {results.titles[goal.method]}"
        targets.append(Cell(goal.line.board.number(mean), mean, [finished], tone="reference"))
    rows.append([Cell("Target"), *targets])
    return Table(name, caption, ["Method", *header], rows, [REACH_NOTE, COSINE_NOTE])


def draw_curves(
    frame: pd.DataFrame, lines: Sequence[Headline], goals: Sequence[Goal], results: ExperimentResults, mode: Mode
) -> Figure:
    """A small panel per question, with a legend of the methods below."""
    shown = [method for method in results.methods if method in set(frame["method"])]
    styles = method_styles(results.methods, mode)
    figure, grid = panels(len(lines), 3.6, 2.7, 0.6 + 0.2 * (len(shown) // 3))
    targets = {(goal.line.board.metric, goal.line.case): np.mean(list(goal.values.values())) for goal in goals}
    for axes, line in zip(grid, lines, strict=True):
        draw_panel(axes, line, of_line(frame, line), shown, styles, mode)
        if (target := targets.get((line.board.metric, line.case))) is not None:
            axes.axhline(float(target), color=paper(mode)["soft"], linewidth=1, linestyle=":")
        better = "higher" if line.board.higher_is_better else "lower"
        axes.set_title(f"{line.question}\n{line.board.label}, {better} is better", fontsize=9.5)
    for axes in grid[-3:]:
        axes.set_xlabel("training compute, FLOP")
    handles = [
        Line2D([], [], color=s.colour, marker=s.marker, linestyle=s.dash, linewidth=s.width, label=results.titles[m])
        for m, s in ((method, styles[method]) for method in shown)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def draw_panel(
    axes: Axes, line: Headline, panel: pd.DataFrame, methods: Sequence[str], styles: Mapping[str, Style], mode: Mode
) -> None:
    """One question: means over seeds as lines, every seed as a point."""
    for method in reversed([method for method in methods if method in set(panel["method"])]):
        points, style = panel[panel["method"] == method], styles[method]
        mean = points.groupby("share")[["flops", "value"]].mean()
        look: dict[str, Any] = {"color": style.colour, "zorder": 4 if method == STUDIED else 3}
        axes.plot(mean["flops"], mean["value"], linewidth=style.width, linestyle=style.dash, **look)
        edge = paper(mode)["paper"]
        axes.scatter(points["flops"], points["value"], marker=style.marker, s=24, linewidth=0.5, edgecolor=edge, **look)
        for point in points.to_dict("records"):
            words = f"{line.board.number(point['value'])} after {text.quantity(point['flops'], 'FLOP')}"
            words += f" ({text.percent(point['share'])} of training)"
            tell(axes, point["flops"], point["value"], f"{point['title']}, seed {point['seed']}: {words}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text.quantity(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    scale_values(axes, panel["value"].min(), panel["value"].max())
