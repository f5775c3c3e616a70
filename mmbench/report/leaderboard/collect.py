"""The rows of the leaderboard: every method's score on every question of several runs, with its cost."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbench.config.discovery import find_methods
from mmbench.config.methods import STUDIED, method_of
from mmbench.config.schema import Experiment
from mmbench.report.commands import of_experiment
from mmbench.report.parts.multitask import COMPUTES, delta_m, task_changes
from mmbench.report.parts.section import Headline, NumbersOnly, Section, load_section
from mmbench.runs.manifest import NAME, read_manifest
from mmbench.runs.manifest_schema import Configured, Manifest
from mmbench.runs.results import ExperimentResults, Results, load_results

#: Columns of the tidy file, a row for each method and question of a run.
COLUMNS = [
    "run", "experiment", "data", "kinds", "question", "task", "case", "metric", "higher_is_better", "method", "title",
    "role", "seeds", "mean", "sd", "t_low", "t_high", "rank", "ranked", "training_flops", "images_seen", "parameters",
    "pareto", "page", "file", "scores", "settings", "command",
]  # fmt: skip
DELTAS = ["run", "experiment", "data", "against", "tasks", "seeds", "delta_m", "t_low", "t_high", "page"]


@dataclass(frozen=True)
class Source:
    """One experiment of a run, with its entries on the page and in the manifest.

    Attributes:
        section: its numbers as on its page.
        data: title of the data set and size of its images.
        page: link to its part of the run's page, relative to the leaderboard.
        folder: the folder that links start from.
        files: the files of its methods, by name, below the checkout.
    """

    results: ExperimentResults
    section: Section
    data: str
    page: str
    manifest: Manifest
    folder: Path
    files: dict[str, Path]

    def link(self, path: Path) -> str:
        """The path of a file relative to the leaderboard."""
        return Path(os.path.relpath(path.resolve(), self.folder.resolve())).as_posix()

    def settings(self, method: str) -> str:
        """The configuration of a method, as JSON; empty if it is not recorded."""
        configured = self.manifest.configuration
        if not isinstance(configured, Configured):
            return ""
        experiment = Experiment.model_construct(**configured.values["experiments"].get(self.results.name, {}))
        return json.dumps(experiment.settings(method), sort_keys=True)


def read_sources(runs: Sequence[Path], out: Path, root: Path) -> list[Source]:
    """Every experiment of the runs; UserError if a folder is not a finished run."""
    sources = []
    for run in runs:
        manifest, results = read_manifest(run / NAME), load_results(run)
        sources += [read_source(results, experiment, manifest, out, root) for experiment in results.experiments]
    return sources


def read_source(results: Results, experiment: ExperimentResults, manifest: Manifest, out: Path, root: Path) -> Source:
    """One experiment of a run."""
    section = load_section(experiment.name).build(NumbersOnly(results, experiment, out))
    size = results.card.get("size")
    data = str(results.card.get("title") or results.card.get("name", "unknown data"))
    page = Path(os.path.relpath((results.folder / "index.html").resolve(), out.resolve())).as_posix()
    files = {name: root / file.path for name, file in find_methods(root, [experiment.name])[experiment.name].items()}
    shown = f"{data}, {size[0]} × {size[1]}" if size else data
    return Source(experiment, section, shown, f"{page}#{experiment.name}", manifest, out, files)


def board_frame(sources: Sequence[Source]) -> pd.DataFrame:
    """Tidy: a row for each method and question of a run."""
    rows = [row for source in sources for line in source.section.headlines for row in line_rows(source, line)]
    return pd.DataFrame(rows, columns=COLUMNS)


def line_rows(source: Source, line: Headline) -> list[dict[str, Any]]:
    """The rows of one question. The multitask model and the baselines that were trained as long are ranked.

    Variants and methods that answer with the multitask model's weights are not.
    """
    results, board = source.results, line.board
    case = next(case for case in results.cases if case["name"] == line.case)
    entries = {m: entry for m in results.methods if (entry := board.entries.get((m, line.case)))}
    ranked = [m for m in entries if m == STUDIED or (m not in results.studied and "@" not in m)]
    sign = -1 if board.higher_is_better else 1
    ranks = pd.Series({m: sign * entries[m].summary.mean for m in ranked}, dtype=float).rank()
    rows = []
    for method, entry in entries.items():
        runs, summary = results.runs_of(method), entry.summary
        file = source.files.get(method_of(method))
        rows.append(
            {
                "run": source.manifest.profile, "experiment": results.name, "data": source.data,
                "kinds": " ".join(dict.fromkeys([*case["given"], *case["want"]])), "question": line.question,
                "task": case["task"], "case": line.case, "metric": board.metric,
                "higher_is_better": board.higher_is_better, "method": method, "title": results.titles[method],
                "role": role(source, method), "seeds": summary.count, "mean": summary.mean, "sd": summary.sd,
                "t_low": summary.low, "t_high": summary.high, "rank": ranks.get(method), "ranked": method in ranked,
                **{key: mean_cost(source, method, key) for key in ("training_flops", "images_seen", "parameters")},
                "pareto": False, "page": source.page, "file": source.link(file) if file else "",
                "scores": source.link(runs[0].folder / "metrics.json"), "settings": source.settings(method),
                "command": of_experiment(source.manifest.command or "", source.manifest.profile, results.name),
            }
        )  # fmt: skip
    mark_pareto(rows, sign)
    return rows


def role(source: Source, method: str) -> str:
    """The role of a method in the comparison."""
    if method == STUDIED:
        return "multitask model"
    if method in source.results.studied:
        return "its variant"
    if method not in source.files and "@" not in method:
        return "predictions handed in"
    return "baseline's variant" if "@" in method else "baseline"


def mean_cost(source: Source, method: str, key: str) -> float | None:
    """Mean cost of a training run over seeds; None if it is not known."""
    known = [float(value) for run in source.results.runs_of(method) if (value := run.cost.get(key)) is not None]
    return float(np.mean(known)) if known else None


def mark_pareto(rows: Sequence[dict[str, Any]], sign: int) -> None:
    """Mark the rows that no other row of the question beats in quality with no more training compute."""
    known = [row for row in rows if row["training_flops"] is not None]
    for row in known:
        mine = row["training_flops"], sign * row["mean"]
        others = [(other["training_flops"], sign * other["mean"]) for other in known if other is not row]
        row["pareto"] = not any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in others)


def delta_frame(sources: Sequence[Source]) -> pd.DataFrame:
    """Tidy: Delta-m of each experiment of a run, at C and at C/K."""
    rows = []
    for source in sources:
        for ending, against in COMPUTES.items():
            changes = task_changes(source.results, source.section, ending)
            if summary := delta_m([change.values for change in changes]):
                rows.append(
                    {
                        "run": source.manifest.profile, "experiment": source.results.name, "data": source.data,
                        "against": against, "tasks": len(changes), "seeds": summary.count, "delta_m": summary.mean,
                        "t_low": summary.low, "t_high": summary.high, "page": source.page,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows, columns=DELTAS)
