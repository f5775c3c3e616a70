"""Vectors that are diffused, alone or together with an image, with the samplers of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.models.nets import blocks


def pack(image: Tensor, vector: Tensor) -> Tensor:
    """An image (n, c, h, w) and a vector (n, d) as one state (n, c h w + d, 1, 1) for a sampler."""
    return torch.cat([image.flatten(1), vector], dim=1)[:, :, None, None]


def unpack(state: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The image (n, *shape) and the vector (n, d) of a state."""
    flat, size = state.flatten(1), shape[0] * shape[1] * shape[2]
    return flat[:, :size].view(-1, *shape), flat[:, size:]


def time_features(t: Tensor, size: int, like: Tensor) -> Tensor:
    """Cosines and sines (n, size) of steps t (n,), of the type and on the device of `like`."""
    return blocks.time_features(t.to(like.device), size).to(like)


class VectorDenoiser(nn.Module):
    """A residual MLP on vectors, conditioned on the step in each of its blocks."""

    def __init__(self, size: int, width: int, blocks: int) -> None:
        super().__init__()
        self.width = width
        self.enter, self.leave = nn.Linear(size, width), nn.Linear(width, size)
        self.time = nn.Linear(width, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )

    def forward(self, z_t: Tensor, t: Tensor) -> Tensor:
        """The network's prediction (n, d) at z_t (n, d) and steps t (n,)."""
        time = F.silu(self.time(time_features(t, self.width, z_t)))
        x = self.enter(z_t)
        for block in self.blocks:
            x = x + block(x + time)
        return self.leave(x)
