"""The multitask model's answer in one pass: its image decoder at t = T, given the masked image, without sampling."""

from __future__ import annotations

import torch

from mmbench.method import Batch, Noise, Sampling, Task
from mmbench.models.mt_diffusion import Method as MultitaskMethod

TITLE = "MT-Diffusion, one pass"
TASKS = ("reconstruct",)
WEIGHTS_FROM = "mt_diffusion"


class Method(MultitaskMethod):
    """MT-Diffusion that answers with its decoder rather than the sampler; settings as for `mt_diffusion`."""

    def heeds(self, task: Task) -> frozenset[str]:
        """Nothing: no sampler is used."""
        return frozenset()

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """One evaluation at t = T."""
        return {"image": self.predict_at_once(given, count, generator)}
