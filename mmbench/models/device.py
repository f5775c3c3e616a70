"""The device that computes: its choice, the memory format of its tensors, and the memory that they take."""

from __future__ import annotations

import contextlib
import ctypes
import re
import resource
import sys
from typing import Any, TypeVar

import torch
from torch import nn

from mmbench.errors import UserError

M = TypeVar("M", bound=nn.Module)
#: Parameters of mallopt (glibc's malloc.h), and values larger than any tensor. Older versions accept at most 32 MiB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER, MOST_BEFORE = 2**31 - 1, 32 << 20


def choose_device(name: str, threads: int) -> torch.device:
    """Set the number of threads and pick the device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:<number>`.

    From then on the process keeps the memory that it frees.

    Raises:
        UserError: there is no such device, or this machine lacks it.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    gpu_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if gpu_count else "cpu"
    match = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", name)
    if not match or (name != "cpu" and int(match[1] or 0) >= gpu_count):
        gpus = f"cuda, cuda:0 to cuda:{gpu_count - 1}" if gpu_count else "no GPU that PyTorch can use"
        raise UserError(f"--device: '{name}' is not here; there are auto, cpu and {gpus}")
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for those of the next step, which have the same sizes.

    Otherwise the memory is returned to the system and requested again page by page, which takes a tenth of a training
    step on a CPU. Other C libraries have no such setting.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        if not mallopt(M_MMAP_THRESHOLD, NEVER):
            mallopt(M_MMAP_THRESHOLD, MOST_BEFORE)
        mallopt(M_TRIM_THRESHOLD, NEVER)


def hardware(device: torch.device) -> dict[str, Any]:
    """The hardware of a run: the device, the number of CPU threads, and the name of the GPU if one is used."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"device": str(device), "threads": torch.get_num_threads(), "gpu": name}


def memory_format(device: torch.device) -> torch.memory_format:
    """The memory format in which convolutions are fast: channels last on a GPU, channels first on a CPU."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def place(module: M, device: torch.device) -> M:
    """A module on a device, its weights in the memory format that is fast there."""
    return module.to(device).to(memory_format=memory_format(device))


def peak_memory(device: torch.device) -> int:
    """Peak memory so far in bytes: of the GPU if one is used, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
