"""One training: its batches, its steps, what is recorded of them, and what is kept to go on from.

Step k draws everything from a generator seeded with (seed, k), so methods see the same batches in the same order, and a
resumed training repeats nothing and skips nothing. With `train.shards` a batch is computed in so many equal parts, each
with a generator of its own, and a team of processes shares them: what is learnt does not depend on how many there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.experiments.experiment import Experiment, to_batch
from mmbench.method import Batch, Method
from mmbench.models.device import place
from mmbench.training.adam import Adam
from mmbench.training.checkpoint import load_checkpoint, remove_snapshots, save_checkpoint, save_snapshot
from mmbench.training.flops import Operations
from mmbench.training.gradients import cosines, mean_gradients, term_gradients
from mmbench.training.processes import Team
from mmbench.training.schedule import batch_indices, learning_rate, step_generator, update_ema
from mmbench.training.signals import stop_requests

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
        self.optimizer = Adam(self.parameters)
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
        self.optimizer.step(learning_rate(step, self.train))
        self.optimizer.zero_grad()
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
        with Operations() as operations:
            terms = self.step(step)
        self.log["flops_per_step"] = self.team.size * operations.total
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
