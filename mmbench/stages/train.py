"""Command line: train one method with one seed, resuming where an earlier run of the same training stopped.

SIGTERM, SIGHUP and SIGINT end it after the step it is at, whose state is kept; `--processes` share the shards of each
batch, and what is learnt does not depend on how many there are.

`--keep 100` leaves the averaged weights after step 100 in the state folder; `--until 100` makes them what is written,
without training if they were kept there, else by the same training up to that step. Learning rates are those of the
whole training, so the weights are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.config.code_hash import stage_code
from mmbench.config.discovery import read_literals
from mmbench.data import read_card, read_prepared
from mmbench.errors import Parser, counting_number
from mmbench.experiments.experiment import to_batch
from mmbench.files.locks import alone
from mmbench.files.store import read_record, sha256_file, write_json
from mmbench.files.weights import save_weights
from mmbench.method import Method
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_settings
from mmbench.stages.runtime import add_run_arguments, build_method, choose_device, hardware, peak_memory
from mmbench.training.checkpoint import load_snapshot, remove_checkpoint, snapshot_path
from mmbench.training.loop import Training, new_log
from mmbench.training.partial_labels import training_set
from mmbench.training.processes import Team, joined, launch, launched, run_member

ROOT = Path(__file__).parents[2]


def training_key(settings: Mapping[str, Any], seed: int, method: Path, data: Path) -> str:
    """Identifies a training by all that it depends on: settings, seed, code and data; another key starts over."""
    code = stage_code(ROOT, "train", experiment=settings["experiment"], method=method.resolve())
    parts = [settings, seed, code, sha256_file(data / "card.json")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def described(method: Method, data: Path) -> dict[str, Any]:
    """What is needed to build the method and to show its answers without the data folder."""
    card = read_card(data)
    return {
        "modalities": {name: asdict(modality) for name, modality in method.spec.modalities.items()},
        "card": {key: card.get(key) for key in ("name", "title", "classes", "palette", "labels", "embedding")},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.train --settings S.json --method FILE --data DIR --seed N --state DIR --out DIR`."""
    parser = Parser(prog="python -m mmbench.stages.train", description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--state", type=Path, required=True, help="folder of the checkpoint of an unfinished training")
    kept = "steps whose averaged weights stay in --state"
    parser.add_argument("--keep", type=counting_number, nargs="*", default=[], help=kept)
    parser.add_argument("--until", type=counting_number, help="the step to end with; default: the last of the settings")
    parser.add_argument("--kept", type=Path, help="--state of the whole training: weights of --until that it kept")
    parser.add_argument(
        "--processes", type=counting_number, default=1, help="that share shards and threads; default: 1"
    )
    args = parser.parse_args(argv)
    if args.processes > 1 and not launched():
        settings = read_settings(args.settings, "train")
        Team(args.processes).share(settings["train"].get("shards", 1))
        launch("mmbench.stages.train", sys.argv[1:] if argv is None else argv, settings, args.processes, args.threads)
        return
    with joined(args.device) as team, alone(args.state, "training") if team.first else nullcontext(False) as waited:
        train(args, team, team.any(waited))


def finished(out: Path, key: str) -> bool:
    """Whether a training with this key has written all its results."""
    whole = (out / "weights.safetensors").is_file() and (out / "training.json").is_file()
    return whole and read_record(out / "training.json").get("key") == key


def train(args: argparse.Namespace, team: Team, waited: bool) -> None:
    """What `main` does once no other team is at the same training; `waited` if one was."""
    settings = read_settings(args.settings, "train")
    team.share(settings["train"].get("shards", 1))
    device = choose_device(args.device, args.threads)
    device = team.device or device
    torch.manual_seed(args.seed)
    method, experiment = build_method(settings, args.method, args.data)
    arrays = training_set(read_prepared(args.data, "train"), settings, method)
    key = training_key(settings, args.seed, args.method, args.data)
    if waited and finished(args.out, key):
        print(f"{args.out}: the other process has finished this training", flush=True)
        return
    if type(method).prepare is not Method.prepare:  # floats of the whole set: only for those who look at them
        method.prepare(to_batch({name: arrays[name] for name in method.spec.modalities if name in arrays}))
    learns = any(parameter.requires_grad for parameter in method.parameters())  # a judge may have nothing to judge
    trained = learns and read_literals(args.method).get("TRAINED", True)
    weights: Mapping[str, Tensor] = method.state_dict()
    log = new_log()
    if trained:
        training = Training(
            method, experiment, settings, arrays, seed=args.seed, device=device, state=args.state, key=key, team=team
        )
        kept = load_snapshot(args.kept, key, args.until, training.ema) if args.kept and args.until else None
        if kept:
            print(f"{training.label}: the weights of step {args.until} were kept by the whole training", flush=True)
        else:
            training.run(args.until or settings["train"]["steps"], args.keep)
        weights, log = training.ema, kept or training.log
        team.any(False)  # all have read what the first removes
    if not team.first:
        return
    batch_size = settings["train"]["batch_size"]
    save_weights(args.out / "weights.safetensors", weights)
    record = {
        "parameters": sum(p.numel() for p in method.parameters() if p.requires_grad) if trained else 0,
        "steps": log["step"],
        "images_seen": log["step"] * batch_size,
        "flops": (log["flops_per_step"] or 0) * log["step"],
        "seconds": log["seconds"],
        "peak_memory_bytes": peak_memory(device),
        "processes": team.size,
        "device": str(device),
        "hardware": hardware(device),
        "curve": log["curve"],
        "gradient_cosines": log["gradient_cosines"],
        **described(method, args.data),
        "settings": settings,
        "seed": args.seed,
        "key": key,
        "provenance": provenance(settings, {"method": args.method, "data": args.data / "card.json"}),
    }
    write_json(args.out / "training.json", record)
    remove_checkpoint(args.state)  # whoever trains this again means it
    if args.kept and args.until:
        snapshot_path(args.kept, args.until).unlink(missing_ok=True)  # it is in the results now


if __name__ == "__main__":
    run_member(main)
