"""The device that computes: which one, how its tensors lie in memory, and how much memory they take."""

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
#: Of mallopt (glibc's malloc.h): what to change, and sizes beyond any tensor. Older versions take 32 MiB at most.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER, MOST_BEFORE = 2**31 - 1, 32 << 20


def choose_device(name: str, threads: int) -> torch.device:
    """Set the number of threads and pick the device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:<number>`.

    From then on the process keeps what it frees.

    Raises:
        UserError: there is no such device, or not here.
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


def memory_format(device: torch.device) -> torch.memory_format:
    """The order of a convolution's tensors that is fast: channels last on a GPU, channels first on a CPU."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def place(module: M, device: torch.device) -> M:
    """A module on a device, its weights in the order that is fast there."""
    return module.to(device).to(memory_format=memory_format(device))


def peak_memory(device: torch.device) -> int:
    """Largest memory so far in bytes: of the GPU if one is used, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
