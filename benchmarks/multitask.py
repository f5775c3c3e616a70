"""What a training step of the multitask model costs beside a single-task one of the same network, in turns.

Both are methods of the experiment `joint` on made-up data, trained by `mmbench.training.loop`. Prints a table;
`--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from loops import Loop
from measure import machine, operations, spread, timed
from tables import table, write_record

from mmbench.config.configuration import Config
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import run_command
from mmbench.experiments.experiment import load_experiment
from mmbench.files.store import Arrays
from mmbench.frozen.features import EXTRACTOR
from mmbench.method import load_method
from mmbench.models.device import choose_device
from mmbench.runs.provenance import provenance
from mmbench.training.loop import Training

ROOT = Path(__file__).parents[1]
SINGLE, WHOLE = "ddpm", "mt_diffusion"
FOUR = ("image", "mask", "label", "embedding")
#: The experiment has a fifth, made of the first.
FIVE = (*FOUR, "masked_image")
CLASSES, WIDTH = 10, 512
#: Profiles whose networks are measured.
SIZES = ("quick", "standard")


def config(profile: str) -> Config:
    """The configuration with one of the profiles."""
    return Config({**read_yaml(ROOT / "config" / "config.yaml", ROOT), "profile": profile}, ROOT)


def card(side: int) -> dict[str, Any]:
    """What made-up data of all modalities say of themselves."""
    names = [f"class {i}" for i in range(CLASSES)]
    embedding = {"extractor": EXTRACTOR, "size": WIDTH}
    return {"size": [side, side], "modalities": FOUR, "classes": names, "labels": names, "embedding": embedding}


def made_up(items: int, side: int) -> Arrays:
    """A training set as data folders store it: random images, masks, labels and embeddings."""
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (items, 3, side, side), dtype=np.uint8),
        "mask": rng.integers(0, CLASSES, (items, side, side), dtype=np.uint8),
        "label": rng.integers(0, CLASSES, items),
        "embedding": rng.normal(size=(items, WIDTH)).astype(np.float32),
    }


class Joint(Loop):
    """A method of `joint` in training.

    Args:
        name: of the method.
        modalities: that it learns.
        side, items: of the made-up images.
        network: arguments of the backbone.
        train: settings of the training.
    """

    def __init__(
        self,
        name: str,
        modalities: Sequence[str] = FOUR,
        *,
        side: int = 32,
        items: int = 512,
        network: Mapping[str, Any],
        train: Mapping[str, Any],
    ) -> None:
        experiment = load_experiment("joint")
        known = experiment.modalities(card(side))
        settings = config("quick").section("joint", name).settings if name == WHOLE else {}
        folder = ROOT / ("mmbench/models" if name == WHOLE else "baselines/joint")
        file = folder / f"{name}.py"
        torch.manual_seed(0)
        stage_settings = {"network": network, "method_settings": settings}
        self.network = load_method(file, experiment.spec({m: known[m] for m in modalities}, stage_settings))
        self.training = Training(
            self.network,
            experiment,
            {"train": train, "method": name},
            made_up(items, side),
            modalities=known,
            seed=0,
            device=choose_device("cpu", torch.get_num_threads()),
            state=Path(),
            key="",
        )
        self.step = 0

    def steps(self, count: int) -> None:
        """As `Loop`."""
        self.network.train()
        for _ in range(count):
            self.step += 1
            self.training.step(self.step)


def compare(loops: Mapping[str, Mapping[str, Any]], base: str, rounds: int, steps: int) -> dict[str, Any]:
    """Train `Joint`s in turns in this process; seconds of a step of each, and its ratio to that of `base`.

    The first step of each, whose operations are counted, is its warm-up.

    Args:
        loops: arguments of each, by name.
        base: one of the names.
        rounds: in each of which all train.
        steps: of each in a round.
    """
    made = {name: Joint(**arguments) for name, arguments in loops.items()}
    flops = {name: operations(loop) for name, loop in made.items()}
    timings = [{name: timed(loop, steps) for name, loop in made.items()} for _ in range(rounds)]
    return {
        name: {
            "seconds": {clock: spread([r[name][clock] for r in timings]) for clock in ("cpu", "wall")},
            "ratio": {clock: spread([r[name][clock] / r[base][clock] for r in timings]) for clock in ("cpu", "wall")},
            "parameters": sum(p.numel() for p in loop.network.parameters()),
            "flops": flops[name],
            "flops_ratio": flops[name] / flops[base],
        }
        for name, loop in made.items()
    }


def measure(profile: str, args: argparse.Namespace) -> dict[str, Any]:
    """The multitask model of two to five modalities beside the single task of generation, at a profile's size."""
    settings = config(profile).settings("train", "joint", WHOLE)
    train = {**settings["train"], "batch_size": args.batch_size}
    common = {"network": settings["network"], "train": train}
    loops: dict[str, dict[str, Any]] = {"generation alone": {"name": SINGLE, "modalities": FOUR, **common}}
    for count in args.modalities:
        loops[f"{count} modalities"] = {"name": WHOLE, "modalities": FIVE[:count], **common}
    methods = compare(loops, "generation alone", args.rounds, args.steps)
    return {"profile": profile, "batch_size": train["batch_size"], "methods": methods}


def shown(values: Mapping[str, float], factor: float = 1, digits: int = 2) -> str:
    """A median and its quartiles."""
    median, low, high = (factor * values[key] for key in ("median", "low", "high"))
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def rows(methods: Mapping[str, Any]) -> list[list[str]]:
    """A line of a table for each of what `compare` found."""
    return [
        [
            name,
            shown(m["seconds"]["cpu"], 1000, 0),
            f"**{shown(m['ratio']['cpu'])}**",
            shown(m["ratio"]["wall"]),
            f"{m['flops_ratio']:.2f}",
            f"{m['parameters'] / 1e6:.2f}",
        ]
        for name, m in methods.items()
    ]


HEADER = ["CPU ms of a step", "ratio", "ratio of wall seconds", "ratio of FLOPs", "million parameters"]


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    text = (
        f"Images of 32 x 32; {record['rounds']} rounds of {record['steps']} steps of each in turn, one thread; median "
        f"(quartiles) over the rounds; load {record['machine']['load'][0]:.0f} on {record['machine']['cpus']} cores. "
        f"{record['provenance']['processor']}.\n"
    )
    for run in record["runs"]:
        header = [f"network of `{run['profile']}`, batch {run['batch_size']}", *HEADER]
        text += "\n" + table(header, rows(run["methods"]))
    return text


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/multitask.py`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/multitask.py", description=__doc__)
    parser.add_argument("--profiles", nargs="+", default=SIZES, help="whose networks are measured")
    parser.add_argument("--modalities", type=int, nargs="+", default=[2, 3, 4, 5], choices=range(2, 6))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=12, help="in each of which all train in turn")
    parser.add_argument("--steps", type=int, default=1, help="of each in a round")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    options = {key: getattr(args, key) for key in ("rounds", "steps", "modalities")}
    record = {**options, "runs": [measure(profile, args) for profile in args.profiles]}
    record |= {"machine": machine(), "provenance": provenance(options, {})}
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
