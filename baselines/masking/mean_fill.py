"""Hidden pixels filled with the training set's mean image: the trivial baseline of every method."""

from __future__ import annotations

import torch

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod

TITLE = "Mean fill"
TASKS = ("reconstruct",)
TRAINED = False


class Method(BaseMethod):
    """Uses only the mean of every pixel over the training set."""

    mean: torch.Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("mean", torch.zeros(spec.modalities["image"].shape))

    def prepare(self, train: Batch) -> None:
        """Store the mean image (3, h, w) of the training set."""
        self.mean.copy_(train["image"].mean(dim=0))

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Visible pixels unchanged, hidden ones from the mean image."""
        colours, seen = given["masked_image"].split([3, 1], dim=1)
        return {"image": seen * colours + (1 - seen) * self.mean}
