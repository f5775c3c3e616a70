"""Conditional diffusion of the class map in the manner of SegDiff (Amit et al. 2021): image given, map drawn.

The map is one-hot in [-1, 1]; several maps are drawn for an image and averaged.

Departures: the paper encodes the image by a network of its own and adds it to that of z_t; here the image is
concatenated to z_t and the backbone is the one of every other method. The draws share the evaluations that every method
has, instead of each having as many. Schedule, prediction and loss weighting are those of the multitask model.
"""

from __future__ import annotations

import torch
from _class_maps import from_analog, masked_mean, to_analog
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.model import Prediction, to_z0, training_target
from mmbench.models.diffusion.process import Process, Schedule
from mmbench.models.diffusion.sampler import noise_like, sample
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "SegDiff-like"
TASKS = ("segment",)


class Method(BaseMethod):
    """A denoiser of class maps that also sees the image.

    Args:
        spec: modalities and network.
        draws: maps that are drawn for an image and averaged; they share its evaluations.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the loss's weight on an error in z_0 (see `losses.snr_weight`).
    """

    backbone: UNet

    def __init__(
        self,
        spec: Spec,
        *,
        draws: int = 5,
        schedule: Schedule = "cosine",
        prediction: Prediction = "z0",
        max_weight: float = 10.0,
    ) -> None:
        super().__init__(spec)
        if draws < 1:
            raise UserError(f"segdiff: draws: {draws} is less than 1; give a whole number from 1")
        self.draws, self.prediction, self.max_weight = draws, prediction, max_weight
        self.process = Process(schedule=schedule)
        self.classes = spec.modalities["mask"].classes
        self.backbone = UNet(self.classes + spec.modalities["image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, self.classes)

    def forward(self, z_t: Tensor, t: Tensor, image: Tensor) -> Tensor:
        """The network's prediction (n, classes, h, w) at z_t (n, classes, h, w), given the image (n, 3, h, w)."""
        return self.head(self.backbone(torch.cat([z_t, image], dim=1), t).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T, over the labelled pixels."""
        z0 = to_analog(batch["mask"], self.classes)
        t = torch.randint(1, self.process.steps + 1, (len(z0),), generator=generator)
        eps = noise_like(z0, generator)
        signal, noise = self.process.coefficients(t, z0)
        target = training_target(self.prediction, z0, eps, signal, noise)
        error = (self(self.process.marginal(z0, [], t, eps), t, batch["image"]) - target) ** 2
        weight = losses.snr_weight(self.prediction, signal, noise, self.max_weight)
        return {"loss": masked_mean(weight * error, batch["mask"])}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """The class that is likeliest in the mean of the drawn maps."""
        image = given["image"]

        def denoise(z_t: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
            signal, noise = self.process.coefficients(t, z_t)
            return to_z0(self(z_t, t, image), self.prediction, z_t, signal, noise).clamp(-1, 1), []

        total = image.new_zeros(count, self.classes, *image.shape[2:])
        draws = min(self.draws, sampling.nfe)
        for _ in range(draws):
            nfe, start = sampling.nfe // draws, noise_like(total, generator)
            total += sample(self.process, denoise, start, sampler=sampling.sampler, nfe=nfe, generator=generator)
        return {"mask": from_analog(total)}
