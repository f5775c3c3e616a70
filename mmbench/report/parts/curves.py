"""Quality against compute: scores of a training's snapshots, and the compute that each method needs for a quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from mmbench.report.draw import charts
from mmbench.report.draw.hover import tell
from mmbench.report.draw.theme import Mode, Style, method_styles, paper
from mmbench.report.parts.reach import Reach, compute_to_reach, over_ratios, ratio
from mmbench.report.parts.section import Context, Headline
from mmbench.report.parts.shared import direction
from mmbench.report.tables import common
from mmbench.report.tables.board import method_order
from mmbench.report.tables.table import Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.runs.run import Run
from mmbench.scoring.names import describe
from mmbench.scoring.statistics import LEVEL

COLUMNS = ["question", "case", "metric", "method", "title", "seed", "share", "flops", "images", "seconds", "value"]
COSTS = {"flops": "training_flops", "images": "images_seen", "seconds": "train_seconds"}
NOT_REACHED = "not reached"

COSINE_NOTE = (
    "The learning rate falls on a cosine over the whole training, so a snapshot is usually worse than a training of "
    "its length would be, and compute read off a curve is an upper estimate. Variants called per_task are such "
    "trainings, single points here."
)
REACH_NOTE = (
    "×: training compute (FLOP) to reach the target as a multiple of what the target's own method needs, seed by "
    f"seed; geometric mean over seeds, its {100 * LEVEL:.0f} % t-interval (of the logarithms) in brackets. Below: "
    "FLOP, images seen and time of training on this machine, means over seeds. Between snapshots, scores are linear in "
    "log FLOP along the best so far. ≤: the first snapshot is as good already; ≥: that of the target's method is; no "
    "ratio: both. A method that answers with another's weights has their compute, and that of a model of several "
    "tasks is for all of them."
)


@dataclass(frozen=True)
class Goal:
    """What is to be reached in a question: the finished score of a method, seed by seed."""

    line: Headline
    method: str
    own: Mapping[int, pd.DataFrame]

    @property
    def values(self) -> dict[int, float]:
        """The score to reach by seed."""
        return {seed: float(curve["value"].iloc[-1]) for seed, curve in self.own.items()}


def quality_against_compute(context: Context, lines: Sequence[Headline]) -> dict[str, Any] | None:
    """Figure and tables of an experiment's headlines, their files written; None if no training was looked at early."""
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
        f"Scores against training compute, on the way and at the end; lines are means over seeds, points single seeds. "
        f"Dotted: the best finished baseline, which the table below asks for. {COSINE_NOTE}",
        "Line charts of every question's metric against training FLOP; the numbers are in the table of curves.",
        partial(draw_curves, frame, lines, goals["baseline"], results),
    )
    captions = {
        "baseline": "Compute to be as good as the best finished baseline; less than 1× is faster than that baseline.",
        "studied": f"Compute to be as good as the finished {STUDIED_TITLE}; less than 1× is faster than it.",
    }
    tables = [
        context.table(reach_table(results, frame, found, f"{results.name}-reach-{kind}", captions[kind]))
        for kind, found in goals.items()
        if found
    ]
    return {"drawing": drawing, "tables": tables}


def curve_frame(results: ExperimentResults, lines: Sequence[Headline]) -> pd.DataFrame:
    """One row per question, method, seed and share of its training, by compute; nothing of what was not trained."""
    rows = []
    for run in [*results.snapshots, *results.runs]:
        cost = {name: run.cost.get(key) for name, key in COSTS.items()}
        if not cost["flops"]:
            continue
        for line in lines:
            if (value := value_of(run, line)) is not None:
                asked = {"question": line.question, "case": line.case, "metric": line.board.metric}
                who = {"method": run.method, "title": run.title, "seed": run.seed, "share": run.share}
                rows.append({**asked, **who, **cost, "value": value})
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({name: float for name in ("share", *COSTS, "value")})
    return frame.sort_values(["question", "metric", "method", "seed", "share"], kind="stable", ignore_index=True)


