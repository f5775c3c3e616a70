"""Delta-m: the average change from learning several tasks in one network, against a single-task twin of each.

Delta-m = mean over tasks of `(-1)^l (M_multi - M_single) / M_single`, with l = 1 where lower is better: above 0 the
multitask model is better (Maninis et al. 2019, arXiv 1904.08918; Vandenhende et al. 2021, arXiv 2004.13379). Each task
has one metric, that of its first headline, and one twin, the best if there are several; the cases of a task, such as
masked shares, are averaged first. The mean is taken seed by seed; the interval is Student's t over training seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmbench.config.methods import STUDIED, method_of
from mmbench.report import text
from mmbench.report.parts.section import Context, Section
from mmbench.report.tables.board import Board, Entry
from mmbench.report.tables.cells import single_seeds
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import ExperimentResults
from mmbench.scoring.statistics import LEVEL, SeedSummary, over_seeds

DELTA = "Δm"
#: The compute of a twin's training run, by the ending of its name.
COMPUTES = {"": "C", "@per_task": "C/K"}
NOTE = (
    f"{DELTA}: mean over tasks of the relative change of the task's metric against a model of that task alone, with "
    "the sign chosen so that above 0 the multitask model is better (Maninis et al. 2019; Vandenhende et al. 2021). In "
    f"brackets: the {100 * LEVEL:.0f} % t-interval over training seeds of the mean taken seed by seed. C: the "
    "single-task model is trained for as many steps; C/K: for one task's share of them."
)


@dataclass(frozen=True)
class TaskChange:
    """Relative change in one task, by seed, above 0 where the multitask model is better.

    Attributes:
        question: the name of the task in the overview.
        board: the board of its metric.
        twin: the single-task model.
        values: the mean over the task's cases, by shared training seed.
    """

    question: str
    board: Board
    twin: str
    values: Mapping[int, float]


def change_by_seed(studied: Entry, other: Entry, higher_is_better: bool) -> dict[int, float]:
    """For each shared seed, the difference divided by the other's mean over these seeds; empty if that mean is 0."""
    shared = sorted(set(studied.values) & set(other.values))
    base = abs(float(np.mean([other.values[seed] for seed in shared]))) if shared else 0.0
    sign = 1 if higher_is_better else -1
    return {seed: sign * (studied.values[seed] - other.values[seed]) / base for seed in shared} if base else {}


def task_changes(results: ExperimentResults, section: Section, ending: str) -> list[TaskChange]:
    """The tasks with a twin whose name has this ending, see `COMPUTES`."""
    tasks = {case["name"]: str(case["task"]) for case in results.cases}
    groups: dict[tuple[str, str], list[TaskChange]] = {}
    for line in section.headlines:
        entries = {method: entry for (method, case), entry in line.board.entries.items() if case == line.case}
        twins = [twin for single in section.singles if (twin := f"{single}{ending}") in entries]
        if STUDIED not in entries or not twins:
            continue
        twin = min(twins, key=lambda method: entries[method].rank)
        values = change_by_seed(entries[STUDIED], entries[twin], line.board.higher_is_better)
        group = groups.setdefault((tasks[line.case], twin), [])
        if values and all(change.board.metric == line.board.metric for change in group):
            group.append(TaskChange(line.question, line.board, twin, values))
    return [merged(group) for group in groups.values() if group]


def merged(changes: Sequence[TaskChange]) -> TaskChange:
    """The changes in the cases of one task, averaged to one."""
    first = changes[0]
    question = first.question if len(changes) == 1 else f"{first.question.partition(',')[0]}, {len(changes)} cases"
    return TaskChange(question, first.board, first.twin, mean_by_seed([change.values for change in changes]))


def mean_by_seed(values: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The mean over tasks for each seed that all of them have."""
    shared = sorted(set.intersection(*map(set, values))) if values else []
    return {seed: float(np.mean([by_seed[seed] for by_seed in values])) for seed in shared}


def delta_m(values: Sequence[Mapping[int, float]]) -> SeedSummary | None:
    """Delta-m over tasks with these relative changes by seed; None without a seed that all tasks have."""
    means = mean_by_seed(values)
    return over_seeds(list(means.values())) if means else None


def per_cent(share: float) -> str:
    """0.053 as `+5.3 %`, with a space that does not break."""
    return f"{100 * share:+.1f}\u00a0%".replace("-", text.MINUS)


def delta_cell(values: Sequence[Mapping[int, float]]) -> Cell:
    """Delta-m in per cent, its interval, the number of tasks and the single seeds."""
    if (summary := delta_m(values)) is None:
        return NONE
    lines = [f"{len(values)} task{'s' * (len(values) > 1)}"] if len(values) > 1 else []
    if summary.interval is None:
        return Cell(per_cent(summary.mean), 100 * summary.mean, [*lines, "one seed"])
    low, high = summary.interval
    tone = "better" if low > 0 else "worse" if high < 0 else ""
    lines.append(text.brackets(summary.interval, per_cent))
    more, ends = [single_seeds(list(mean_by_seed(values).values()), per_cent)], (100 * low, 100 * high)
    return Cell(per_cent(summary.mean), 100 * summary.mean, lines, tone=tone, ends=ends, more=more)


def delta_table(context: Context, section: Section) -> Table | None:
    """A row per task and one for their mean, a column for each compute of the twins; None without a twin."""
    results = context.experiment
    changes = {name: task_changes(results, section, ending) for ending, name in COMPUTES.items()}
    if not any(changes.values()):
        return None
    shown = [name for name, of_tasks in changes.items() if of_tasks]
    by_task = {name: {change.question: change for change in of_tasks} for name, of_tasks in changes.items()}
    rows = []
    for question, change in {q: c for name in shown for q, c in by_task[name].items()}.items():
        single = results.titles.get(method_of(change.twin), results.titles[change.twin])
        cells = [delta_cell([c.values]) if (c := by_task[name].get(question)) else NONE for name in shown]
        rows.append([Cell(question), Cell(change.board.column), Cell(single), *cells])
    means = [delta_cell([change.values for change in changes[name]]) for name in shown]
    rows.append([Cell(DELTA, tone="studied"), NONE, NONE, *means])
    header = ["Task", "Metric", "Single-task model", *(f"Change, {name}" for name in shown)]
    caption = "What learning the tasks together changes against a model of each alone; above 0, together is better."
    return context.table(Table(f"{results.name}-delta-m", caption, header, rows, [NOTE], frozenset({1, 2})))
