"""`mmbench score`: score predictions that were made elsewhere, against an experiment of a run."""

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
from mmbench.command import console
from mmbench.config.check import check
from mmbench.config.discovery import NAME
from mmbench.errors import UsageError, UserError, near
from mmbench.files.atomic import atomic_path
from mmbench.files.locks import alone
from mmbench.files.store import read_headers, read_record, sha256_file
from mmbench.report.tables.cells import number_cell
from mmbench.runs.records import StageSettings
from mmbench.scoring.names import describe, in_order

PREDICTIONS = "predictions.npz"


def settings_of(run: Path, experiment: str) -> tuple[dict[str, Any], bool]:
    """The settings of the stage `evaluate`, and whether the run's reference was made with the same settings.

    Other settings are allowed, since the stage checks that the stored cases have these modalities.
    """
    values = profile_values(run)
    settings = {"evaluate": values["profile"]["evaluate"], "experiment": experiment}
    if modalities := values["experiments"].get(experiment, {}).get("modalities"):
        settings["modalities"] = modalities
    check(StageSettings, settings, str(run))
    stored = read_record(run / experiment / "reference.json")["provenance"].get("settings_sha256")
    return settings, stored == hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def check_place(folder: Path, predictions: Path) -> None:
    """Check that a method's folder of the run has no other predictions; UserError if it has."""
    stored = folder / PREDICTIONS
    other = stored.is_file() and sha256_file(stored) != sha256_file(predictions)
    if other or (folder / "training.json").is_file():
        raise UserError(f"{folder}: exists with other predictions; give another --name or --seed, or an --out")


def score(settings: Mapping[str, Any], predictions: Path, device: str, threads: int, **others: Any) -> None:
    """Run the function of the stage evaluate without its output; the stage's module, which loads torch, is imported."""
    stage = importlib.import_module("mmbench.stages.evaluate")
    with contextlib.redirect_stdout(io.StringIO()):
        stage.evaluate(settings, predictions, device=stage.choose_device(device, threads), **others)


def put(scores: Path, predictions: Path, folder: Path, out: Path | None) -> None:
    """Put the scores into `out`, or into a method's `folder` beside a copy of the predictions; metrics.json is last."""
    record = predictions.with_suffix(".json")
    copied = [] if out else [(predictions, PREDICTIONS), (record, record.name)]
    for source, name in [*copied, (scores / "items.csv", "items.csv"), (scores / "metrics.json", "metrics.json")]:
        target = (out or folder) / name
        if source.is_file() and not (target.exists() and target.samefile(source)):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)


def command(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="An .npz of arrays <case>/<modality>.")],
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment whose cases they answer.")],
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Folder of the run whose cases they answer.", show_default="that of `mmbench results`"
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the method: a-z, 0-9 and _.")] = "elsewhere",
    title: Annotated[str | None, typer.Option(help="Title of the method in tables.", show_default="the name")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Training seed of these predictions.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the scores.", show_default="the method's in the run")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Number of CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="Device: auto (a GPU if there is one), cpu or cuda.")] = "auto",
) -> None:
    """Score predictions that were made elsewhere, by any program, against an experiment of a run.

    The command takes the cases, reference, data, networks, judge and settings from the run. It writes the scores as
    metrics.json and items.csv into the run, beside a copy of the predictions, so that `mmbench results` and the page
    show the method with the others. With --out it writes them there and leaves the run unchanged. docs/results.md
    describes how predictions are stored.

    Examples:

      mmbench score answers.npz masking --name grey --title "Flat grey"
      mmbench score answers.npz labels --run results/standard --out scores
    """
    if not predictions.exists():
        raise UserError(f"{predictions}: no such file or folder; give the .npz that your program wrote")
    folder = find_run(run)
    known = sorted(path.parent.name for path in folder.glob("*/reference.json"))
    if experiment not in known:
        remedy = f"there are {', '.join(known)}" if known else "none has a reference yet: mmbench run"
        raise UserError(f"{experiment}: no experiment of {folder}{near(experiment, known)}; {remedy}")
    if not NAME.fullmatch(name):
        raise UsageError(f"--name: '{name}' is not allowed; write a-z, 0-9 and _, and a letter first, like my_idea")
    file = predictions / PREDICTIONS if predictions.is_dir() else predictions
    (settings, same), data = settings_of(folder, experiment), data_folder(folder, experiment)
    read_headers(file)
    place = folder / experiment / name / f"seed{seed}"
    if out is None:
        check_place(place, file)
    judge = folder / experiment / "judge"
    places = {
        "cases": folder / experiment, "reference": folder / experiment / "reference.npz", "data": data,
        "weights": folder.resolve().parent / "weights", "cache": folder / "cache",
        "judge": judge if (judge / "weights.safetensors").is_file() else None,
    }  # fmt: skip
    with alone(out or folder / experiment, f"scoring of {name}"), tempfile.TemporaryDirectory() as temporary:
        scores = Path(temporary)  # nothing of the run changes before all answers are known to be right
        score(settings, file, device, threads, method=name, title=title, seed=seed, **places, out=scores)
        put(scores, file, place, out)
    screen, target = console(), out or place
    screen.print(scores_table(read_record(target / "metrics.json")))
    if not same:
        screen.print("note: the run's reference was made with other settings than its present configuration has")
    screen.print(f"written: {target / 'metrics.json'}", markup=False)
    if out is None:
        screen.print(f"beside the others: mmbench results {folder} -e {experiment}", markup=False)


def scores_table(record: Mapping[str, Any]) -> Table:
    """A row for each metric, with an arrow in the better direction, and a column for each case."""
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
