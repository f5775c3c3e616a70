"""The multitask model's own one-pass answer: its image decoder at t = T, given the masked image; no sampling."""

from __future__ import annotations

import torch

from mmbench.method import Batch, Noise, Sampling, Task
from mmbench.models.mt_diffusion import Method as MultitaskMethod

TITLE = "MT-Diffusion, one pass"
TASKS = ("reconstruct",)
WEIGHTS_FROM = "mt_diffusion"


class Method(MultitaskMethod):
    """MT-Diffusion that answers with its decoder instead of the sampler; settings as for `mt_diffusion`."""

    def heeds(self, task: Task) -> frozenset[str]:
        """Nothing: no sampler is asked."""
        return frozenset()

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """One evaluation at t = T."""
        return {"image": self.predict_at_once(given, count, generator)}
