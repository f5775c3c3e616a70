"""The DDPM with the multitask model's masked images as augmentation: more data, no second task.

A difference in generation between the multitask model and the DDPM could be due to the masked images rather than to
reconstructing them. Here masked images are generated and nothing is reconstructed: in a share of the items, as large as
that whose z_t holds the masked image in the multitask model, z_0 is the masked image of the same batch, with hidden
pixels grey; in the others it is the whole image. Batch, steps, noise and the number of evaluations are the DDPM's.

As in non-leaking augmentation (Jun et al. 2020; Karras et al. 2022, section 5) the network is conditioned on the
augmentation of an item, by a channel that marks the visible pixels. It generates with all pixels marked as visible.
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.diffusion.single import DiffusionMethod, DiffusionSettings
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "DDPM, masked images as augmentation"
TASKS = ("generate",)
SAMPLES = True


class Method(DiffusionMethod):
    """A denoiser of whole and of masked images, conditioned on which pixels are hidden.

    Args:
        spec: modalities and network.
        share: share of the training items that are masked, from 0 to less than 1.
        settings: as for `DiffusionMethod`.
    """

    backbone: UNet
    handles_missing = True

    def __init__(self, spec: Spec, *, share: float = 0.6, **settings: Unpack[DiffusionSettings]) -> None:
        super().__init__(spec, **settings)
        if not 0 <= share < 1:
            raise UserError(f"ddpm_augmented: share: {share} is not from 0 to below 1; it must see whole images, too")
        self.share = share
        colours = spec.modalities["image"].shape[0]
        self.backbone = UNet(colours + 1, **spec.network)
        self.head = PixelHead(self.backbone, colours)

    def forward(self, z_t: Tensor, t: Tensor, seen: Tensor) -> Tensor:
        """The network's prediction (n, 3, h, w) at z_t (n, 3, h, w) and t (n,); `seen` (n, 1, h, w) is 0 if hidden."""
        return self.head(self.backbone(torch.cat([z_t, seen], dim=1), t).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T, of masked items and of whole ones."""
        image, visible = batch["image"], batch["masked_image"][:, -1:]
        t = self.draw_steps(len(image), generator)
        eps = noise_like(image, generator)
        masked = (torch.rand(len(image), generator=generator) < self.share).to(image)[:, None, None, None]
        seen = 1 - masked * (1 - visible)
        z0 = seen * image
        output = self(self.process.marginal(z0, [], t, eps), t, seen)
        return {"loss": self.error(output, z0, eps, t).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Generate whole images from noise."""
        noise = self.pure_noise(count, self.spec.modalities["image"].shape, generator)
        seen = torch.ones_like(noise[:, :1])

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            return self.estimate(self(z_t, t, seen), z_t, t).clamp(-1, 1)

        return {"image": self.draw(estimate, noise, sampling, generator)}
