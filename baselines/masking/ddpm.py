"""The unconditional diffusion model on its own (DDPM, Ho et al. 2020): what generation costs without a second task.

Schedule, prediction and loss weighting are those of the multitask model, so that only the tasks differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.diffusion import loss as losses
from mmbench.diffusion.model import Prediction, to_z0, training_target
from mmbench.diffusion.process import Process, Schedule
from mmbench.diffusion.sampler import noise_like, sample
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import PixelHead, UNet

TITLE = "DDPM"
TASKS = ("generate",)


class Method(BaseMethod):
    """A denoiser of images.

    Args:
        spec: modalities and network.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the loss's weight on an error in z_0 (see `losses.snr_weight`).
    """

    backbone: UNet

    def __init__(
        self, spec: Spec, *, schedule: Schedule = "cosine", prediction: Prediction = "z0", max_weight: float = 10.0
    ) -> None:
        super().__init__(spec)
        self.prediction, self.max_weight = prediction, max_weight
        self.process = Process(schedule=schedule)
        channels = spec.modalities["image"].shape[0]
        self.backbone = UNet(channels, **spec.network)
        self.head = PixelHead(self.backbone, channels)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T."""
        z0 = batch["image"]
        t = torch.randint(1, self.process.steps + 1, (len(z0),), generator=generator)
        eps = noise_like(z0, generator)
        signal, noise = self.process.coefficients(t, z0)
        prediction = self.head(self.backbone(self.process.marginal(z0, [], t, eps), t).map)
        weight = losses.snr_weight(self.prediction, signal, noise, self.max_weight).flatten()
        error = losses.simple(prediction, training_target(self.prediction, z0, eps, signal, noise))
        return {"loss": (weight * error).mean()}

    def denoise(self, z_t: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The estimate of z_0, and no encodings."""
        signal, noise = self.process.coefficients(t, z_t)
        z0 = to_z0(self.head(self.backbone(z_t, t).map), self.prediction, z_t, signal, noise)
        return z0.clamp(-1, 1), []

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Draw images from noise."""
        device = next(self.parameters()).device
        noise = noise_like(torch.empty(count, *self.spec.modalities["image"].shape, device=device), generator)
        z0 = sample(self.process, self.denoise, noise, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        return {"image": z0}
