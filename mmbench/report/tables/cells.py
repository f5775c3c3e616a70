"""Cells that hold numbers of several training seeds, and the notes that explain them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mmbench.config.methods import STUDIED
from mmbench.report import text
from mmbench.report.tables.table import NONE, Cell
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.names import extractor_of, short_label
from mmbench.scoring.statistics import LEVEL, over_seeds

#: At most this many seeds are listed one by one; more are in the CSV.
SEEDS_SHOWN = 5


def seeds_note(results: ExperimentResults) -> str:
    """The meaning of the ± and of the marks, or why there is no ±."""
    return f"{spread_note(results)} The best value is bold, the second best underlined."


def spread_note(results: ExperimentResults) -> str:
    """The meaning of the ±, or why there is none."""
    if len(results.seeds) == 1:
        return f"One training seed ({results.seeds[0]}): no standard deviation and no interval over training runs."
    return (
        f"Mean ± sample standard deviation over training seeds ({text.listing([str(s) for s in results.seeds])}); "
        f"on demand, the {100 * LEVEL:.0f} % t-interval of the mean (for a share, of its logit, so that it stays "
        "within 0 and 1) and each seed."
    )


def network_notes(metrics: Iterable[str]) -> list[str]:
    """The networks of the metrics that need one; each network is named once."""
    measured: dict[str, list[str]] = {}
    for metric in metrics:
        if network := extractor_of(metric):
            measured.setdefault(network, []).append(short_label(metric))
    return [
        f"Measured with {network}: {text.listing(list(dict.fromkeys(names)))}." for network, names in measured.items()
    ]


def method_cell(results: ExperimentResults, method: str) -> Cell:
    """The name of a row, which links to the page's notes on the method; the method under study is emphasised."""
    tone = "studied" if method == STUDIED else ""
    return Cell(results.titles[method], tone=tone, link=f"#{method_anchor(results.name, method)}")


def method_anchor(experiment: str, method: str) -> str:
    """The anchor of the page's notes on a method."""
    return f"{experiment}-method-{text.slug(method)}"


def number_cell(value: float | None, decimals: int) -> Cell:
    """A number that does not depend on seeds, such as a metric's value on real data; a dash where there is none."""
    return NONE if value is None else Cell(text.number(value, decimals), value)


def seeds_cell(
    values: Sequence[float], form: Callable[[float], str], bounds: tuple[float, float] | None = None
) -> Cell:
    """A number of each training seed in the form of every table: mean ± sd; on demand, t-interval and single seeds.

    Args:
        values: one value per training seed.
        bounds: the bounds of the number, as `over_seeds` takes them.
    """
    summary = over_seeds(values, bounds=bounds)
    if summary.sd is None or summary.interval is None:
        return Cell(form(summary.mean), summary.mean)
    more = [text.brackets(summary.interval, form), single_seeds(values, form)]
    return Cell(f"{form(summary.mean)} ± {form(summary.sd)}", summary.mean, more=more)


def single_seeds(values: Sequence[float], form: Callable[[float], str]) -> str:
    """The numbers of the seeds one by one; for many seeds, their count and range."""
    if len(values) > SEEDS_SHOWN:
        return f"{len(values)} seeds, {form(min(values))} to {form(max(values))}"
    return " · ".join(map(form, values))
