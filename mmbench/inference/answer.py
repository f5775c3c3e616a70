"""A method's answers to the cases of an experiment, in batches; the noise of an item is the same for all methods."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, to_batch, to_stored
from mmbench.files.store import Arrays
from mmbench.method import Method, Noise, Sampling, Task
from mmbench.models.diffusion import sampler


class Evaluations:
    """Counts the evaluations of a network, in items."""

    def __init__(self, network: torch.nn.Module | None) -> None:
        self.items = 0
        if network is not None:
            network.register_forward_pre_hook(self._count)

    def _count(self, _network: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        self.items += len(inputs[0])


def unused_modalities(task: Task, settings: Mapping[str, Any]) -> set[str]:
    """The inputs of a task that are not among the modalities in `settings`; none if `settings` does not list any."""
    return set(task.given) - set(settings.get("modalities", task.given))


def stored(method: Method, task: Task, answer: Any, count: int) -> Arrays:
    """The result of a method's `predict` for `count` items, as predictions.npz stores it.

    Raises:
        UserError: it lacks a tensor for an output modality, or a tensor is not an answer of its kind.
    """
    where = f"{inspect.getfile(type(method))}: predict: task '{task.name}'"
    remedy = f"return a tensor for each of {', '.join(task.want)}"
    if not isinstance(answer, Mapping):
        raise UserError(f"{where}: got a {type(answer).__name__}; {remedy}")
    for name in task.want:
        if not isinstance(answer.get(name), Tensor):
            kind = f"is a {type(answer[name]).__name__}" if name in answer else "is missing"
            raise UserError(f"{where}: '{name}' {kind}; {remedy}")
    for name in answer:
        if name not in task.want:
            raise UserError(f"{where}: '{name}' is not wanted; {remedy}")
    try:
        return to_stored(dict(answer), method.spec.modalities, count)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


@torch.no_grad()
def answer_case(
    method: Method,
    task: Task,
    case: Case,
    *,
    sampling: Sampling,
    batch_size: int,
    device: torch.device,
    seed: int = 0,
    draws: int = 1,
    trace: sampler.Trace | None = None,
) -> Arrays:
    """Answer one case in batches; the noise of an item depends only on its place, not on batch, case or method.

    Args:
        seed: seed of the noise, from 0; the benchmark uses 0.
        draws: how many times the case holds each item, consecutively; each item gets that many answers.
        trace: receives the trajectory of the case's first item, if a sampler made it.
    """
    parts: list[Arrays] = []
    for start in range(0, case.count, batch_size):
        end = min(start + batch_size, case.count)
        given = to_batch({name: x[start:end] for name, x in case.given.items()}, method.spec.modalities, device)
        with sampler.watch(trace) if trace is not None and start == 0 else nullcontext():
            answer = method.predict(task, given, end - start, sampling, Noise(seed, start, draws))
        parts.append(stored(method, task, answer, end - start))
    return {f"{case.name}/{name}": np.concatenate([part[name] for part in parts]) for name in task.want}
