"""What a training step of the multitask model costs against the image's side, the width, the data and the modalities.

One of them at a time is changed, from what the profile `quick` has; the trainings of an axis take turns. Prints a
table; `--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from measure import machine
from multitask import FIVE, FOUR, HEADER, WHOLE, compare, config, rows
from tables import table, write_record

from mmbench.errors import run_command
from mmbench.runs.provenance import provenance

AXES = {
    "side": [16, 32, 64],
    "width": [16, 32, 64],
    "items": [500, 4000, 32000],
    "modalities": [2, 3, 4, 5],
}


def arguments(axis: str, value: int, batch_size: int) -> dict[str, Any]:
    """Arguments of `Joint` with one of them changed."""
    settings = config("quick").settings("train", "joint", WHOLE)
    values: dict[str, Any] = {
        "name": WHOLE,
        "modalities": FIVE[:value] if axis == "modalities" else FOUR,
        "network": {**settings["network"], **({axis: value} if axis == "width" else {})},
        "train": {**settings["train"], "batch_size": batch_size},
    }
    return values | ({axis: value} if axis in ("side", "items") else {})


def measure(axis: str, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step along one axis, and their ratio to those at its first value."""
    loops = {f"{axis} {value:,}": arguments(axis, value, args.batch_size) for value in AXES[axis]}
    return {"axis": axis, "methods": compare(loops, next(iter(loops)), args.rounds, args.steps)}


def as_text(record: dict[str, Any]) -> str:
    """The table of a record."""
    text = (
        f"The network of `quick` on four modalities of 32 x 32, batch {record['batch_size']}; {record['rounds']} "
        f"rounds of {record['steps']} steps of each in turn, one thread; median (quartiles) over the rounds; load "
        f"{record['machine']['load'][0]:.0f} on {record['machine']['cpus']} cores. "
        f"{record['provenance']['processor']}.\n\n"
    )
    lines = [line for run in record["runs"] for line in rows(run["methods"])]
    return text + table(["beside the first of its kind", *HEADER], lines)


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/scaling.py`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/scaling.py", description=__doc__)
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=AXES)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=8, help="in each of which all of an axis train in turn")
    parser.add_argument("--steps", type=int, default=2, help="of each in a round")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table is written beside it")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    options = {key: getattr(args, key) for key in ("rounds", "steps", "batch_size")}
    record = {**options, "runs": [measure(axis, args) for axis in args.axes]}
    record |= {"machine": machine(), "provenance": provenance(options, {})}
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
