"""Conditional diffusion in the manner of Palette (Saharia et al. 2022): the masked image is concatenated to z_t.

As in the paper, inpainting is trained on the hidden pixels only. The network then does not learn to predict known
pixels, so every step puts them into the estimate of z_0, which keeps z_t there as it was in training.

Departures: the paper fills the hidden region with noise; here it is 0 and a channel marks the visible pixels, as for
every other method. Schedule, prediction and loss weighting are those of the multitask model.
"""

from __future__ import annotations

from typing import Literal, Unpack, get_args

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "Palette"
TASKS = ("reconstruct",)
SAMPLES = True

Region = Literal["hole", "image"]


class Method(DiffusionMethod):
    """A denoiser of images, conditioned on the masked image.

    Args:
        spec: modalities and network.
        region: pixels of the loss: the hidden ones (`hole`, the paper's choice) or those of the whole `image`.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, region: Region = "hole", **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        if region not in get_args(Region):
            raise UserError(f"palette: region: '{region}' is not one of {', '.join(get_args(Region))}; choose one")
        self.region = region
        channels = spec.modalities["image"].shape[0]
        self.backbone = UNet(channels + spec.modalities["masked_image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, channels)

    def forward(self, z_t: Tensor, t: Tensor, masked: Tensor) -> Tensor:
        """The network's prediction (n, 3, h, w) at z_t (n, 3, h, w), given the masked image (n, 4, h, w)."""
        return self.head(self.backbone(torch.cat([z_t, masked], dim=1), t).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T, over the region's pixels."""
        z0, masked = batch["image"], batch["masked_image"]
        t = self.draw_steps(len(z0), generator)
        z_t, eps = self.noised(z0, t, generator)
        error, weight = self.errors(self(z_t, t, masked), z0, eps, t)
        counted = 1 - masked[:, -1:] if self.region == "hole" else torch.ones_like(masked[:, -1:])
        return {"loss": (counted * (weight * error)).sum() / (counted.sum() * error.shape[1]).clamp(min=1)}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Sample z_0; known pixels replace those of every estimate of it."""
        masked = given["masked_image"]
        colours, seen = masked[:, :-1], masked[:, -1:]

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            z0 = self.estimate(self(z_t, t, masked), z_t, t).clamp(-1, 1)
            return seen * colours + (1 - seen) * z0

        return {"image": self.draw(estimate, noise_like(colours, generator), sampling, generator)}
