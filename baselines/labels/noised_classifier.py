"""Supervised classification of noised images: the classifier of classifier guidance (Dhariwal and Nichol 2021).

One network for every noise level, conditioned on the step. A clean image is classified at t = 1, a noised one at the
step with the nearest alpha_bar.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.modalities import kind_of
from mmbench.models.diffusion.process import Process, Schedule
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.nets.unet import UNet, VectorReader

TITLE = "Noised classifier"
TASKS = ("classify", "classify_noised")


class Method(BaseMethod):
    """The shared backbone as a classifier of z_t.

    Args:
        spec: modalities and network.
        schedule: noise schedule, whose steps are the noise levels.
    """

    backbone: UNet
    handles_missing = True

    def __init__(self, spec: Spec, *, schedule: Schedule = "cosine") -> None:
        super().__init__(spec)
        self.process = Process(schedule=schedule)
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        self.head = VectorReader(self.backbone, spec.modalities["label"].classes)

    def forward(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Class logits (n, classes) of z_t (n, 3, h, w) at steps t (n,)."""
        return self.head(self.backbone(z_t, t))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy at a uniform step of 1..T."""
        image = batch["image"]
        t = torch.randint(1, self.process.steps + 1, (len(image),), generator=generator)
        logits = self(self.process.marginal(image, [], t, noise_like(image, generator)), t)
        return {"loss": kind_of(self.spec.modalities["label"]).recovery(logits, batch["label"]).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Class probabilities, in one pass."""
        if "image" in given:
            z_t, t = given["image"], torch.ones(count, dtype=torch.long)
        else:
            z_t, t = given["noised_image"].float(), self.process.step_of(given["alpha_bar"].float())
        return {"label": self(z_t, t).softmax(dim=1)}
