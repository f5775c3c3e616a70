"""Write the frozen cases of an experiment, which every method answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from mmbench.command import stage_main
from mmbench.data import read_card, read_prepared
from mmbench.errors import run_command
from mmbench.experiments.experiment import asked, left_out, load_experiment, used_modalities, whole_items
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, save_arrays, sha256_arrays, write_json
from mmbench.runs.records import read_settings
from mmbench.stages._options import DataFolder, SettingsFile


def write_cases(settings: dict[str, Any], data: Path, out: Path) -> None:
    """Write `out`/cases.npz and cases.json for the experiment that `settings` names.

    A requested modality that the data set lacks is printed, and listed in cases.json as `left_out`.
    """
    experiment, card = load_experiment(settings["experiment"]), read_card(data)
    used = used_modalities(experiment, card, settings)
    lacking = left_out(experiment, used, settings)
    for name in lacking:
        print(f"{settings['experiment']}: {card.get('name', 'the data set')} has no {name}, which is left out")
    arrays: Arrays = {}
    described = []
    test = whole_items(read_prepared(data, "test"), used, f"{data / 'test.npz'}: {settings['experiment']}")
    for case in experiment.cases(test, used, settings):
        values = {f"given/{k}": v for k, v in case.given.items()} | {f"truth/{k}": v for k, v in case.truth.items()}
        arrays |= {f"{case.name}/{key}": value for key, value in values.items()}
        task = asked(experiment, case)
        entry = {"name": case.name, "task": case.task, "count": case.count, **case.detail}
        described.append({**entry, "given": task.given, "want": task.want, "sha256": sha256_arrays(values)})
    save_arrays(out / "cases.npz", arrays)
    record = {"experiment": settings["experiment"], "modalities": list(used), "cases": described}
    write_json(out / "cases.json", record | ({"left_out": lacking} if lacking else {}))


def command(
    settings: SettingsFile,
    data: DataFolder,
    out: Annotated[Path, Option(help="Folder for cases.npz and cases.json.")],
) -> None:
    """Write the frozen cases of an experiment, which every method answers."""
    values = read_settings(settings, "cases")
    with alone(out, "list of cases"):
        write_cases(values, data, out)


main = stage_main(command, "cases")

if __name__ == "__main__":
    run_command(main)
