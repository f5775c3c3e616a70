"""The multitask model's twin without the other tasks: the same network with only the reconstruction loss.

The authors of MT-Diffusion (arXiv:2407.17571) call it reconstruction-only. It shows whether learning generation as well
helps reconstruction.
"""

from __future__ import annotations

from typing import Any

import torch

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.mt_diffusion import Method as MultitaskMethod

TITLE = "Reconstruction only"
TASKS = ("reconstruct",)


class Method(MultitaskMethod):
    """MT-Diffusion whose every item is given the masked image at t = T and answers with the image's decoder.

    Args:
        spec: modalities and network.
        settings: `omega`, `scale` and `schedule` as in `MT-Diffusion`.
    """

    def __init__(self, spec: Spec, **settings: Any) -> None:
        weights = {"generate": 0.0, "image": 1.0}
        super().__init__(spec, weights=weights, states=(0.0, 0.0, 1.0), one_pass=1.0, **settings)

    def heeds(self, task: Task) -> frozenset[str]:
        """Nothing: no sampler is used."""
        return frozenset()

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The answer of the image's decoder at t = T, in one pass."""
        return {"image": self.predict_at_once(given, count, generator)}
