"""Command line: write the frozen cases of an experiment, which every method answers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmbench.data import read_prepared
from mmbench.errors import run_command
from mmbench.experiments import load_experiment
from mmbench.files import Arrays, read_json, save_arrays, sha256_arrays, write_json


def write_cases(settings: dict, data: Path, out: Path) -> None:
    """Write `out`/cases.npz and cases.json for the experiment that `settings` names."""
    experiment = load_experiment(settings["experiment"])
    arrays: Arrays = {}
    described = []
    for case in experiment.cases(read_prepared(data, "test"), settings):
        own = {f"given/{k}": v for k, v in case.given.items()} | {f"truth/{k}": v for k, v in case.truth.items()}
        arrays |= {f"{case.name}/{key}": value for key, value in own.items()}
        task = experiment.TASKS[case.task]
        entry = {"name": case.name, "task": case.task, "count": case.count, **case.detail}
        described.append({**entry, "given": task.given, "want": task.want, "sha256": sha256_arrays(own)})
    save_arrays(out / "cases.npz", arrays)
    write_json(out / "cases.json", {"experiment": settings["experiment"], "cases": described})


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.cases --settings S.json --data DIR --out DIR`."""
    parser = argparse.ArgumentParser(prog="python -m mmbench.cases", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="JSON: experiment, data, evaluate, its own keys")
    parser.add_argument("--data", type=Path, required=True, help="folder that mmbench.prepare_data wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for cases.npz and cases.json")
    args = parser.parse_args(argv)
    write_cases(read_json(args.settings), args.data, args.out)


if __name__ == "__main__":
    run_command(main)
