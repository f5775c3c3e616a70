"""Command line: train one method with one seed, resuming where an earlier run of the same training stopped.

Step k draws everything from a generator seeded with (seed, k), so methods see the same batches in the same order, and a
resumed run repeats nothing and skips nothing. SIGTERM, SIGHUP and SIGINT end it after the step it is at, whose state is
kept.

`--keep 100` leaves the averaged weights after step 100 in the state folder; `--until 100` makes them what is written,
without training if they were kept there, else by the same training up to that step. Learning rates are those of the
whole training, so the weights are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
from mmbench.errors import Parser, UserError, counting_number, run_command
from mmbench.experiments import Experiment, to_batch
from mmbench.files import read_record, sha256_file, write_json
from mmbench.gradients import gradient_cosines
from mmbench.labelled import training_set
from mmbench.locks import alone
from mmbench.method import Batch, Method
from mmbench.provenance import provenance
from mmbench.records import read_settings
from mmbench.runtime import add_run_arguments, build_method, choose_device, hardware, peak_memory
from mmbench.steps import batch_indices, learning_rate, step_generator
from mmbench.stops import stop_requests
from mmbench.tensors import save_weights

ROOT = Path(__file__).parents[1]
PROGRESS_SECONDS = 10.0
CURVE_POINTS, COSINE_POINTS = 100, 20
MIRRORED = "_mirrored"


def update_ema(ema: Mapping[str, Tensor], method: Method, decay: float, step: int) -> None:
    """Exponential moving average of the weights, its memory growing from nothing up to `decay`."""
    decay = min(decay, (1 + step) / (10 + step))
    state = method.state_dict()
    floats = [name for name in ema if ema[name].is_floating_point()]
    torch._foreach_lerp_([ema[n] for n in floats], [state[n] for n in floats], 1 - decay)


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
    ) -> None:
        self.method, self.experiment, self.train = method.to(device), experiment, settings["train"]
        self.label = f"{settings['method']} seed {seed}"
        self.data = {name: torch.from_numpy(array).to(device) for name, array in arrays.items() if name != "factors"}
        self.items = len(self.data["image"])
        self.seed, self.device, self.state, self.key = seed, device, state, key
        parameters = [p for p in method.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.0, fused=True)
        self.ema = {name: value.detach().clone() for name, value in method.state_dict().items()}
        self.log = new_log()

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """The training batch of `step`, half of it mirrored if `train.flip` is on.

        What a mirrored image is worth in another modality, an array `<modality>_mirrored` says, if there is one.
        """
        indices = batch_indices(self.seed, step, self.train["batch_size"], self.items).to(self.device)
        batch = to_batch({name: value[indices] for name, value in self.data.items()}, self.device)
        if self.train["flip"]:
            mirrored = (torch.rand(len(indices), generator=generator) < 0.5).to(self.device)
            turned = {name: batch[name].flip(-1) for name in batch.keys() & {"image", "mask"}}
            turned |= {name.removesuffix(MIRRORED): x for name, x in batch.items() if name.endswith(MIRRORED)}
            for name, other in turned.items():
                shape = (-1, *[1] * (other.dim() - 1))
                batch[name] = torch.where(mirrored.view(shape), other, batch[name])
        return self.experiment.training_batch(batch, generator)

    def step(self, step: int) -> dict[str, float]:
        """One update of the weights; returns the loss terms.

        Raises:
            UserError: the loss is not finite.
        """
        generator = step_generator(self.seed, step)
        torch.manual_seed(generator.initial_seed() ^ 1)  # of what takes no generator, e.g. dropout
        batch = self.batch(step, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.train)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.train["precision"] == "bf16"):
            terms = self.method.loss(batch, generator)
        if not torch.isfinite(terms["loss"]):
            raise UserError(
                f"{self.label}: the loss is {terms['loss'].item()} at step {step}; lower train.learning_rate (now "
                f"{self.train['learning_rate']}) and run again (the last checkpoint in {self.state} is kept)"
            )
        if self.log["flops_per_step"] is not None and step % max(1, self.train["steps"] // COSINE_POINTS) == 0:
            self.record_cosines(step, terms)  # not in the step whose operations are counted
        self.method.backward(terms)
        torch.nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        update_ema(self.ema, self.method, self.train["ema"], step)
        return {name: float(value.detach()) for name, value in terms.items()}

    def record_cosines(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Record how much the terms agree about the backbone's weights."""
        backbone = getattr(self.method, "backbone", None)
        if backbone is not None and (pairs := gradient_cosines(terms, backbone.parameters())):
            self.log["gradient_cosines"].append({"step": step, "pairs": pairs})

    def counted_step(self, step: int) -> dict[str, float]:
        """`step`, counting its floating-point operations once."""
        if self.log["flops_per_step"] is not None:
            return self.step(step)
        with FlopCounterMode(display=False) as counter:
            terms = self.step(step)
        self.log["flops_per_step"] = counter.get_total_flops()
        return terms

    def run(self, until: int, keep: Collection[int] = ()) -> None:
        """Train from the last checkpoint, or the beginning, to step `until`; the averages of steps `keep` are kept.

        Raises:
            UserError: the process was asked to stop; what it has done is kept.
        """
        self.log = load_checkpoint(self.state, self.key, self.method, self.ema, self.optimizer) or self.log
        if self.log["step"]:
            print(f"{self.label}: resuming after step {self.log['step']}", flush=True)
        else:
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
                self.log["curve"].append({"step": step, "images_per_second": round(rate, 1), **terms})
            if step in keep:  # before the checkpoint, from which a resumed training would not come back to it
                save_snapshot(self.state, self.key, self.ema, self.log)
            stop = asked_to_stop() if step < until else None
            if stop or step % self.train["checkpoint_every"] == 0 or step == until:
                save_checkpoint(self.state, self.key, self.method, self.ema, self.optimizer, self.log)
            if stop:  # nothing is printed before: who reads it may have been stopped too
                raise UserError(
                    f"{self.label}: stopped by {stop} after step {step} of {until}, whose state is kept; run the same "
                    "command again to go on"
                )
            if now - shown >= PROGRESS_SECONDS or step == until:
                shown = now
                left = (until - step) * self.train["batch_size"] / rate
                print(
                    f"{self.label}: step {step}/{until}  loss {terms['loss']:.4f}  {rate:.0f} images/s  "
                    f"{left // 60:.0f}:{left % 60:02.0f} left",
                    flush=True,
                )


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
    args = parser.parse_args(argv)
    with alone(args.state, "training") as waited:
        train(args, waited)


