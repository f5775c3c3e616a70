"""Read a tree of results: what was scored, by whom, on which questions. Checked, so that the rest can trust it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbench.config.methods import is_studied
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays, read_record
from mmbench.report.read.check import ITEM_COLUMNS, read_cases, read_items, read_scores


@dataclass(frozen=True)
class Run:
    """One method, trained and scored with one seed.

    Attributes:
        method: its name, `file` or `file@variant`.
        title: for a reader.
        seed: of the training.
        folder: where its files are.
        scores: content of metrics.json.
        training: content of training.json, empty for a method that was trained elsewhere or not at all.
        prediction: content of predictions.json, empty if an external method gave none.
        tuning: content of tuned.json, empty if nothing was chosen on the validation split.
        share: of the training that was done when its weights were taken; 1 for the whole.
    """

    method: str
    title: str
    seed: int
    folder: Path
    scores: Mapping[str, Any]
    training: Mapping[str, Any]
    prediction: Mapping[str, Any]
    tuning: Mapping[str, Any]
    share: float = 1.0

    @property
    def cost(self) -> Mapping[str, Any]:
        """What training and prediction took; missing values are None or absent."""
        cost: Mapping[str, Any] = self.scores.get("cost") or {}
        return cost

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the weights that it answered with; None where they are not known."""
        inputs: Mapping[str, str] = (self.prediction.get("provenance") or {}).get("inputs_sha256") or {}
        return inputs.get("weights")

    def arrays(self, names: Collection[str]) -> Arrays:
        """Those arrays called `names` that predictions.npz has; none of them if the file was not kept."""
        path = self.folder / "predictions.npz"
        return load_arrays(path, names) if path.is_file() else {}

    def trajectory(self, case: str) -> tuple[np.ndarray, np.ndarray] | None:
        """How a case's first image came about, (frames, 3, h, w) and the step of each (frames,); None if not kept."""
        path, names = self.folder / "trajectory.npz", (f"{case}/image", f"{case}/step")
        found = load_arrays(path, names) if path.is_file() else {}
        return (found[names[0]], found[names[1]]) if len(found) == 2 else None


