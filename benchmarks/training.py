"""Our training loop and diffusers' example around the same network, in turns: images a second, and memory.

Prints a table; `--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from loops import Alone, Diffusers, Loop, Ours, Plain, Same, unet
from measure import Turns, machine, matmul_rate, operations, spread
from tables import table, write_record

from mmbench.errors import run_command
from mmbench.models.device import keep_freed_memory
from mmbench.runs.provenance import provenance

BATCHES = {32: 64, 64: 16}
CHANNELS = (32, 64, 128)
IMAGES = 512
OURS, THEIRS, ALONE = "mmbench", "diffusers' example", "network alone"
KEEPING = "diffusers' example, keeping memory"  # as we do: `mmbench.models.device.keep_freed_memory`


def pictures(size: int, count: int = IMAGES) -> np.ndarray:
    """Random ones, uint8 (count, 3, size, size)."""
    return np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def make(which: str, size: int, batch_size: int, precision: str, channels: Sequence[int]) -> Loop:
    """A loop around the network, on made-up images."""
    network, images = unet(size, channels), pictures(size)
    if which == OURS:
        return Ours(images, Plain(Same(network)), batch_size, precision)
    if which == KEEPING:
        keep_freed_memory()
    if which in (THEIRS, KEEPING):
        return Diffusers(images, network, batch_size, precision)
    return Alone(images, network, batch_size, precision)


def operations_per_image(size: int, channels: Sequence[int]) -> float:
    """Floating-point operations of the network's forward and backward pass of one image."""
    return operations(Alone(pictures(size, 1), unet(size, channels), 1, "fp32"))


def measure(size: int, precision: str, args: argparse.Namespace) -> dict[str, Any]:
    """All at one size and precision: after a warm-up, as many rounds as asked for, in each of which all train."""
    batch_size = args.batch_size or BATCHES[size]
    given = {"size": size, "batch_size": batch_size, "precision": precision, "channels": args.channels}
    loops = {name: (make, {"which": name, **given}) for name in (OURS, THEIRS, KEEPING, ALONE)}
    rounds = []
    with Turns(loops, args.threads) as turns:
        for number in range(args.rounds + 1):
            seconds = {name: turns.steps(name, args.steps if number else 2) for name in loops}
            rounds.append({**seconds, "matmul": matmul_rate(precision)})
    rounds = rounds[1:]
    flops = operations_per_image(size, args.channels)
    measured = {}
    for name in loops:
        rates = {clock: spread([batch_size / r[name][clock] for r in rounds]) for clock in ("cpu", "wall")}
        share = spread([flops * batch_size / r[name]["cpu"] / r["matmul"] for r in rounds])
        measured[name] = {"images_per_second": rates, "mfu": share, "peak_bytes": rounds[-1][name]["peak_bytes"]}
    ratios = {
        other: {clock: spread([r[other][clock] / r[OURS][clock] for r in rounds]) for clock in ("cpu", "wall")}
        for other in (THEIRS, KEEPING)
    }
    floor = spread([r[OURS]["cpu"] / r[ALONE]["cpu"] for r in rounds])
    return {
        **given,
        "parameters": turns.parameters[THEIRS],
        "flops_per_image": flops,
        "matmul_flops_per_second": spread([r["matmul"] for r in rounds]),
        "loops": measured,
        "ratio": ratios,
        "ours_over_network": floor,
    }


def shown(values: dict[str, float], digits: int = 2) -> str:
    """A median and its quartiles."""
    return f"{values['median']:.{digits}f} ({values['low']:.{digits}f} to {values['high']:.{digits}f})"


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    first = record["runs"][0]
    text = (
        f"UNet2DModel of {first['parameters'] / 1e6:.2f} million parameters, threads: {record['threads']}, "
        f"{record['rounds']} rounds of {record['steps']} steps of each in turn; {record['provenance']['processor']}.\n"
        "Median (quartiles) over the rounds. CPU seconds are those of the process and of what loads its data.\n\n"
    )
    rows = []
    for run in record["runs"]:
        ours, theirs = run["loops"][OURS], run["loops"][THEIRS]
        rows.append(
            [
                f"{run['size']} x {run['size']}, batch {run['batch_size']}, {run['precision']}",
                shown(ours["images_per_second"]["cpu"], 1),
                shown(theirs["images_per_second"]["cpu"], 1),
                f"**{shown(run['ratio'][THEIRS]['cpu'])}**",
                shown(run["ratio"][KEEPING]["cpu"]),
                shown(run["ours_over_network"]),
                f"{ours['mfu']['median']:.2f}",
                " / ".join(f"{run['loops'][name]['peak_bytes'] / 2**20:.0f}" for name in (OURS, ALONE, THEIRS)),
            ]
        )
    header = ["", f"{OURS}, images per CPU second", THEIRS, "ratio", "ratio to it keeping memory"]
    return text + table(
        [*header, "our step / network's passes alone", "our MFU", "peak MiB, ours / network alone / theirs"], rows
    )


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/training.py`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/training.py", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64], help="sides of the images")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--channels", type=int, nargs="+", default=CHANNELS, help="of the network's levels")
    parser.add_argument("--batch-size", type=int, help="default: 64 images of 32 x 32, 16 of 64 x 64")
    parser.add_argument("--rounds", type=int, default=12, help="in each of which all loops train in turn")
    parser.add_argument("--steps", type=int, default=2, help="of each loop in a round")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to compute with")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table is written beside it")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    record = {
        "threads": args.threads,
        "rounds": args.rounds,
        "steps": args.steps,
        "runs": [measure(size, precision, args) for size, precision in product(args.sizes, args.precisions)],
        "machine": machine(),
        "provenance": provenance({"rounds": args.rounds}, {}),
    }
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
