"""The DDPM fed the multitask model's masked images as augmentation: more data, no second task.

What the multitask model draws better or worse than the DDPM could come of the masked images, not of reconstructing
them. Here they are drawn, and nothing reconstructs: in a share of the items, as large as that whose z_t holds the
masked image in the multitask model, z_0 is the masked image of the same batch, its holes grey; in the others it is the
whole image. Batch, steps and noise are the DDPM's, and so is the number of evaluations.

As in non-leaking augmentation (Jun et al. 2020; Karras et al. 2022, section 5) the network is told what was done to an
item, by a channel of the pixels that are seen. It draws with all of them seen.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.diffusion.model import Prediction
from mmbench.models.diffusion.parameterisation import Parameterisation
from mmbench.models.diffusion.process import Process, Schedule
from mmbench.models.diffusion.sampler import noise_like, sample
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "DDPM, masked images as augmentation"
TASKS = ("generate",)


class Method(BaseMethod):
    """A denoiser of whole and of masked images, told which pixels are hidden.

    Args:
        spec: modalities and network.
        share: of the training items that are masked, from 0 up to, not including, 1.
        schedule: noise schedule.
        prediction: what the network predicts about z_0.
        max_weight: bound of the loss's weight on an error in z_0 (see `losses.snr_weight`).
    """

    backbone: UNet
    handles_missing = True

    def __init__(
        self,
        spec: Spec,
        *,
        share: float = 0.6,
        schedule: Schedule = "cosine",
        prediction: Prediction = "z0",
        max_weight: float = 10.0,
    ) -> None:
        super().__init__(spec)
        if not 0 <= share < 1:
            raise UserError(f"ddpm_augmented: share: {share} is not from 0 to below 1; it must see whole images, too")
        self.share, self.prediction = share, prediction
        self.process = Process(schedule=schedule)
        self.kind = Parameterisation(self.process, prediction, max_weight)
        colours = spec.modalities["image"].shape[0]
        self.backbone = UNet(colours + 1, **spec.network)
        self.head = PixelHead(self.backbone, colours)

    def forward(self, z_t: Tensor, t: Tensor, seen: Tensor) -> Tensor:
        """The network's prediction (n, 3, h, w) at z_t (n, 3, h, w) and t (n,); `seen` (n, 1, h, w) is 0 in a hole."""
        return self.head(self.backbone(torch.cat([z_t, seen], dim=1), t).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted squared error of the prediction at a uniform step of 1..T, of masked items and of whole ones."""
        image, visible = batch["image"], batch["masked_image"][:, -1:]
        t = torch.randint(1, self.process.steps + 1, (len(image),), generator=generator)
        eps = noise_like(image, generator)
        masked = (torch.rand(len(image), generator=generator) < self.share).to(image)[:, None, None, None]
        seen = 1 - masked * (1 - visible)
        z0 = seen * image
        output = self(self.process.marginal(z0, [], t, eps), t, seen)
        return {"loss": self.kind.error(output, z0, eps, t).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Draw whole images from noise."""
        device, (colours, *sides) = next(self.parameters()).device, self.spec.modalities["image"].shape
        noise = noise_like(torch.empty(count, colours, *sides, device=device), generator)
        seen = torch.ones(count, 1, *sides, device=device)

        def denoise(z_t: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
            return self.kind.estimate(self(z_t, t, seen), z_t, t).clamp(-1, 1), []

        z0 = sample(self.process, denoise, noise, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        return {"image": z0}
