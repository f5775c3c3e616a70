"""One training run: its batches, its steps, its records, and its checkpoints.

All randomness of step k comes from a generator seeded with (seed, k), so methods have the same batches in the same
order, and a resumed run neither repeats nor skips a step. With `train.shards` a batch is computed in that many equal
parts, each with its own generator, and a team of processes shares them: the result does not depend on the number of
processes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.experiments.experiment import Experiment, to_batch
from mmbench.method import Batch, Method
from mmbench.modalities import MIRRORED, Modality, kind_of
from mmbench.models.device import place
from mmbench.training.adam import Adam
from mmbench.training.checkpoint import load_checkpoint, remove_snapshots, save_checkpoint, save_snapshot
from mmbench.training.flops import Operations
from mmbench.training.gradients import (
    add_gradients,
    add_vectors,
    check_terms,
    cosines,
    flatten,
    set_gradients,
    term_gradients,
)
from mmbench.training.processes import Team
from mmbench.training.schedule import batch_indices, learning_rate, step_generator, update_ema
from mmbench.training.signals import stop_signals
from mmbench.training.validation import mean_terms, plan

PROGRESS_SECONDS = 10.0
CURVE_POINTS, COSINE_POINTS = 100, 20


def new_log() -> dict[str, Any]:
    """The record of a training run before its first step."""
    return {
        "step": 0,
        "seconds": 0.0,
        "flops_per_step": None,
        "curve": [],
        "validation_curve": [],
        "gradient_cosines": [],
    }


class Training:
    """One training run of a method: its data, optimiser, averaged weights and progress.

    Args:
        experiment: the experiment, which makes training batches.
        settings: the section `train`, and the others for the checkpoint's key.
        modalities: the modalities of a batch, those of the experiment on these data; the method may use fewer.
        state: folder of the checkpoint.
        key: identifies the training run; a checkpoint with another key is not used.
        team: the processes that share the shards of each batch.
        validation: the stored validation set, if the loss on it is to be recorded.
    """

    def __init__(
        self,
        method: Method,
        experiment: Experiment,
        settings: Mapping[str, Any],
        arrays: Mapping[str, Any],
        *,
        modalities: Mapping[str, Modality],
        seed: int,
        device: torch.device,
        state: Path,
        key: str,
        team: Team | None = None,
        validation: Mapping[str, Any] | None = None,
    ) -> None:
        self.method, self.experiment, self.train = place(method, device), experiment, settings["train"]
        self.label = f"{settings['method']} seed {seed}"
        self.modalities = modalities
        used = {name: array for name, array in arrays.items() if name.removesuffix(MIRRORED) in modalities}
        self.data = {name: torch.from_numpy(array).to(device) for name, array in used.items()}
        self.items = len(next(iter(self.data.values())))
        self.validation = {name: array for name, array in (validation or {}).items() if name in modalities}
        self.seed, self.device, self.state, self.key, self.team = seed, device, state, key, team or Team()
        self.shards = self.train.get("shards", 1)
        self.parameters = [p for p in method.parameters() if p.requires_grad]
        self.optimizer = Adam(self.parameters)
        self.ema = {name: value.detach().clone() for name, value in method.state_dict().items()}
        state_dict = self.method.state_dict()
        self.average = [(self.ema[n], value) for n, value in state_dict.items() if value.is_floating_point()]
        self.log = new_log()

    def batch(self, step: int, generator: torch.Generator, shard: int = 0) -> Batch:
        """The training batch of `step`, or a shard of it, half of its items mirrored if `train.flip` is on.

        The spatial modalities of an item are mirrored together. For a modality that is not spatial, an array
        `<modality>_mirrored` has the values of mirrored items, if there is one.
        """
        indices = batch_indices(self.seed, step, self.train["batch_size"], self.items)
        indices = indices.tensor_split(self.shards)[shard].to(self.device)
        batch = to_batch({name: value[indices] for name, value in self.data.items()}, self.modalities, self.device)
        if self.train["flip"]:
            mirrored = (torch.rand(len(indices), generator=generator) < 0.5).to(self.device)
            for name in [name for name in batch if name in self.modalities]:
                turned = batch.pop(f"{name}{MIRRORED}", kind_of(self.modalities[name]).mirrored(batch[name]))
                shape = (-1, *[1] * (turned.dim() - 1))
                batch[name] = torch.where(mirrored.view(shape), turned, batch[name])
        return self.experiment.training_batch(batch, self.modalities, generator)

    def step(self, step: int) -> dict[str, Tensor]:
        """One update of the weights; returns the loss terms, whose computation may still be in progress.

        Raises:
            UserError: the result of the method's `loss` has another form than documented, or is not finite.
        """
        total: list[Tensor] = []  # summed over the shards: the gradient of each parameter, and last the terms
        pulls: dict[str, Tensor] = {}  # summed over the shards: the gradient of each term, if gradients are compared
        for shard in self.team.share(self.shards):
            generator = step_generator(self.seed, *([step] if self.shards == 1 else [step, shard]))
            torch.manual_seed(generator.initial_seed() ^ 1)  # for code that takes no generator, e.g. dropout
            batch = self.batch(step, generator, shard)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.train["precision"] == "bf16"):
                terms = self.method.loss(batch, generator)
            check_terms(terms, self.method)
            if torch.isfinite(terms["loss"]):
                if self.compares(step):
                    add_vectors(pulls, term_gradients(terms, self.method.backbone.parameters()))
                self.method.backward(terms)
            if self.shards > 1:
                total = add_gradients(total, self.parameters, terms)
        if self.shards > 1:
            mean = self.team.sum(flatten(total)) / self.shards
            terms = dict(zip(terms, set_gradients(self.parameters, total, mean), strict=True))
        if not torch.isfinite(terms["loss"]):
            raise self.diverged(step, terms["loss"].item())
        if self.compares(step):
            self.record_cosines(step, pulls)
        torch.nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
        self.optimizer.step(learning_rate(step, self.train))
        self.optimizer.zero_grad()
        update_ema(self.average, self.train["ema"], step)
        return {name: value.detach() for name, value in terms.items()}

    def compares(self, step: int) -> bool:
        """Whether the gradients of the terms are compared in a step; never in the step whose operations are counted."""
        due = step % max(1, self.train["steps"] // COSINE_POINTS) == 0 and self.log["flops_per_step"] is not None
        return due and getattr(self.method, "backbone", None) is not None

    def record_cosines(self, step: int, pulls: Mapping[str, Tensor]) -> None:
        """Record the cosines between the terms' gradients of the backbone's weights."""
        if pairs := cosines({name: self.team.sum(vector) for name, vector in pulls.items()}):
            self.log["gradient_cosines"].append({"step": step, "pairs": pairs})

    def diverged(self, step: int, loss: float) -> UserError:
        """The error for a loss that is not finite."""
        return UserError(
            f"{self.label}: the loss is {loss} at step {step}; lower train.learning_rate (now "
            f"{self.train['learning_rate']}) and run again (the last checkpoint in {self.state} is kept)"
        )

    def counted_step(self, step: int) -> dict[str, Tensor]:
        """`step`, counting its floating-point operations once."""
        if self.log["flops_per_step"] is not None:
            return self.step(step)
        with Operations() as operations:
            terms = self.step(step)
        self.log["flops_per_step"] = self.team.size * operations.total
        return terms

    def run(self, until: int, keep: Collection[int] = ()) -> None:
        """Train from the last checkpoint, or the start, to step `until`; keep snapshots after the steps `keep`.

        Raises:
            UserError: the process was asked to stop; its progress is kept.
        """
        self.log = load_checkpoint(self.state, self.key, self.method, self.ema, self.optimizer) or self.log
        self.check_same(self.log["step"])
        if self.log["step"]:
            print(f"{self.label}: resuming after step {self.log['step']}", flush=True)
        elif self.team.first:
            remove_snapshots(self.state)
        self.method.train()
        first, seconds, begin = self.log["step"], self.log["seconds"], time.monotonic()
        shown = begin
        with stop_signals() as received:
            for step in range(first + 1, until + 1):
                terms = self.counted_step(step)
                now = time.monotonic()
                rate = (step - first) * self.train["batch_size"] / (now - begin)
                self.log |= {"step": step, "seconds": seconds + now - begin}
                self.record_point(step, terms, rate)
                self.record_validation(step)
                # the snapshot first: a run that resumes from the checkpoint would not repeat this step
                if step in keep and self.team.first:
                    save_snapshot(self.state, self.key, self.ema, self.log)
                stop = received() if step < until else None
                stopped = self.team.any(stop is not None)
                if stopped or step % self.train["checkpoint_every"] == 0 or step == until:
                    self.save(step)
                if stopped:  # nothing is printed before, since the reader of the output may have been stopped too
                    raise UserError(
                        f"{self.label}: stopped by {stop or 'another process'} after step {step} of {until}, whose "
                        "state is kept; run the same command again to go on"
                    )
                if now - shown >= PROGRESS_SECONDS or step == until:
                    shown = now
                    print(progress_line(self.label, step, until, float(terms["loss"]), rate, self.train), flush=True)

    def validation_batches(self, items: int) -> Iterator[tuple[Batch, torch.Generator]]:
        """The first items of the validation set in batches of at most a shard's size, each with its generator."""
        size = self.train["batch_size"] // self.shards
        for start in range(0, items, size):
            part = slice(start, min(start + size, items))
            stored = {name: array[part] for name, array in self.validation.items()}
            batch = to_batch(stored, self.modalities, self.device)
            generator = step_generator(self.seed, 0, start)  # no training step is 0
            yield self.experiment.training_batch(batch, self.modalities, generator), generator

    def record_validation(self, step: int) -> None:
        """Record the terms of the validation items, if `step` is one of the steps for it."""
        if not self.validation or not self.team.first:
            return
        every, items = plan(self.train, len(next(iter(self.validation.values()))))
        if step % every == 0 or step == self.train["steps"]:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.train["precision"] == "bf16"):
                terms = mean_terms(self.method, self.validation_batches(items))
            self.log["validation_curve"].append({"step": step, **terms})

    def record_point(self, step: int, terms: Mapping[str, Tensor], rate: float) -> None:
        """Record the terms of a step, if it is one of about `CURVE_POINTS` steps, and images per second so far."""
        steps = self.train["steps"]
        if step % max(1, steps // CURVE_POINTS) == 0 or step == steps:
            values = {name: float(value) for name, value in terms.items()}
            self.log["curve"].append({"step": step, "images_per_second": round(rate, 1), **values})

    def save(self, step: int) -> None:
        """Store the state after `step`, after checking that all processes have the same."""
        self.check_same(step)
        if self.team.first:
            save_checkpoint(self.state, self.key, self.method, self.ema, self.optimizer, self.log)

    def check_same(self, step: int) -> None:
        """Check that all processes have the same weights; the first process will write its own."""
        self.team.check_same(self.method.state_dict(), step, self.state)


def progress_line(label: str, step: int, until: int, loss: float, rate: float, train: Mapping[str, Any]) -> str:
    """The progress of a training run and its remaining time in minutes and seconds, for `mmbench.cli.progress`."""
    left = (until - step) * train["batch_size"] / rate
    minutes, seconds = divmod(left, 60)
    return f"{label}: step {step}/{until}  loss {loss:.4f}  {rate:.0f} images/s  {minutes:.0f}:{seconds:02.0f} left"
