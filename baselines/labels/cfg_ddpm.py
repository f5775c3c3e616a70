"""Class-conditional diffusion with classifier-free guidance (Ho and Salimans 2022).

The label is dropped from a share of the training items, so that one network learns both the conditional and the
unconditional prediction. Sampling extrapolates the former: `(1 + guidance) conditional - guidance unconditional`. This
is applied to the network's output. z_0 is affine in it and the two weights add up to 1, so guiding z_0, v or eps
is the same; the guided z_0 is then clamped to [-1, 1].

Guidance takes two evaluations per step and therefore leaves half the steps. To generate an image with its label, the
label is sampled first, with its frequency in the training set.
"""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from _guidance import draw_labels, shares_of
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "Class-conditional DDPM"
TASKS = ("paint", "generate")
SAMPLES = True


class Method(DiffusionMethod):
    """A denoiser of images, conditional on a label or unconditional.

    Args:
        spec: modalities and network.
        guidance: strength of guidance unless `Sampling` sets it; 0 is the conditional prediction.
        drop: share of the training items whose label is hidden.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet
    shares: Tensor

    def __init__(
        self, spec: Spec, *, guidance: float = 0.0, drop: float = 0.1, **settings: Unpack[DiffusionSettings]
    ) -> None:
        super().__init__(spec, **settings)
        if guidance < 0:
            raise UserError(f"cfg_ddpm: guidance: {guidance} is negative; give a number from 0")
        self.guidance, self.drop = guidance, drop
        colours, self.classes = spec.modalities["image"].shape[0], spec.modalities["label"].classes
        self.backbone = UNet(colours, **spec.network)
        self.head = PixelHead(self.backbone, colours)
        self.label = nn.Linear(self.classes + 1, self.backbone.vector_width)
        self.register_buffer("shares", torch.full((self.classes,), 1 / self.classes))

    def prepare(self, train: Batch) -> None:
        """Store the share of each class."""
        self.shares = shares_of(train["label"], self.classes)

    def forward(self, z_t: Tensor, t: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """The network's prediction at z_t (n, 3, h, w) and steps t (n,), for labels (n,) where `known` (n,) is 1."""
        known = known.to(z_t)[:, None]
        vector = torch.cat([F.one_hot(label, self.classes) * known, known], dim=1)
        return self.head(self.backbone(z_t, t, self.label(vector)).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T."""
        z0 = batch["image"]
        t = self.draw_steps(len(z0), generator)
        known = (torch.rand(len(z0), generator=generator) >= self.drop).float()
        z_t, eps = self.noised(z0, t, generator)
        return {"loss": self.error(self(z_t, t, batch["label"], known), z0, eps, t).mean()}

    def heeds(self, task: Task) -> frozenset[str]:
        """Guidance too: an image with its label is generated given the label."""
        return super().heeds(task) | {"guidance"}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Generate images of the given labels, or of labels sampled with their frequencies in training."""
        label = given["label"] if "label" in given else draw_labels(self.shares, count, generator)
        always, never = torch.ones(count), torch.zeros(count)
        guidance = self.guidance if sampling.guidance is None else sampling.guidance
        if guidance < 0:
            raise UserError(f"cfg_ddpm: guidance: {guidance} is negative; give a number from 0")
        if (guided := guidance > 0) and sampling.nfe < 2:
            raise UserError(f"cfg_ddpm: guidance: {guidance} takes two evaluations a step; raise sample.nfe to 2")

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            output = self(z_t, t, label, always)
            if guided:
                output = output + guidance * (output - self(z_t, t, label, never))
            return self.estimate(output, z_t, t).clamp(-1, 1)

        noise = self.pure_noise(count, self.spec.modalities["image"].shape, generator)
        image = self.draw(estimate, noise, sampling, generator, nfe=sampling.nfe // 2 if guided else None)
        answer = {"image": image, "label": F.one_hot(label, self.classes).float()}
        return {name: answer[name] for name in task.want}