def value_of(run: Run, line: Headline) -> float | None:
    """What a run scored on a question; None if it was not asked, or could not be measured."""
    for row in run.scores["metrics"]:
        if (row["name"], row["case"]) == (line.board.metric, line.case) and row["value"] is not None:
            return float(row["value"])
    return None


def of_line(frame: pd.DataFrame, line: Headline) -> pd.DataFrame:
    """The rows of one question."""
    return frame[(frame["metric"] == line.board.metric) & (frame["case"] == line.case)]


def by_seed(frame: pd.DataFrame, line: Headline, method: str) -> dict[int, pd.DataFrame]:
    """The curves of a method in a question by seed, of those seeds that are finished."""
    rows = of_line(frame, line)
    curves = {int(seed): own for seed, own in rows[rows["method"] == method].groupby("seed")}
    return {seed: own for seed, own in curves.items() if own["share"].iloc[-1] == 1}


def make_goal(frame: pd.DataFrame, line: Headline, method: str) -> Goal | None:
    """The finished score of a method as what is to be reached; None if it was not trained, or not asked."""
    own = by_seed(frame, line, method)
    return Goal(line, method, own) if own else None


def baseline_goal(results: ExperimentResults, frame: pd.DataFrame, line: Headline) -> Goal | None:
    """The best finished score of a baseline that was trained, as long as all are: variants are none; None without."""
    trained, studied = set(of_line(frame, line)["method"]), results.studied
    ranks = {
        method: line.board.entries[method, line.case].rank
        for method in sorted(trained)
        if method not in studied and "@" not in method
    }
    return make_goal(frame, line, min(ranks, key=lambda method: ranks[method])) if ranks else None


def reached(goal: Goal, curves: Mapping[int, pd.DataFrame]) -> dict[int, Reach | None]:
    """The compute at which the curves of a method are as good as the goal of their seed, by seed."""
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
    """How much compute a method needs, as a multiple of what the goal's own method needs."""
    own = reached(goal, curves)
    if not own:
        return common.NONE
    there = {seed: found for seed, found in own.items() if found}
    if len(there) < len(own):
        spent = text.quantity(float(np.mean([curves[seed]["flops"].iloc[-1] for seed in own])), "FLOP")
        some = [f"by {len(own) - len(there)} of {len(own)} seeds"] if there else []
        return Cell(NOT_REACHED, lines=[*some, f"with {spent}"])
    bound = "≤ " if any(found.bound for found in there.values()) else ""
    lines = [bound + costs(there, curves)]
    if method == goal.method:
        return Cell("1×", 1.0, lines, tone="reference")
    base = {seed: found for seed, found in reached(goal, goal.own).items() if found}
    ratios = [r for seed, found in there.items() if (r := ratio(found, base[seed]))]
    known = over_ratios(ratios) if len(ratios) == len(there) else None
    if known is None:
        return Cell("no ratio", lines=lines)
    mean, summary = known
    if summary.low is not None and summary.high is not None:
        lines.insert(0, f"[{times(summary.low)}, {times(summary.high)}]")
    return Cell(f"{mean.bound} {times(mean.compute)}×".strip(), mean.compute, lines)


def times(value: float) -> str:
    """A ratio with two decimals, or two digits where these would be few."""
    return text.number(value, 2) if value >= 0.1 else f"{value:.2g}"


def seen(images: float) -> str:
    """A number of images."""
    return f"{text.quantity(images)} images"


def costs(there: Mapping[int, Reach], curves: Mapping[int, pd.DataFrame]) -> str:
    """FLOP, images and seconds, means over seeds; the latter two grow with FLOP between the points of a curve."""
    flops = float(np.mean([found.compute for found in there.values()]))
    words = [text.quantity(flops, "FLOP")]
    for name, form in (("images", seen), ("seconds", text.duration)):
        at = [
            np.interp(found.compute, [0.0, *curves[seed]["flops"]], [0.0, *curves[seed][name]])
            for seed, found in there.items()
        ]
        if np.isfinite(at).all():
            words.append(form(float(np.mean(at))))
    return " · ".join(words)


