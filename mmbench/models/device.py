"""How tensors lie in memory."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def memory_format(device: torch.device) -> torch.memory_format:
    """The order of a convolution's tensors that is fast: channels last on a GPU, channels first on a CPU."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def place(module: M, device: torch.device) -> M:
    """A module on a device, its weights in the order that is fast there."""
    return module.to(device).to(memory_format=memory_format(device))
