"""What the stages that run a network share: device, threads, the method built for an experiment's data, memory used."""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmbench.experiments import Experiment, load_experiment
from mmbench.files import read_json
from mmbench.method import Method, Spec, load_method


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that training and prediction have in common."""
    parser.add_argument("--settings", type=Path, required=True, help="JSON with the sections this stage needs")
    parser.add_argument("--method", type=Path, required=True, help="the method's file")
    parser.add_argument("--data", type=Path, required=True, help="folder that mmbench.prepare_data wrote")
    parser.add_argument("--seed", type=int, required=True, help="seed of the weights, the batches and the noise")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to compute with")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="the method's folder of this seed")


def choose_device(name: str, threads: int) -> torch.device:
    """Set the number of threads and pick the device."""
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def build_method(settings: Mapping[str, Any], file: Path, data: Path) -> tuple[Method, Experiment]:
    """The method of `file` with `settings`, for the experiment they name and the data in `data`."""
    experiment = load_experiment(settings["experiment"])
    modalities = experiment.modalities(read_json(data / "card.json"))
    spec = Spec(modalities, settings["network"], settings["method_settings"])
    return load_method(file, spec), experiment


def peak_memory(device: torch.device) -> int:
    """Largest memory so far in bytes: of the GPU if one is used, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
