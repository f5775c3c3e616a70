"""Conditional diffusion of the class map given the image, in the manner of SegDiff (Amit et al. 2021).

The map is one-hot in [-1, 1]; several maps are sampled for an image and averaged.

Departures: the paper encodes the image by a separate network and adds the result to the encoding of z_t; here the image
is concatenated to z_t and the backbone is that of every other method. The samples share the evaluations that every
method has for one answer. Schedule, prediction and loss weighting are those of the multitask model.
"""

from __future__ import annotations

from typing import Unpack

import torch
from _class_maps import from_analog, masked_mean, to_analog
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "SegDiff-like"
TASKS = ("segment",)
SAMPLES = True


class Method(DiffusionMethod):
    """A denoiser of class maps, conditioned on the image.

    Args:
        spec: modalities and network.
        draws: number of maps that are sampled for an image and averaged; they share its evaluations.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, draws: int = 5, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        if draws < 1:
            raise UserError(f"segdiff: draws: {draws} is less than 1; give a whole number from 1")
        self.draws = draws
        self.classes = spec.modalities["mask"].classes
        self.backbone = UNet(self.classes + spec.modalities["image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, self.classes)

    def forward(self, z_t: Tensor, t: Tensor, image: Tensor) -> Tensor:
        """The network's prediction (n, classes, h, w) at z_t (n, classes, h, w), given the image (n, 3, h, w)."""
        return self.head(self.backbone(torch.cat([z_t, image], dim=1), t).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T, over the labelled pixels."""
        z0 = to_analog(batch["mask"], self.classes)
        t = self.draw_steps(len(z0), generator)
        z_t, eps = self.noised(z0, t, generator)
        error, weight = self.errors(self(z_t, t, batch["image"]), z0, eps, t)
        return {"loss": masked_mean(weight * error, batch["mask"])}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The most probable class in the mean of the sampled maps."""
        image = given["image"]

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            return self.estimate(self(z_t, t, image), z_t, t).clamp(-1, 1)

        total = image.new_zeros(count, self.classes, *image.shape[2:])
        draws = min(self.draws, sampling.nfe)
        for _ in range(draws):
            total += self.draw(estimate, noise_like(total, generator), sampling, generator, nfe=sampling.nfe // draws)
        return {"mask": from_analog(total)}
