"""What the stages that run a network share: device, threads, the method built for an experiment's data, memory used."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import re
import resource
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

import torch

from mmbench.config.discovery import claimed_tasks, read_literals
from mmbench.errors import UserError, counting_number, seed_number
from mmbench.experiments.experiment import Experiment, load_experiment, used_modalities
from mmbench.method import Kind, Method, Spec, load_method
from mmbench.runs.records import read_card

#: Of mallopt (glibc's malloc.h): what to change, and sizes beyond any tensor. Older versions take 32 MiB at most.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER, MOST_BEFORE = 2**31 - 1, 32 << 20


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that training and prediction have in common."""
    parser.add_argument("--settings", type=Path, required=True, help="JSON with the sections this stage needs")
    parser.add_argument("--method", type=Path, required=True, help="the method's file")
    parser.add_argument("--data", type=Path, required=True, help="folder that mmbench.stages.data wrote")
    parser.add_argument("--seed", type=seed_number, required=True, help="seed of weights, batches and noise")
    parser.add_argument("--threads", type=counting_number, default=1, help="CPU threads to compute with")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="the method's folder of this seed")


def choose_device(name: str, threads: int) -> torch.device:
    """Set the number of threads and pick the device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:<number>`.

    From then on the process keeps what it frees.

    Raises:
        UserError: there is no such device, or not here.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if there else "cpu"
    found = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", name)
    if not found or (name != "cpu" and int(found[1] or 0) >= there):
        gpus = f"cuda, cuda:0 to cuda:{there - 1}" if there else "no GPU that PyTorch can use"
        raise UserError(f"--device: '{name}' is not here; there are auto, cpu and {gpus}")
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let glibc keep the memory of tensors that are gone for those of the next step, which are of the same sizes.

    Otherwise it is given back and fetched anew page by page, a tenth of a training step on a CPU. Other C libraries
    cannot be told.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        if not mallopt(M_MMAP_THRESHOLD, NEVER):
            mallopt(M_MMAP_THRESHOLD, MOST_BEFORE)
        mallopt(M_TRIM_THRESHOLD, NEVER)


def hardware(device: torch.device) -> dict[str, Any]:
    """What computes: the device, the CPU threads, and the name of the GPU if one is used."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"device": str(device), "threads": torch.get_num_threads(), "gpu": name}


def build_method(settings: Mapping[str, Any], file: Path, data: Path) -> tuple[Method, Experiment]:
    """The method of `file` with `settings`, for the experiment they name and the data in `data`.

    Raises:
        UserError: the method needs a modality that is not there.
    """
    experiment = load_experiment(settings["experiment"])
    modalities = used_modalities(experiment, read_card(data), settings)
    check_needs(file, experiment, modalities)
    spec = Spec(modalities, settings["network"], settings["method_settings"])
    return load_method(file, spec), experiment


def check_needs(file: Path, experiment: Experiment, modalities: Collection[str]) -> None:
    """Check that what a method of few modalities needs is there: those it says it answers, and its tasks give.

    Raises:
        UserError: one of them is not.
    """
    literals = read_literals(file)
    answers = literals.get("ANSWERS", ())
    claimed = claimed_tasks(literals["TASKS"], experiment.TASKS)
    given = {name for task in claimed for name in experiment.TASKS[task].given} & set(get_args(Kind))
    for name in sorted({*answers, *given} if answers else ()):
        if name not in modalities:
            raise UserError(
                f"{file}: needs the modality '{name}', which is not among {', '.join(modalities)}; leave the method "
                "out by the profile's `methods`, or take a data set that has it"
            )


def peak_memory(device: torch.device) -> int:
    """Largest memory so far in bytes: of the GPU if one is used, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
