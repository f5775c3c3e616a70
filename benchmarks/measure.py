"""Trainings that take turns, each in a process of its own: seconds of a step, and memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from loops import Loop
from torch.utils.flop_counter import FlopCounterMode

from mmbench.models.device import peak_memory
from mmbench.runs.provenance import version

ASK = "answers"
PACKAGES = ("torch", "diffusers", "accelerate", "denoising-diffusion-pytorch")


def cpu_seconds() -> float:
    """Of this process and of those it has started, which may load its data."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]  # to the microsecond
    total = sum(times.ru_utime + times.ru_stime for times in used)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return total


def peak_bytes() -> int:
    """Most memory of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage says may be what the process had that started this one
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return peak_memory(torch.device("cpu"))


def receive(pipe: Connection) -> Any:
    """What another process sends; 0 when it has ended."""
    try:
        return pipe.recv()
    except EOFError:
        return 0


def member(pipe: Connection, make: Callable[..., Loop], arguments: Mapping[str, Any], threads: int) -> None:
    """A process that makes a loop and does as many of its steps as it is told to, or answers, until it is told 0."""
    torch.set_num_threads(threads)
    loop = make(**arguments)
    pipe.send(sum(p.numel() for p in loop.network.parameters()))
    while count := receive(pipe):
        if count == ASK:
            pipe.send(loop.answers())
            continue
        pipe.send({**timed(loop, count), "peak_bytes": peak_bytes()})


def timed(loop: Loop, count: int) -> dict[str, float]:
    """Let a loop make steps; wall and CPU seconds of each."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    loop.steps(count)
    return {"wall": (time.perf_counter() - wall) / count, "cpu": (cpu_seconds() - cpu) / count}


def operations(loop: Loop) -> float:
    """Floating-point operations of a step, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        loop.steps(1)
    return float(counter.get_total_flops())


class Turns:
    """Processes that train in turns, one at a time; a context, at the end of which they end.

    Args:
        loops: by name, the function that makes it and its arguments; both can be sent to another process.
        threads: CPU threads of each.
    """

    def __init__(self, loops: Mapping[str, tuple[Callable[..., Loop], Mapping[str, Any]]], threads: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Any] = {}
        self.processes = []
        self.parameters: dict[str, int] = {}
        for name, (make, arguments) in loops.items():
            self.pipes[name], other = context.Pipe()
            process = context.Process(target=member, args=(other, make, arguments, threads))
            process.start()
            self.processes.append(process)
            other.close()
            self.parameters[name] = self.pipes[name].recv()

    def steps(self, name: str, count: int) -> dict[str, float]:
        """Let one make steps; its seconds for each."""
        self.pipes[name].send(count)
        seconds: dict[str, float] = self.pipes[name].recv()
        return seconds

    def answers(self, name: str) -> dict[str, np.ndarray]:
        """What one makes of its test, with the weights it would be used with."""
        self.pipes[name].send(ASK)
        arrays: dict[str, np.ndarray] = self.pipes[name].recv()
        return arrays

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        """Let all processes end."""
        for pipe in self.pipes.values():
            pipe.close()
        for process in self.processes:
            process.join()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": middle, "low": low, "high": high}


def matmul_rate(precision: str, size: int = 1024, repeats: int = 5) -> float:
    """Floating-point operations in a CPU second of products of square matrices."""
    matrix = torch.randn(size, size).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    matrix @ matrix
    begin = time.process_time()
    for _ in range(repeats):
        matrix @ matrix
    return 2 * size**3 * repeats / (time.process_time() - begin)


def machine() -> dict[str, Any]:
    """What it ran on, beside the provenance."""
    return {"cpus": os.cpu_count(), "load": os.getloadavg(), "packages": {name: version(name) for name in PACKAGES}}
