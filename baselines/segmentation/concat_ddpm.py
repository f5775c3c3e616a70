"""One DDPM over image and class map side by side: both are noised as channels of one z_0, no space is shared.

It is the obvious joint model: it draws both at once, and does the other tasks as RePaint (Lugmayr et al. 2022) does
inpainting, with what is known put in at every step. Nothing tells the network which channels are known.

Schedule, prediction and loss weighting are those of the multitask model. Image and map count alike in the loss,
whatever their numbers of channels.
"""

from __future__ import annotations

import torch
from _class_maps import from_analog, masked_mean, to_analog
from torch import Tensor

from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.model import Prediction, to_z0, training_target
from mmbench.models.diffusion.process import Process, Schedule
from mmbench.models.diffusion.sampler import noise_like, sample
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "Concatenated DDPM"
TASKS = ("segment", "paint", "generate")


class Method(BaseMethod):
    """A denoiser of images and class maps.

    Args:
        spec: modalities and network.
        mask_weight: weight of the map's loss beside 1 for the image's.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the loss's weight on an error in z_0 (see `losses.snr_weight`).
    """

    backbone: UNet

    def __init__(
        self,
        spec: Spec,
        *,
        mask_weight: float = 1.0,
        schedule: Schedule = "cosine",
        prediction: Prediction = "z0",
        max_weight: float = 10.0,
    ) -> None:
        super().__init__(spec)
        self.mask_weight, self.prediction, self.max_weight = mask_weight, prediction, max_weight
        self.process = Process(schedule=schedule)
        self.colours, self.classes = spec.modalities["image"].shape[0], spec.modalities["mask"].classes
        self.backbone = UNet(self.colours + self.classes, **spec.network)
        self.head = PixelHead(self.backbone, self.colours + self.classes)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T: of the image, and of labelled pixels."""
        z0 = torch.cat([batch["image"], to_analog(batch["mask"], self.classes)], dim=1)
        t = torch.randint(1, self.process.steps + 1, (len(z0),), generator=generator)
        eps = noise_like(z0, generator)
        signal, noise = self.process.coefficients(t, z0)
        prediction = self.head(self.backbone(self.process.marginal(z0, [], t, eps), t).map)
        error = (prediction - training_target(self.prediction, z0, eps, signal, noise)) ** 2
        error = error * losses.snr_weight(self.prediction, signal, noise, self.max_weight)
        image = error[:, : self.colours].mean()
        mask = self.mask_weight * masked_mean(error[:, self.colours :], batch["mask"])
        return {"loss": image + mask, "image": image.detach(), "mask": mask.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Sample z_0 with what is given in every estimate of it; a given pixel without a label stays unknown."""
        height, width = self.spec.modalities["mask"].shape
        z0 = torch.zeros(count, self.colours + self.classes, height, width, device=next(self.parameters()).device)
        known = torch.zeros_like(z0)
        if "image" in given:
            z0[:, : self.colours], known[:, : self.colours] = given["image"], 1
        if "mask" in given:
            z0[:, self.colours :] = to_analog(given["mask"], self.classes)
            known[:, self.colours :] = (given["mask"] != 255)[:, None]

        def denoise(z_t: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
            signal, noise = self.process.coefficients(t, z_t)
            estimate = to_z0(self.head(self.backbone(z_t, t).map), self.prediction, z_t, signal, noise).clamp(-1, 1)
            return known * z0 + (1 - known) * estimate, []

        start = noise_like(z0, generator)
        drawn = sample(self.process, denoise, start, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        answer = {"image": drawn[:, : self.colours].clamp(-1, 1), "mask": from_analog(drawn[:, self.colours :])}
        return {name: answer[name] for name in task.want}
