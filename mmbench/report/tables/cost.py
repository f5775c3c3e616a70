"""The kind and the cost of each method, and whether the comparison is fair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmbench.config.methods import STUDIED, STUDIED_TITLE
from mmbench.report import text
from mmbench.report.tables.cells import method_cell, seeds_cell
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.report.text import DASH
from mmbench.runs.results import ExperimentResults
from mmbench.runs.run import Run

#: How far a method's number of parameters may be from the studied method's.
SIZE_TOLERANCE = 0.05
COST_NOTE = "Where the seeds differ: mean ± sample standard deviation, and on demand each seed."


def cost_table(results: ExperimentResults) -> Table:
    """The table of the kind and the cost of each method."""
    header = [
        "Method", "Kind", "Tasks", "Parameters", "Images seen", "Training FLOP", "NFE", "Training", "Prediction",
        "Peak memory", "Device",
    ]  # fmt: skip
    tasks = {case["name"]: case["task"] for case in results.cases}
    rows = []
    for method in results.methods:
        runs = results.runs_of(method)
        nfe = nfe_by_task(runs, tasks)
        rows.append(
            [
                method_cell(results, method),
                Cell(kind_of(runs, nfe)),
                Cell(text.listing(done(results, method, tasks))),
                size_cell(results, method),
                _cost_cell(runs, "images_seen", text.quantity),
                _cost_cell(runs, "training_flops", text.quantity),
                nfe_cell(nfe),
                _cost_cell(runs, "train_seconds", text.duration),
                _cost_cell(runs, "predict_seconds", text.duration),
                _cost_cell(runs, "peak_memory_bytes", text.storage),
                Cell(text.listing(sorted({str(run.cost.get("device") or DASH) for run in runs}))),
            ]
        )
    caption = "The kind and the cost of each method. NFE: network evaluations per item; prediction: time for all cases."
    notes = [COST_NOTE] if len(results.seeds) > 1 else []
    notes += [f"{DASH}: not recorded, or not applicable (no training run here, no network).", *fairness_notes(results)]
    return Table(f"{results.name}-cost", caption, header, rows, notes, frozenset({1, 2, 10}))


def size_of(results: ExperimentResults, method: str) -> float | None:
    """A method's number of trained parameters as a multiple of the studied method's; None where either has none."""
    studied, other = (
        [float(n) for run in results.runs_of(name) if (n := run.cost.get("parameters"))] for name in (STUDIED, method)
    )
    return (sum(other) / len(other)) / (sum(studied) / len(studied)) if studied and other else None


def size_cell(results: ExperimentResults, method: str) -> Cell:
    """The number of parameters, and below it the multiple of the studied method's number."""
    cell, size = _cost_cell(results.runs_of(method), "parameters", text.quantity), size_of(results, method)
    if size is None or method == STUDIED or cell is NONE:
        return cell
    return replace(cell, lines=[f"{size:.2f}×"], tone="" if abs(size - 1) <= SIZE_TOLERANCE else "worse")


def fairness_notes(results: ExperimentResults) -> list[str]:
    """Whether the trained methods have the studied method's number of parameters, and what was tuned."""
    notes, sizes = [], {method: size_of(results, method) for method in results.titles if method != STUDIED}
    known = {results.titles[method]: size for method, size in sizes.items() if size is not None}
    if known:
        off = [f"{title} ({size:.2f}×)" for title, size in known.items() if abs(size - 1) > SIZE_TOLERANCE]
        within = f"within {100 * SIZE_TOLERANCE:.0f} % of {STUDIED_TITLE}'s number of parameters"
        notes.append(f"Not {within}: {text.listing(off)}." if off else f"All trained methods are {within}.")
    for method, title in results.titles.items():
        tuned = [run.prediction.get("tuned") or {} for run in results.runs_of(method)]
        if any(tuned):
            names = {name: [record[name] for record in tuned if name in record] for name in tuned[0]}
            said = [f"{name} {', '.join(f'{v:g}' for v in values)}" for name, values in names.items()]
            notes.append(f"{title}, chosen on the validation split: {text.listing(said)} (one per seed).")
        notes += drawing_notes(title, results.runs_of(method))
    return notes


def drawing_notes(title: str, runs: Sequence[Run]) -> list[str]:
    """How a method samples each case, and how that was chosen, if its training run includes the choice."""
    cases: dict[str, list[str]] = {}
    for name, case in (runs[0].prediction.get("cases") or {}).items() if runs else ():
        if "drawing" in case:
            cases.setdefault(drawing_words(case["drawing"]), []).append(name)
    notes = [f"{title} generates {text.listing(names)} by {words}." for words, names in cases.items()]
    for choice in runs[0].tuning.get("drawings", []) if runs else ():
        chosen = [c["chosen"] for run in runs for c in run.tuning.get("drawings", []) if c["tasks"] == choice["tasks"]]
        said, by = text.listing(list(dict.fromkeys(map(drawing_words, chosen)))), choice["by"]
        notes.append(
            f"{title}, {text.listing(choice['tasks'])}: of {len(choice['tried'])} samplers and settings, each seed "
            f"chose by {by['metric']} on {by['n']} {by['split']} items: {said}."
        )
    return notes


def drawing_words(drawing: Mapping[str, Any]) -> str:
    """The sampling settings that a method uses, in words."""
    sampler = f"{drawing['sampler']} in " if "sampler" in drawing else ""
    guidance = "" if drawing.get("guidance") is None else f", guidance {drawing['guidance']:g}"
    commit = "" if drawing.get("commit") is None else f", committed after {drawing['commit']:.0%} of them"
    return f"{sampler}{drawing['nfe']} evaluations{guidance}{commit}"


def nfe_cell(nfe: Mapping[str, float]) -> Cell:
    """Network evaluations per item, by task where they differ."""
    if len(set(nfe.values())) == 1:
        count = next(iter(nfe.values()))
        return Cell(f"{count:g}", count) if count else NONE
    return Cell(
        ", ".join(f"{count:g} ({task})" for task, count in nfe.items()) or DASH, max(nfe.values(), default=None)
    )


def nfe_by_task(runs: Sequence[Run], tasks: Mapping[str, str]) -> dict[str, float]:
    """Network evaluations per item of each task that was recorded, the largest over its cases."""
    most: dict[str, float] = {}
    for run in runs:
        for case, count in (run.cost.get("nfe") or {}).items():
            if count is not None and case in tasks:
                most[tasks[case]] = max(most.get(tasks[case], 0.0), float(count))
    return most


def kind_of(runs: Sequence[Run], nfe: Mapping[str, float]) -> str:
    """How a method works, by its records: no network, one pass or a sampler; external if nothing is recorded."""
    if not nfe:
        return "no network" if runs[0].training or runs[0].prediction else "external"
    if max(nfe.values()) == 0:
        return "no network"
    return "one pass" if max(nfe.values()) <= 1 else "sampler"


def done(results: ExperimentResults, method: str, tasks: Mapping[str, str]) -> list[str]:
    """The tasks that a method was scored on, in the order of the cases."""
    cases = set(results.metrics.loc[results.metrics["method"] == method, "case"])
    return list(dict.fromkeys(task for case, task in tasks.items() if case in cases))


def _cost_cell(runs: Sequence[Run], key: str, form: Callable[[float], str]) -> Cell:
    """Mean ± sd and single seeds; only the value if all seeds have the same."""
    values = [float(value) for run in runs if (value := run.cost.get(key)) is not None]
    if not any(values):
        return NONE
    cell = seeds_cell(values, form)
    return Cell(form(values[0]), values[0]) if len(set(values)) == 1 else replace(cell, more=cell.more[1:])
