"""How tensors lie in memory."""

from __future__ import annotations

import torch


def memory_format(device: torch.device) -> torch.memory_format:
    """The order of a convolution's tensors that is fast: channels last on a GPU, channels first on a CPU."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format
