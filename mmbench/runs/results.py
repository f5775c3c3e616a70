"""Reads a folder of results: the scores of every method on every case. Everything is checked when it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.config.methods import is_studied
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays
from mmbench.runs.items import ITEM_COLUMNS, read_items
from mmbench.runs.records import TimedOut, checked, read_card, read_result
from mmbench.runs.run import Run, load_run, load_snapshots
from mmbench.runs.titles import with_titles


@dataclass(frozen=True)
class ExperimentResults:
    """All results of one experiment.

    Attributes:
        cases: the entries of cases.json.
        runs: the scored runs, sorted by method and seed.
        reference: the content of reference.json, empty if there is none.
        metrics: one row per method, seed, case and metric: method, title, seed, case, share, metric, value, n,
            higher_is_better, extractor, weights_sha256.
        items: one row per method, seed, case, item and metric: method, seed, case, item, metric, value.
        unscored: descriptions of the runs without metrics.json, see `unscored_run`.
        snapshots: the scores of snapshots of the training runs, sorted by method, seed and share.
    """

    name: str
    folder: Path
    cases: Sequence[Mapping[str, Any]]
    runs: Sequence[Run]
    reference: Mapping[str, Any]
    metrics: pd.DataFrame
    items: pd.DataFrame
    unscored: Sequence[str]
    snapshots: Sequence[Run] = ()

    @property
    def titles(self) -> dict[str, str]:
        """The title of each method, in the order of the methods' names."""
        return {run.method: run.title for run in self.runs}

    @property
    def methods(self) -> list[str]:
        """The method under study, its variants, then the baselines by name."""
        return sorted(self.titles, key=lambda method: (not is_studied(method), method))

    @property
    def studied(self) -> set[str]:
        """The method under study, its variants, and every method that answers with their weights: no baselines."""
        methods = {run.method for run in self.runs if is_studied(run.method)}
        weights = {run.weights_sha256 for run in self.runs if run.method in methods} - {None}
        return methods | {run.method for run in self.runs if run.weights_sha256 in weights}

    @property
    def seeds(self) -> list[int]:
        """Every training seed of any method."""
        return sorted({run.seed for run in self.runs})

    def runs_of(self, method: str) -> list[Run]:
        """The runs of one method, by seed."""
        return [run for run in self.runs if run.method == method]

    def real(self, *cases: str) -> dict[str, float]:
        """The values of the metrics on real data, by name.

        Args:
            cases: `floor` (other real items as a set) or `ceiling` (the judge's predictions); both unless given.
        """
        return {
            row["name"]: float(row["value"])
            for row in self.reference.get("metrics", [])
            if row["value"] is not None and (row["case"] in cases or not cases)
        }

    def cases_of(self, task: str, level: str = "") -> list[Mapping[str, Any]]:
        """The cases of a task, in order; UserError if one lacks the key `level`, a share by which they differ."""
        cases = [case for case in self.cases if case["task"] == task]
        for case in cases:
            if level and case.get(level) is None:
                path = self.folder / "cases.json"
                raise UserError(f"{path}: cases.{case['name']}.{level}: missing; run mmbench.stages.cases again")
        return cases

    def case_arrays(self, names: Collection[str]) -> Arrays:
        """The named arrays `<case>/<given or truth>/<modality>` of cases.npz; empty if the file was not kept."""
        path = self.folder / "cases.npz"
        return load_arrays(path, names) if path.is_file() else {}


@dataclass(frozen=True)
class Results:
    """The results of one profile: folder, data card and experiments."""

    folder: Path
    card: Mapping[str, Any]
    experiments: Sequence[ExperimentResults]

    @property
    def profile(self) -> str:
        """The name of the profile, which is that of the folder."""
        return self.folder.resolve().name


def load_results(
    folder: str | Path,
    *,
    experiments: Sequence[str] | None = None,
    methods: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    snapshots: Collection[float] | None = None,
) -> Results:
    """Read the results of a profile.

    Args:
        folder: results/<profile>.
        experiments: the experiments to read; None for every folder with a cases.json.
        methods: the methods to read; None for all.
        seeds: the seeds to read; None for all.
        snapshots: the shares of the training runs whose snapshots are read; None for all.

    Raises:
        UserError: a file is missing or broken, or nothing was scored.
    """
    folder = Path(folder)
    if experiments is None:
        experiments = sorted(path.parent.name for path in folder.glob("*/cases.json"))
    if not experiments:
        raise UserError(f"{folder}: holds no experiment (no */cases.json); run `snakemake --cores all` first")
    card = read_card(folder / "data")
    return Results(folder, card, [load_experiment(folder / name, methods, seeds, snapshots) for name in experiments])


def load_experiment(
    folder: Path,
    methods: Collection[str] | None,
    seeds: Collection[int] | None,
    snapshots: Collection[float] | None = None,
) -> ExperimentResults:
    """Read results/<profile>/<experiment>; see `load_results`."""
    cases = read_result(folder / "cases.json")["cases"]
    runs: dict[tuple[str, int], Run] = {}
    unscored = []
    for path in sorted(folder.glob("*/seed*/")):
        if methods is not None and path.parent.name not in methods:
            continue
        if not (path / "metrics.json").is_file():
            unscored.append(unscored_run(path))
            continue
        run = load_run(path)
        if seeds is not None and run.seed not in seeds:
            continue
        if same := runs.get((run.method, run.seed)):
            raise UserError(
                f"{path / 'metrics.json'}: has the same method and seed as {same.folder}; remove one of the two"
            )
        runs[run.method, run.seed] = run
    if not runs:
        raise UserError(f"{folder}: no */seed*/metrics.json to report; run `snakemake --cores all {folder.name}` first")
    ordered = with_titles([runs[key] for key in sorted(runs)])
    reference = folder / "reference.json"
    return ExperimentResults(
        name=folder.name,
        folder=folder,
        cases=cases,
        runs=ordered,
        reference=read_result(reference) if reference.is_file() else {},
        metrics=metrics_frame(ordered),
        items=items_frame(ordered),
        unscored=unscored,
        snapshots=[part for run in ordered for part in load_snapshots(run, snapshots)],
    )


def unscored_run(folder: Path) -> str:
    """The name of a run without metrics.json, and the time limit that one of its jobs exceeded, if that happened."""
    name, note = f"{folder.parent.name}/{folder.name}", folder / "timed_out.json"
    if not note.is_file():
        return name
    limit = checked(note, TimedOut, "delete it")
    return f"{name} (timed out: {limit['key']} is {limit['minutes']:g} minutes)"


def metrics_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """A frame with one row per run, case and metric whose value is known."""
    keys = ("case", "share", "name", "value", "n", "higher_is_better", "extractor", "weights_sha256")
    rows = [
        {"method": run.method, "title": run.title, "seed": run.seed, **{key: row.get(key) for key in keys}}
        for run in runs
        for row in run.scores["metrics"]
        if row["value"] is not None
    ]
    if not rows:
        raise UserError(f"{runs[0].folder / 'metrics.json'}: holds no metric with a value; evaluate the method again")
    return pd.DataFrame(rows).rename(columns={"name": "metric"}).astype({"value": float, "share": float})


def items_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """A frame of the values of single items of every run; a run without items.csv has none."""
    frames = [
        read_items(path).assign(method=run.method, seed=run.seed)
        for run in runs
        if (path := run.folder / "items.csv").is_file()
    ]
    if not frames:
        return pd.DataFrame(columns=[*ITEM_COLUMNS, "method", "seed"])
    return pd.concat(frames, ignore_index=True)
