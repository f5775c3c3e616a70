"""Cells that hold numbers of several training seeds, and the notes that say how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.tables.table import NONE, Cell
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL, over_seeds

#: At most this many seeds are listed one by one; more are in the CSV.
SEEDS_SHOWN = 5


def seeds_note(results: ExperimentResults) -> str:
    """What the ± and the marks mean, or why there is no ±."""
    return f"{spread_note(results)} Best in bold, second best underlined."


def spread_note(results: ExperimentResults, *, each: bool = True) -> str:
    """What the ± means, or why there is none; `each`: that the seeds stand below one by one."""
    if len(results.seeds) == 1:
        return f"One training seed ({results.seeds[0]}): no standard deviation and no interval over trainings."
    return (
        f"Mean ± sample standard deviation over training seeds ({text.listing([str(s) for s in results.seeds])}), "
        f"{100 * LEVEL:.0f} % t-interval of the mean in brackets (of a share by its logit, so that it stays within 0 "
        f"and 1){', each seed below' if each else ''}."
    )


def method_cell(results: ExperimentResults, method: str) -> Cell:
    """The name of a row; that of the method under study stands out."""
    return Cell(results.titles[method], tone="studied" if method == STUDIED else "")


def number_cell(value: float | None, decimals: int) -> Cell:
    """A number that no seed has a say in, such as what a metric says of real data; a dash where there is none."""
    return NONE if value is None else Cell(text.number(value, decimals), value)


def seeds_cell(
    values: Sequence[float], form: Callable[[float], str], bounds: tuple[float, float] | None = None
) -> Cell:
    """A number of each training seed as every table shows it: mean ± sd, t-interval and single seeds below.

    Args:
        values: one per training seed.
        form: how a number is shown.
        bounds: between which it must lie, as `over_seeds` takes them.
    """
    summary = over_seeds(values, bounds=bounds)
    if summary.sd is None or summary.interval is None:
        return Cell(form(summary.mean), summary.mean)
    low, high = summary.interval
    lines = [f"[{form(low)}, {form(high)}]", single_seeds(values, form)]
    return Cell(f"{form(summary.mean)} ± {form(summary.sd)}", summary.mean, lines, ends=summary.interval)


def single_seeds(values: Sequence[float], form: Callable[[float], str]) -> str:
    """The numbers of the seeds one by one; of many, how many and between which."""
    if len(values) > SEEDS_SHOWN:
        return f"{len(values)} seeds, {form(min(values))} to {form(max(values))}"
    return " · ".join(map(form, values))
