"""A denoiser that knows the answer, in place of a diffusion baseline's network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmbench.method import Method
from mmbench.models.diffusion.parameterisation import training_target
from mmbench.models.nets.unet import Features

Truth = Tensor | Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


class Oracle(nn.Module):
    """A backbone whose features, read by no head, make `truth` the estimate of z_0.

    `truth` is z_0 or `truth(z_t, signal, noise, vector)`, which returns it, for images.
    """

    def __init__(self, method: Method, truth: Truth) -> None:
        super().__init__()
        self.process, self.kind, self.truth = method.process, method.prediction, truth
        self.channels = truth.shape[1] if isinstance(truth, Tensor) else 3
        self.vector_width = getattr(method.backbone, "vector_width", 0)
        self.device = nn.Parameter(torch.zeros(1))  # a method computes where its parameters are

    def forward(self, x: Tensor, t: Tensor, vector: Tensor | None = None) -> Features:
        z_t = x[:, : self.channels]
        signal, noise = self.process.coefficients(t, z_t)
        z0 = self.truth if isinstance(self.truth, Tensor) else self.truth(z_t, signal, noise, vector)
        target = training_target(self.kind, z0, (z_t - signal * z0) / noise, signal, noise)
        return Features(target, target.flatten(2).mean(dim=2) if target.dim() > 2 else target)
