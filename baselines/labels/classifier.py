"""Supervised classification of clean images, trained with cross-entropy: the single-task model.

It also classifies noised images, although it was not trained on any; `noised_classifier` is.
"""

from __future__ import annotations

import torch

from mmbench.method import Batch, Noise, Sampling, Task
from mmbench.models.diffusion.supervised import Reader

TITLE = "Classifier"
TASKS = ("classify", "classify_noised")


class Method(Reader):
    """The shared backbone as a classifier; settings as for `Reader`."""

    answers = "label"

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Class probabilities, in one pass."""
        image = given["image"] if "image" in given else given["noised_image"].float()
        return super().predict(task, {"image": image}, count, sampling, generator)
