"""One DDPM over image and class map: both are noised as channels of one z_0, without a shared space.

It is the simplest joint model: it generates both at once, and does the other tasks as RePaint (Lugmayr et al. 2022)
does inpainting, with known values put in at every step. The network has no input that marks channels as known.

Schedule, prediction and loss weighting are those of the multitask model. Image and map have equal weight in the loss,
whatever their numbers of channels.
"""

from __future__ import annotations

from typing import Unpack

import torch
from _class_maps import from_analog, masked_mean, to_analog
from torch import Tensor

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "Concatenated DDPM"
TASKS = ("segment", "paint", "generate")
SAMPLES = True


class Method(DiffusionMethod):
    """A denoiser of images and class maps.

    Args:
        spec: modalities and network.
        mask_weight: weight of the map's loss; that of the image's loss is 1.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, mask_weight: float = 1.0, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        self.mask_weight = mask_weight
        self.colours, self.classes = spec.modalities["image"].shape[0], spec.modalities["mask"].classes
        self.backbone = UNet(self.colours + self.classes, **spec.network)
        self.head = PixelHead(self.backbone, self.colours + self.classes)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T: of the image, and of labelled pixels."""
        z0 = torch.cat([batch["image"], to_analog(batch["mask"], self.classes)], dim=1)
        t = self.draw_steps(len(z0), generator)
        z_t, eps = self.noised(z0, t, generator)
        squared, weight = self.errors(self.head(self.backbone(z_t, t).map), z0, eps, t)
        error = weight * squared
        image = error[:, : self.colours].mean()
        mask = self.mask_weight * masked_mean(error[:, self.colours :], batch["mask"])
        return {"loss": image + mask, "image": image.detach(), "mask": mask.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Sample z_0; given values replace those of every estimate of it, except pixels without a label."""
        height, width = self.spec.modalities["mask"].shape
        z0 = torch.zeros(count, self.colours + self.classes, height, width, device=next(self.parameters()).device)
        known = torch.zeros_like(z0)
        if "image" in given:
            z0[:, : self.colours], known[:, : self.colours] = given["image"], 1
        if "mask" in given:
            z0[:, self.colours :] = to_analog(given["mask"], self.classes)
            known[:, self.colours :] = (given["mask"] != 255)[:, None]

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            free = self.estimate(self.head(self.backbone(z_t, t).map), z_t, t).clamp(-1, 1)
            return known * z0 + (1 - known) * free

        drawn = self.draw(estimate, noise_like(z0, generator), sampling, generator)
        answer = {"image": drawn[:, : self.colours].clamp(-1, 1), "mask": from_analog(drawn[:, self.colours :])}
        return {name: answer[name] for name in task.want}