def finished(out: Path, key: str) -> bool:
    """Whether a training with this key has written all its results."""
    whole = (out / "weights.safetensors").is_file() and (out / "training.json").is_file()
    return whole and read_record(out / "training.json").get("key") == key


def train(args: argparse.Namespace, waited: bool = False) -> None:
    """What `main` does once no other process is at the same training; `waited` if one was."""
    settings = read_settings(args.settings, "train")
    device = choose_device(args.device, args.threads)
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
            method, experiment, settings, arrays, seed=args.seed, device=device, state=args.state, key=key
        )
        kept = load_snapshot(args.kept, key, args.until, training.ema) if args.kept and args.until else None
        if kept:
            print(f"{training.label}: the weights of step {args.until} were kept by the whole training", flush=True)
        else:
            training.run(args.until or settings["train"]["steps"], args.keep)
        weights, log = training.ema, kept or training.log
    batch_size = settings["train"]["batch_size"]
    save_weights(args.out / "weights.safetensors", weights)
    record = {
        "parameters": sum(p.numel() for p in method.parameters() if p.requires_grad) if trained else 0,
        "steps": log["step"],
        "images_seen": log["step"] * batch_size,
        "flops": (log["flops_per_step"] or 0) * log["step"],
        "seconds": log["seconds"],
        "peak_memory_bytes": peak_memory(device),
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
    run_command(main)
