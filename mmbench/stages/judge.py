"""Train the frozen judge of an experiment, its module `judge`: like any method, with a seed that no method has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.command import stage_main
from mmbench.errors import UserError
from mmbench.experiments import part_file
from mmbench.runs.records import read_settings
from mmbench.stages import train
from mmbench.stages._options import DataFolder, Device, Processes, SettingsFile, StateFolder, Threads
from mmbench.training.processes import run_member

#: The seed of no method: a judge must not repeat the mistakes of a baseline with the same network.
SEED = 1_000_003


def command(
    settings: SettingsFile,
    data: DataFolder,
    state: StateFolder,
    out: Annotated[Path, Option(help="Folder for weights.safetensors and training.json.")],
    processes: Processes = 1,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Train the frozen judge of an experiment, which determines what generated images show."""
    values = read_settings(settings, "train")
    file = part_file(values["experiment"], "judge")
    if not file.is_file():
        raise UserError(f"{settings}: experiment: '{values['experiment']}' has no judge; name one that has")
    train.run(values, file, data, seed=SEED, state=state, out=out, threads=threads, device=device, processes=processes)


main = stage_main(command, "judge")

if __name__ == "__main__":
    run_member(main)
