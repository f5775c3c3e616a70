"""Vectors that are diffused, alone or beside an image, with the samplers and the parameterisation of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from mmbench.diffusion import loss as losses
from mmbench.diffusion.model import Prediction, to_z0, training_target
from mmbench.diffusion.process import Process


def pack(image: Tensor, vector: Tensor) -> Tensor:
    """An image (n, c, h, w) and a vector (n, d) as one state (n, c h w + d, 1, 1) for a sampler."""
    return torch.cat([image.flatten(1), vector], dim=1)[:, :, None, None]


def unpack(state: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The image (n, *shape) and the vector (n, d) of a state."""
    flat, size = state.flatten(1), shape[0] * shape[1] * shape[2]
    return flat[:, :size].view(-1, *shape), flat[:, size:]


def time_features(t: Tensor, size: int, like: Tensor) -> Tensor:
    """Sines and cosines (n, size) of steps t (n,)."""
    return get_timestep_embedding(t.to(like.device), size, flip_sin_to_cos=True, downscale_freq_shift=0).to(like)


class Parameterisation(nn.Module):
    """What a network predicts about z_0, and what an error in it costs; the same for images and for vectors."""

    def __init__(self, process: Process, prediction: Prediction, max_weight: float) -> None:
        super().__init__()
        self.process, self.prediction, self.max_weight = process, prediction, max_weight

    def error(self, output: Tensor, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Weighted squared error (n,) of a network's output at steps t (n,)."""
        signal, noise = self.process.coefficients(t, z0)
        target = training_target(self.prediction, z0, eps, signal, noise)
        weight = losses.snr_weight(self.prediction, signal, noise, self.max_weight).flatten()
        return weight * losses.simple(output, target)

    def estimate(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of z_0 from a network's output at z_t and steps t (n,)."""
        signal, noise = self.process.coefficients(t, z_t)
        return to_z0(output, self.prediction, z_t, signal, noise)


class VectorDenoiser(nn.Module):
    """A residual MLP on vectors, told the step in each of its blocks."""

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
