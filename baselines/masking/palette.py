"""Conditional diffusion in the manner of Palette (Saharia et al. 2022): the masked image is concatenated to z_t.

As in the paper, inpainting is trained on the hidden pixels only. Known pixels are then nothing the network learns to
predict, so every step puts them into the estimate of z_0, which keeps z_t there what it was in training.

Departures: the paper marks the hole by filling it with noise, here it is 0 with a visibility channel, as for every
other method; schedule, prediction and loss weighting are those of the multitask model.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.model import Prediction, to_z0, training_target
from mmbench.models.diffusion.process import Process, Schedule
from mmbench.models.diffusion.sampler import noise_like, sample
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "Palette"
TASKS = ("reconstruct",)

Region = Literal["hole", "image"]


class Method(BaseMethod):
    """A denoiser of images that also sees the masked image.

    Args:
        spec: modalities and network.
        region: pixels that the loss counts: those of the `hole` (the paper's choice) or of the whole `image`.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the loss's weight on an error in z_0 (see `losses.snr_weight`).
    """

    backbone: UNet

    def __init__(
        self,
        spec: Spec,
        *,
        region: Region = "hole",
        schedule: Schedule = "cosine",
        prediction: Prediction = "z0",
        max_weight: float = 10.0,
    ) -> None:
        super().__init__(spec)
        if region not in get_args(Region):
            raise UserError(f"palette: region: '{region}' is not one of {', '.join(get_args(Region))}; choose one")
        self.region, self.prediction, self.max_weight = region, prediction, max_weight
        self.process = Process(schedule=schedule)
        channels = spec.modalities["image"].shape[0]
        self.backbone = UNet(channels + spec.modalities["masked_image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, channels)

    def forward(self, z_t: Tensor, t: Tensor, masked: Tensor) -> Tensor:
        """The network's prediction (n, 3, h, w) at z_t (n, 3, h, w), given the masked image (n, 4, h, w)."""
        return self.head(self.backbone(torch.cat([z_t, masked], dim=1), t).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T, over the region's pixels."""
        z0, masked = batch["image"], batch["masked_image"]
        t = torch.randint(1, self.process.steps + 1, (len(z0),), generator=generator)
        eps = noise_like(z0, generator)
        signal, noise = self.process.coefficients(t, z0)
        target = training_target(self.prediction, z0, eps, signal, noise)
        error = (self(self.process.marginal(z0, [], t, eps), t, masked) - target) ** 2
        error = error * losses.snr_weight(self.prediction, signal, noise, self.max_weight)
        counted = 1 - masked[:, -1:] if self.region == "hole" else torch.ones_like(masked[:, -1:])
        return {"loss": (counted * error).sum() / (counted.sum() * error.shape[1]).clamp(min=1)}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Sample z_0 with the known pixels in every estimate of it."""
        masked = given["masked_image"]
        colours, seen = masked[:, :-1], masked[:, -1:]

        def denoise(z_t: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
            signal, noise = self.process.coefficients(t, z_t)
            z0 = to_z0(self(z_t, t, masked), self.prediction, z_t, signal, noise).clamp(-1, 1)
            return seen * colours + (1 - seen) * z0, []

        noise = noise_like(colours, generator)
        z0 = sample(self.process, denoise, noise, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        return {"image": z0}
