"""Whether the tasks agree on the updates of the shared network: cosines of the loss terms' gradients over training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.draw.axes import End, name_ends
from mmbench.report.draw.figures import Drawing
from mmbench.report.draw.hover import tell_curve
from mmbench.report.draw.theme import Mode, method_styles, paper
from mmbench.report.parts.section import Context
from mmbench.report.tables.cells import seeds_cell
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL

COLUMNS = ["seed", "step", "pair", "cosine"]
#: Window of the running mean, as a share of all points.
WINDOW = 0.1


def gradient_frame(results: ExperimentResults) -> pd.DataFrame:
    """One row per seed, step and pair of loss terms of the method under study; no rows if nothing was recorded."""
    rows = [
        (run.seed, point["step"], pair_name(pair), value)
        for run in results.runs_of(STUDIED)
        for point in run.training.get("gradient_cosines") or []
        for pair, value in point["pairs"].items()
        if value is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def pair_name(pair: str) -> str:
    """`generate,recover_mask` as `generation · mask`."""
    words = [term.removeprefix("recover_").replace("_", " ") for term in pair.split(",")]
    return " · ".join("generation" if word == "generate" else word for word in words)


def gradients(context: Context) -> tuple[Drawing, Table] | None:
    """Figure and table; None if no cosines were recorded."""
    frame, name = gradient_frame(context.experiment), context.experiment.name
    if frame.empty:
        return None
    context.frame(f"{name}-gradients", frame)
    title = context.experiment.titles[STUDIED]
    drawing = context.draw(
        f"{name}-gradients",
        f"Cosine between the gradients of {title}'s loss terms in the shared network during training: the mean over "
        "seeds (faint) and its running mean (strong). Below 0, a step that lowers one loss raises the other.",
        f"Line chart of the cosine between gradients of each pair of {title}'s loss terms over training steps.",
        partial(draw_gradients, frame),
    )
    return drawing, context.table(gradient_table(frame, name))


def gradient_table(frame: pd.DataFrame, name: str) -> Table:
    """A row per pair: mean over training, share of negative values, means of the first and last tenth."""
    rows = []
    steps = frame["step"].max()
    for pair, points in _ordered(frame):
        early, late = points[points["step"] <= 0.1 * steps], points[points["step"] > 0.9 * steps]
        below = points.assign(cosine=(points["cosine"] < 0).astype(float))
        rows.append([Cell(pair), _cosine(points), _by_seed(below, _per_cent), _cosine(early), _cosine(late)])
    caption = "Cosine between the gradients of two loss terms in the shared network, the most opposed pair first."
    header = ["Loss terms", "Mean", "Below 0", "First tenth", "Last tenth"]
    notes = [
        "The value of a seed is the mean over its recorded steps. If there are several seeds, ± is the sample standard "
        f"deviation over seeds, and below it are the {100 * LEVEL:.0f} % t-interval and each seed. Below 0: the share "
        "of the steps at which the two gradients oppose each other."
    ]
    return Table(f"{name}-gradients", caption, header, rows, notes)


def _cosine(points: pd.DataFrame) -> Cell:
    return _by_seed(points, partial(text.signed, decimals=3))


def _by_seed(points: pd.DataFrame, form: Callable[[float], str]) -> Cell:
    """The mean of each seed's points as a cell; a dash without any."""
    means = [float(value) for value in points.groupby("seed")["cosine"].mean()]
    return seeds_cell(means, form) if means else NONE


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", text.MINUS)


def _ordered(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Pairs with their rows, the lowest mean cosine first."""
    groups = [(str(pair), points) for pair, points in frame.groupby("pair", sort=False)]
    return sorted(groups, key=lambda group: group[1]["cosine"].mean())


def draw_gradients(frame: pd.DataFrame, mode: Mode) -> Figure:
    """A line per pair, labelled at its end."""
    figure = Figure(figsize=(8.2, 4.4), layout="constrained")
    axes, ordered, ends = figure.add_subplot(), _ordered(frame), []
    styles = method_styles(sorted(pair for pair, _ in ordered), mode)
    for pair, points in ordered:
        mean = points.groupby("step")["cosine"].mean()
        smooth = mean.rolling(max(1, round(WINDOW * len(mean))), min_periods=1).mean()
        style = styles[pair]
        axes.plot(mean.index, mean, color=style.colour, linewidth=0.7, alpha=0.25)
        axes.plot(smooth.index, smooth, color=style.colour, linewidth=1.7, linestyle=style.dash)
        ends.append(End(pair, float(smooth.iloc[-1]), style.colour))
        places = zip(mean.index, smooth, strict=True)
        tell_curve(axes, [(x, y, f"{pair}: {text.signed(y, 3)} at step {x:,}") for x, y in places])
    axes.axhline(0, color=paper(mode)["ink"], linewidth=1)
    axes.set(xlabel="training step", ylabel="")
    axes.set_title("Cosine between gradients of two loss terms")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text.quantity(value)))
    axes.margins(x=0.01)
    axes.set_ylim(axes.get_ylim())
    name_ends(axes, ends, 1.005, 1.04, 8.5)
    return figure


def gradient_findings(frame: pd.DataFrame) -> list[str]:
    """How many pairs oppose each other on average, and which most and least."""
    if frame.empty:
        return []
    ordered: Sequence[tuple[str, float]] = [(pair, points["cosine"].mean()) for pair, points in _ordered(frame)]
    opposed = sum(mean < 0 for _, mean in ordered)
    first, last = (f"{pair} ({text.signed(mean, 3)})" for pair, mean in (ordered[0], ordered[-1]))
    between = f"lowest {first}, highest {last}" if len(ordered) > 1 else first
    return [
        f"Gradients of {opposed} of {len(ordered)} pairs of loss terms oppose each other on average over training "
        f"(cosine below 0): {between}."
    ]
