"""Supervised classification of clean images by cross-entropy: what one task alone reaches.

It is shown noised images as they are, and knows nothing of noise: `noised_classifier` is trained for them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.diffusion import loss as losses
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import UNet, VectorReader

TITLE = "Classifier"
TASKS = ("classify", "classify_noised")


class Method(BaseMethod):
    """The shared backbone as a classifier.

    Args:
        spec: modalities and network.
    """

    backbone: UNet
    handles_missing = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        self.head = VectorReader(self.backbone, spec.modalities["label"].classes)

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (n, classes) of an image (n, 3, h, w)."""
        time = torch.zeros(len(image), dtype=torch.long)  # the backbone's clock stands still
        return self.head(self.backbone(image, time))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy."""
        return {"loss": losses.recovery(self.spec.modalities["label"], self(batch["image"]), batch["label"]).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Class probabilities, in one pass."""
        image = given["image"] if "image" in given else given["noised_image"].float()
        return {"label": self(image).softmax(dim=1)}