@dataclass(frozen=True)
class ExperimentResults:
    """Everything there is about one experiment.

    Attributes:
        name: of the experiment.
        folder: of its results.
        cases: entries of cases.json.
        runs: sorted by method and seed.
        reference: content of reference.json, empty if there is none.
        metrics: one row per method, seed, case and metric: method, title, seed, case, share, metric, value, n,
            higher_is_better, extractor, weights_sha256.
        items: one row per method, seed, case, item and metric: method, seed, case, item, metric, value.
        unscored: folders of runs without metrics.json, which the report names but cannot show.
        snapshots: the runs with the weights that they had before their training ended, by method, seed and share.
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
        """Title of each method, in the order of their names."""
        return {run.method: run.title for run in self.runs}

    @property
    def studied(self) -> set[str]:
        """The method under study, its variants, and every method that answers with their weights: no baselines."""
        own = {run.method for run in self.runs if is_studied(run.method)}
        weights = {run.weights_sha256 for run in self.runs if run.method in own} - {None}
        return own | {run.method for run in self.runs if run.weights_sha256 in weights}

    @property
    def seeds(self) -> list[int]:
        """Every training seed of any method."""
        return sorted({run.seed for run in self.runs})

    def runs_of(self, method: str) -> list[Run]:
        """The runs of one method, by seed."""
        return [run for run in self.runs if run.method == method]

    def case_arrays(self, names: Collection[str]) -> Arrays:
        """Arrays of cases.npz called `<case>/<given or truth>/<modality>`; none of them if the file was not kept."""
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
        """Name of the profile, which is the folder's."""
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
        experiments: only these; None for every folder with a cases.json.
        methods: only these; None for all.
        seeds: only these; None for all.
        snapshots: only those at these shares of a training; None for all.

    Raises:
        UserError: a file is missing or broken, or there is nothing scored to report.
    """
    folder = Path(folder)
    if experiments is None:
        experiments = sorted(path.parent.name for path in folder.glob("*/cases.json"))
    if not experiments:
        raise UserError(f"{folder}: holds no experiment (no */cases.json); run `snakemake --cores all` first")
    card = read_record(folder / "data" / "card.json")
    return Results(folder, card, [load_experiment(folder / name, methods, seeds, snapshots) for name in experiments])


def load_experiment(
    folder: Path,
    methods: Collection[str] | None,
    seeds: Collection[int] | None,
    snapshots: Collection[float] | None = None,
) -> ExperimentResults:
    """Read results/<profile>/<experiment>; see `load_results`."""
    cases = read_cases(folder / "cases.json")
    runs: dict[tuple[str, int], Run] = {}
    unscored = []
    for path in sorted(folder.glob("*/seed*/")):
        if methods is not None and path.parent.name not in methods:
            continue
        if not (path / "metrics.json").is_file():
            unscored.append(f"{path.parent.name}/{path.name}")
            continue
        run = load_run(path)
        if seeds is not None and run.seed not in seeds:
            continue
        if same := runs.get((run.method, run.seed)):
            raise UserError(
                f"{path / 'metrics.json'}: says the method and seed of {same.folder}; remove one of the two"
            )
        runs[run.method, run.seed] = run
    if not runs:
        raise UserError(f"{folder}: no */seed*/metrics.json to report; run `snakemake --cores all {folder.name}` first")
    ordered = [runs[key] for key in sorted(runs)]
    reference = folder / "reference.json"
    return ExperimentResults(
        name=folder.name,
        folder=folder,
        cases=cases,
        runs=ordered,
        reference=read_record(reference) if reference.is_file() else {},
        metrics=metrics_frame(ordered),
        items=items_frame(ordered),
        unscored=unscored,
        snapshots=[part for run in ordered for part in load_snapshots(run, snapshots)],
    )


def load_snapshots(run: Run, shares: Collection[float] | None) -> list[Run]:
    """Read what is below the folder of a run, `at<share>/`, by share; see `load_results`.

    Raises:
        UserError: it is of no share, or of another method, seed or training.
    """
    found = []
    for path in run.folder.glob("at*/metrics.json"):
        try:
            share = float(path.parent.name.removeprefix("at"))
        except ValueError:
            raise UserError(f"{path.parent}: is of no share of a training; rename it like at0.25") from None
        if shares is not None and share not in shares:
            continue
        part = replace(load_run(path.parent), share=share)
        settings = [record.get("settings") for record in (part.training, run.training) if record]
        if (part.method, part.seed) != (run.method, run.seed) or settings[:1] != settings[-1:]:
            raise UserError(f"{path}: is of another training than {run.folder}; delete {path.parent} or make it again")
        found.append(part)
    found.sort(key=lambda part: part.share)
    spent = [part.cost.get("training_flops") or 0 for part in [*found, run]]
    if found and spent != sorted(set(spent)):
        raise UserError(
            f"{run.folder}: its snapshots at {', '.join(str(part.share) for part in found)} and its end are not of "
            "more and more compute, so not of one training; delete its at*/ or make them again"
        )
    return found


def load_run(folder: Path) -> Run:
    """Read the folder of one method and seed."""
    scores = read_scores(folder / "metrics.json")
    training, prediction, tuning = (
        read_record(folder / name) if (folder / name).is_file() else {}
        for name in ("training.json", "predictions.json", "tuned.json")
    )
    return Run(scores["method"], scores["title"], scores["seed"], folder, scores, training, prediction, tuning)


def metrics_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, case and metric whose value is known."""
    rows = []
    for run in runs:
        for row in run.scores["metrics"]:
            if row["value"] is None:
                continue
            rows.append(
                {
                    "method": run.method,
                    "title": run.title,
                    "seed": run.seed,
                    "case": row["case"],
                    "share": row.get("share"),
                    "metric": row["name"],
                    "value": float(row["value"]),
                    "n": row["n"],
                    "higher_is_better": row["higher_is_better"],
                    "extractor": row.get("extractor"),
                    "weights_sha256": row.get("weights_sha256"),
                }
            )
    if not rows:
        raise UserError(f"{runs[0].folder / 'metrics.json'}: holds no metric with a value; evaluate the method again")
    frame = pd.DataFrame(rows)
    frame["share"] = pd.to_numeric(frame["share"])
    return frame


def items_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Per-item values of every run; a run without items.csv has none."""
    frames = [
        read_items(path).assign(method=run.method, seed=run.seed)
        for run in runs
        if (path := run.folder / "items.csv").is_file()
    ]
    if not frames:
        return pd.DataFrame(columns=[*ITEM_COLUMNS, "method", "seed"])
    return pd.concat(frames, ignore_index=True)
