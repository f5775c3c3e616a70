"""`mmbench score`: predictions that were made elsewhere, against an experiment of a run."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mmbench.cli.runs import data_folder, find_run, profile_values
from mmbench.command import console, existing
from mmbench.config.discovery import NAME
from mmbench.errors import UserError, near
from mmbench.files.store import atomic_path, read_headers, read_record, sha256_file, write_json
from mmbench.report.tables.common import number_cell
from mmbench.scoring.names import describe, in_order

PREDICTIONS = "predictions.npz"


def settings_of(run: Path, experiment: str) -> tuple[dict[str, Any], bool]:
    """The settings of the stage `evaluate`, and whether the run's reference was made with the same.

    It need not have been: the questions are on file, and evaluating checks that they are of these modalities.
    """
    values = profile_values(run)
    settings = {"evaluate": values["profile"]["evaluate"], "experiment": experiment}
    if modalities := values["experiments"].get(experiment, {}).get("modalities"):
        settings["modalities"] = modalities
    stored = read_record(run / experiment / "reference.json")["provenance"].get("settings_sha256")
    return settings, stored == hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def place_of(run: Path, experiment: str, predictions: Path, name: str, seed: int) -> Path:
    """The folder of a method of the run, with a copy of the predictions in it.

    Raises:
        UserError: a method of that name is there, with other predictions.
    """
    folder = run / experiment / name / f"seed{seed}"
    own = folder / PREDICTIONS
    if (folder / "training.json").is_file() or (own.is_file() and sha256_file(own) != sha256_file(predictions)):
        raise UserError(f"{folder}: is there with other predictions; give another --name or --seed, or an --out")
    if not own.is_file():
        with atomic_path(own) as temporary:
            shutil.copyfile(predictions, temporary)
        if (record := predictions.with_suffix(".json")).is_file() and record != own.with_suffix(".json"):
            shutil.copyfile(record, own.with_suffix(".json"))
    return folder


def command(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="An .npz of arrays <case>/<modality>.")],
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Whose questions they answer.")],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Of whose results.", show_default="that of `mmbench results`")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the method: a-z, 0-9 and _.")] = "elsewhere",
    title: Annotated[str | None, typer.Option(help="Of the method, for a reader.", show_default="the name")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Training seed of these predictions.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the scores.", show_default="the method's in the run")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads to compute with.")] = 1,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda.")] = "auto",
) -> None:
    """Score predictions that were made elsewhere, by any program, against an experiment of a run.

    All that is needed of the run is found by itself: questions, reference, data, networks, judge and settings. The
    scores are written as metrics.json and items.csv, beside a copy of the predictions, so that `mmbench results` and
    the page show the method with the others; with --out they go there, and the run is left alone. docs/results.md says
    how predictions are stored.

    Examples:

      mmbench score answers.npz masking --name grey --title "Flat grey"
      mmbench score answers.npz labels --run results/standard --out scores
    """
    existing(predictions, "the .npz that your program wrote")
    folder = find_run(run)
    known = sorted(path.parent.name for path in folder.glob("*/reference.json"))
    if experiment not in known:
        there = f"there are {', '.join(known)}" if known else "none has a reference yet: mmbench run"
        raise UserError(f"{experiment}: no experiment of {folder}{near(experiment, known)}; {there}")
    if not NAME.fullmatch(name):
        raise UserError(f"--name: '{name}' is no name; write a-z, 0-9 and _, and a letter first, like my_idea")
    file = predictions / PREDICTIONS if predictions.is_dir() else predictions
    (settings, same), data = settings_of(folder, experiment), data_folder(folder, experiment)
    read_headers(file)  # before anything is copied
    target = out or place_of(folder, experiment, file, name, seed)
    judge = folder / experiment / "judge"
    flags = {
        "weights": folder.parent / "weights", "data": data, "cases": folder / experiment,
        "reference": folder / experiment / "reference.npz", "predictions": file if out else target, "method": name,
        "title": title or name, "seed": seed, "cache": folder / "cache", "threads": threads, "device": device,
        "out": target, **({"judge": judge} if (judge / "weights.safetensors").is_file() else {}),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(io.StringIO()):
        write_json(Path(temporary) / "settings.json", settings)
        words = [f"--{key}={value}" for key, value in flags.items()]
        evaluate = importlib.import_module("mmbench.stages.evaluate")
        evaluate.main([f"--settings={Path(temporary) / 'settings.json'}", *words])
    screen = console()
    screen.print(scores_table(read_record(target / "metrics.json")))
    if not same:
        screen.print("note: the run's reference was made with other settings than its configuration has now")
    screen.print(f"written: {target / 'metrics.json'}", markup=False)
    if out is None:
        screen.print(f"beside the others: mmbench results {folder} -e {experiment}", markup=False)


def scores_table(record: Mapping[str, Any]) -> Table:
    """A row for each metric, a column for each case; which direction is better stands beside the metric."""
    rows = record["metrics"]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    table = Table(title=f"{record['title']}, {record['experiment']}", title_justify="left", box=None, padding=(0, 1))
    table.add_column("")
    for case in cases:
        table.add_column(case, justify="right", overflow="fold")
    values = {(row["name"], row["case"]): row["value"] for row in rows}
    higher = {row["name"]: row["higher_is_better"] for row in rows}
    for metric in in_order(higher):
        shown = describe(metric)
        cells = [number_cell(values.get((metric, case)), shown.decimals).text for case in cases]
        table.add_row(Text(f"{shown.label} {'↑' if higher[metric] else '↓'}"), *cells)
    return table
