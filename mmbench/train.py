"""Command line: train one method with one seed, resuming where an earlier run of the same training stopped.

Step k draws everything from a generator seeded with (seed, k), so methods see the same batches in the same order, and a
resumed run repeats nothing and skips nothing. SIGTERM, SIGHUP and SIGINT end it after the step it is at, whose state is
kept. With `train.shards` a batch is computed in so many equal parts, each with a generator of its own, and
`--processes` share them: what is learnt does not depend on how many there are.

`--keep 100` leaves the averaged weights after step 100 in the state folder; `--until 100` makes them what is written,
without training if they were kept there, else by the same training up to that step. Learning rates are those of the
whole training, so the weights are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmbench.checkpoint import (
    load_checkpoint,
    load_snapshot,
    remove_checkpoint,
    remove_snapshots,
    save_checkpoint,
    save_snapshot,
    snapshot_path,
)
from mmbench.data import read_card, read_prepared
from mmbench.discovery import code_hash, read_literals
from mmbench.errors import Parser, UserError, counting_number
from mmbench.experiments import Experiment, to_batch
from mmbench.files import read_record, sha256_file, write_json
from mmbench.gradients import cosines, mean_gradients, term_gradients
from mmbench.labelled import training_set
from mmbench.locks import alone
from mmbench.method import Batch, Method
from mmbench.parallel import Team, joined, launch, launched, run_member
from mmbench.provenance import provenance
from mmbench.records import read_settings
from mmbench.runtime import add_run_arguments, build_method, choose_device, hardware, peak_memory, place
from mmbench.steps import batch_indices, learning_rate, step_generator, update_ema
from mmbench.stops import stop_requests
from mmbench.tensors import save_weights

ROOT = Path(__file__).parents[1]
PROGRESS_SECONDS = 10.0
CURVE_POINTS, COSINE_POINTS = 100, 20
MIRRORED = "_mirrored"


def new_log() -> dict[str, Any]:
    """What is recorded of a training, before its first step."""
    return {"step": 0, "seconds": 0.0, "flops_per_step": None, "curve": [], "gradient_cosines": []}


class Training:
    """One method being trained: its data, its optimiser, its average, and where it stands.

    Args:
        method: what is trained.
        experiment: how a training batch is made.
        settings: the sections `train`, and the rest for the checkpoint's key.
        arrays: the stored training set.
        seed: of the batches.
        device: where to compute.
        state: folder of the checkpoint.
        key: identifies the training; a checkpoint with another key is not used.
        team: the processes that share the shards of each batch.
    """

    def __init__(
        self,
        method: Method,
        experiment: Experiment,
        settings: Mapping[str, Any],
        arrays: Mapping[str, Any],
        *,
        seed: int,
        device: torch.device,
        state: Path,
        key: str,
        team: Team | None = None,
    ) -> None:
        self.method, self.experiment, self.train = place(method, device), experiment, settings["train"]
        self.label = f"{settings['method']} seed {seed}"
        self.data = {name: torch.from_numpy(array).to(device) for name, array in arrays.items() if name != "factors"}
        self.items = len(self.data["image"])
        self.seed, self.device, self.state, self.key, self.team = seed, device, state, key, team or Team()
        self.shards = self.train.get("shards", 1)
        self.parameters = [p for p in method.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=0.0, weight_decay=0.0, fused=True)
        self.ema = {name: value.detach().clone() for name, value in method.state_dict().items()}
        state_dict = self.method.state_dict()
        self.average = [(self.ema[n], value) for n, value in state_dict.items() if value.is_floating_point()]
        self.log = new_log()

    def batch(self, step: int, generator: torch.Generator, shard: int = 0) -> Batch:
        """The training batch of `step`, or a shard of it, half of it mirrored if `train.flip` is on.

        What a mirrored image is worth in another modality, an array `<modality>_mirrored` says, if there is one.
        """
        indices = batch_indices(self.seed, step, self.train["batch_size"], self.items)
        indices = indices.tensor_split(self.shards)[shard].to(self.device)
        batch = to_batch({name: value[indices] for name, value in self.data.items()}, self.device)
        if self.train["flip"]:
            mirrored = (torch.rand(len(indices), generator=generator) < 0.5).to(self.device)
            turned = {name: batch[name].flip(-1) for name in batch.keys() & {"image", "mask"}}
            turned |= {name.removesuffix(MIRRORED): x for name, x in batch.items() if name.endswith(MIRRORED)}
            for name, other in turned.items():
                shape = (-1, *[1] * (other.dim() - 1))
                batch[name] = torch.where(mirrored.view(shape), other, batch[name])
        return self.experiment.training_batch(batch, generator)

    def step(self, step: int) -> dict[str, Tensor]:
        """One update of the weights; returns the loss terms, which may still be being computed.

        Raises:
            UserError: the loss is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.train)
        pulls: dict[str, Tensor] | None = None
        if self.log["flops_per_step"] is not None and step % max(1, self.train["steps"] // COSINE_POINTS) == 0:
            pulls = {}  # not in the step whose operations are counted
        terms = mean_gradients(
            self.parameters,
            self.team.share(self.shards),
            self.shards,
            lambda shard: self.shard(step, shard, pulls),
            self.team.sum,
        )
        if not torch.isfinite(terms["loss"]):
            raise UserError(
                f"{self.label}: the loss is {terms['loss'].item()} at step {step}; lower train.learning_rate (now "
                f"{self.train['learning_rate']}) and run again (the last checkpoint in {self.state} is kept)"
            )
        if pulls:
            self.record_cosines(step, pulls)
        torch.nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        update_ema(self.average, self.train["ema"], step)
        return {name: value.detach() for name, value in terms.items()}

    def shard(self, step: int, shard: int, pulls: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Set the gradients of one shard of a batch, unless its loss is not finite; returns its terms.

        What each term asks of the backbone's weights is added to `pulls`, if there are any.
        """
        generator = step_generator(self.seed, *([step] if self.shards == 1 else [step, shard]))
        torch.manual_seed(generator.initial_seed() ^ 1)  # of what takes no generator, e.g. dropout
        batch = self.batch(step, generator, shard)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.train["precision"] == "bf16"):
            terms = self.method.loss(batch, generator)
        if torch.isfinite(terms["loss"]):
            backbone = getattr(self.method, "backbone", None)
            if pulls is not None and backbone is not None:
                for name, vector in term_gradients(terms, backbone.parameters()).items():
                    pulls[name] = pulls[name] + vector if name in pulls else vector
            self.method.backward(terms)
        return terms

    def record_cosines(self, step: int, pulls: Mapping[str, Tensor]) -> None:
        """Record how much the terms agree about the backbone's weights."""
        if pairs := cosines({name: self.team.sum(vector) for name, vector in pulls.items()}):
            self.log["gradient_cosines"].append({"step": step, "pairs": pairs})

    def counted_step(self, step: int) -> dict[str, Tensor]:
        """`step`, counting its floating-point operations once."""
        if self.log["flops_per_step"] is not None:
            return self.step(step)
        with FlopCounterMode(display=False) as counter:
            terms = self.step(step)
        self.log["flops_per_step"] = self.team.size * counter.get_total_flops()
        return terms

    def run(self, until: int, keep: Collection[int] = ()) -> None:
        """Train from the last checkpoint, or the beginning, to step `until`; the averages of steps `keep` are kept.

        Raises:
            UserError: the process was asked to stop; what it has done is kept.
        """
        self.log = load_checkpoint(self.state, self.key, self.method, self.ema, self.optimizer) or self.log
        self.check_same(self.log["step"])
        if self.log["step"]:
            print(f"{self.label}: resuming after step {self.log['step']}", flush=True)
        elif self.team.first:
            remove_snapshots(self.state)
        self.method.train()
        with stop_requests() as asked_to_stop:
            self._run(until, keep, asked_to_stop)

    def _run(self, until: int, keep: Collection[int], asked_to_stop: Callable[[], str | None]) -> None:
        """The steps that are left, and what is kept of them."""
        steps, every = self.train["steps"], max(1, self.train["steps"] // CURVE_POINTS)
        before, since, first = self.log["seconds"], time.monotonic(), self.log["step"]
        shown = since
        for step in range(first + 1, until + 1):
            terms = self.counted_step(step)
            now = time.monotonic()
            rate = (step - first) * self.train["batch_size"] / (now - since)
            self.log |= {"step": step, "seconds": before + now - since}
            if step % every == 0 or step == steps:
                point = {name: float(value) for name, value in terms.items()}
                self.log["curve"].append({"step": step, "images_per_second": round(rate, 1), **point})
            # a snapshot first: resumed from the checkpoint, the training would not come back to it
            if step in keep and self.team.first:
                save_snapshot(self.state, self.key, self.ema, self.log)
            stop = asked_to_stop() if step < until else None
            stopped = self.team.any(stop is not None)
            if stopped or step % self.train["checkpoint_every"] == 0 or step == until:
                self.check_same(step)
                if self.team.first:
                    save_checkpoint(self.state, self.key, self.method, self.ema, self.optimizer, self.log)
            if stopped:  # nothing is printed before: who reads it may have been stopped too
                raise UserError(
                    f"{self.label}: stopped by {stop or 'another process'} after step {step} of {until}, whose state "
                    "is kept; run the same command again to go on"
                )
            if now - shown >= PROGRESS_SECONDS or step == until:
                shown = now
                left = (until - step) * self.train["batch_size"] / rate
                print(
                    f"{self.label}: step {step}/{until}  loss {terms['loss']:.4f}  {rate:.0f} images/s  "
                    f"{left // 60:.0f}:{left % 60:02.0f} left",
                    flush=True,
                )

    def check_same(self, step: int) -> None:
        """Check that all processes have the same weights, of which the first will write its own."""
        self.team.check_same(self.method.state_dict(), step, self.state)


def training_key(settings: Mapping[str, Any], seed: int, method: Path, data: Path) -> str:
    """Identifies a training by all that it depends on: settings, seed, code and data; another key starts over."""
    code = code_hash(ROOT, "mmbench/train.py", f"mmbench/experiments/{settings['experiment']}.py", method.resolve())
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
    """`python -m mmbench.train --settings S.json --method FILE --data DIR --seed N --state DIR --out DIR`."""
    parser = Parser(prog="python -m mmbench.train", description=__doc__)
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
        launch("mmbench.train", sys.argv[1:] if argv is None else argv, settings, args.processes, args.threads)
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
