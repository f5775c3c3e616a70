"""A diffusion model of images, unconditional or given one other modality: the base of several single-task methods."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.modalities import kind_of
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.diffusion.states import complete
from mmbench.models.nets.unet import PixelHead, UNet


class Painter(DiffusionMethod):
    """A denoiser of images.

    A subclass names its conditioning modality as `condition`: a map enters as channels, a vector with the time
    embedding, and a flag says whether it is given. An item that lacks the modality is trained on unconditionally.

    Args:
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet
    handles_missing = True
    condition: str = ""

    def __init__(self, spec: Spec, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        self.condition_kind = kind_of(spec.modalities[self.condition]) if self.condition else None
        colours, more = spec.modalities["image"].shape[0], self.condition_kind.channels if self.condition_kind else 0
        self.backbone = UNet(colours + more, **spec.network)
        self.head = PixelHead(self.backbone, colours)
        if self.condition_kind and not more:
            self.vector = nn.Linear(self.condition_kind.width + 1, self.backbone.vector_width)

    def forward(self, z_t: Tensor, t: Tensor, given: Batch) -> Tensor:
        """The network's prediction (n, 3, h, w) at z_t (n, 3, h, w) and steps t (n,), given the condition."""
        vector = None
        if self.condition_kind and self.condition_kind.channels:
            z_t = torch.cat([z_t, self.condition_kind.enter(given[self.condition])], dim=1)
        elif self.condition_kind:
            filled, known = complete(given, {self.condition: self.condition_kind.modality})
            value, flag = self.condition_kind.enter(filled[self.condition]), known[self.condition][:, None]
            vector = self.vector(torch.cat([torch.where(flag, value, 0.0), flag.to(value)], dim=1))
        return self.head(self.backbone(z_t, t, vector).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T."""
        z0 = batch["image"]
        t = self.draw_steps(len(z0), generator)
        z_t, eps = self.noised(z0, t, generator)
        return {"loss": self.error(self(z_t, t, batch), z0, eps, t).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Generate images from noise, conditioned on what is given."""

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            return self.estimate(self(z_t, t, given), z_t, t).clamp(-1, 1)

        noise = self.pure_noise(count, self.spec.modalities["image"].shape, generator)
        return {"image": self.draw(estimate, noise, sampling, generator)}