def reach_table(
    results: ExperimentResults, frame: pd.DataFrame, goals: Sequence[Goal], name: str, caption: str
) -> Table:
    """A row per trained method, a column per question; the last row says what is to be reached."""
    header = [f"{goal.line.question}: {direction(goal.line.board)}" for goal in goals]
    rows = []
    for method in method_order(results):
        cells = [reach_cell(goal, method, by_seed(frame, goal.line, method)) for goal in goals]
        if any(cell is not common.NONE for cell in cells):
            rows.append([common.method_cell(results, method), *cells])
    targets = []
    for goal in goals:
        mean = float(np.mean(list(goal.values.values())))
        shown = text.number(mean, describe(goal.line.board.metric).decimals)
        targets.append(Cell(shown, mean, [f"finished {results.titles[goal.method]}"], tone="reference"))
    rows.append([Cell("Target"), *targets])
    return Table(name, caption, ["Method", *header], rows, [REACH_NOTE, COSINE_NOTE])


def draw_curves(
    frame: pd.DataFrame, lines: Sequence[Headline], goals: Sequence[Goal], results: ExperimentResults, mode: Mode
) -> Figure:
    """A small panel per question, methods named below."""
    order = method_order(results)
    shown = [method for method in order if method in set(frame["method"])]
    columns = min(3, len(lines))
    rows, styles = -(-len(lines) // columns), method_styles(order, mode)
    figure = Figure(figsize=(3.6 * columns + 0.4, 2.7 * rows + 0.6 + 0.2 * (len(shown) // 3)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    targets = {(goal.line.board.metric, goal.line.case): np.mean(list(goal.values.values())) for goal in goals}
    for axes, line in zip(grid.flat, lines, strict=False):
        draw_panel(axes, of_line(frame, line), shown, styles, mode)
        if (target := targets.get((line.board.metric, line.case))) is not None:
            axes.axhline(float(target), color=paper(mode)["soft"], linewidth=1, linestyle=":")
        label = describe(line.board.metric).label.partition("[")[0]
        better = "higher" if line.board.higher_is_better else "lower"
        axes.set_title(f"{line.question}\n{label}, {better} is better", fontsize=9.5)
    for axes in list(grid.flat)[len(lines) :]:
        axes.remove()
    for axes in grid.flat[len(lines) - min(columns, len(lines)) : len(lines)]:
        axes.set_xlabel("training compute, FLOP")
    handles = [
        Line2D([], [], color=s.colour, marker=s.marker, linestyle=s.dash, linewidth=s.width, label=results.titles[m])
        for m, s in ((method, styles[method]) for method in shown)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def draw_panel(
    axes: Axes, panel: pd.DataFrame, methods: Sequence[str], styles: Mapping[str, Style], mode: Mode
) -> None:
    """One question: means over seeds as lines, every seed as a point."""
    for method in reversed([method for method in methods if method in set(panel["method"])]):
        own, style = panel[panel["method"] == method], styles[method]
        mean = own.groupby("share")[["flops", "value"]].mean()
        look: dict[str, Any] = {"color": style.colour, "zorder": 4 if method == STUDIED else 3}
        axes.plot(mean["flops"], mean["value"], linewidth=style.width, linestyle=style.dash, **look)
        edge = paper(mode)["paper"]
        axes.scatter(own["flops"], own["value"], marker=style.marker, s=24, linewidth=0.5, edgecolor=edge, **look)
        for point in own.to_dict("records"):
            number = text.number(point["value"], describe(str(point["metric"])).decimals)
            words = (
                f"{number} after {text.quantity(point['flops'], 'FLOP')} ({text.percent(point['share'])} of training)"
            )
            tell(axes, point["flops"], point["value"], f"{point['title']}, seed {point['seed']}: {words}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text.quantity(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if panel["value"].min() > 0 and panel["value"].max() / panel["value"].min() > charts.LOG_FROM:
        charts.log_y(axes)
