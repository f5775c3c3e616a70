"""The judge of labels: the shared backbone, trained to name the class of a real image."""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.diffusion import loss as losses
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import UNet, VectorReader

TITLE = "Judge"
TASKS = ("classify",)


class Method(BaseMethod):
    """A classifier of images; the same network as the baseline `classifier`, with a seed of its own.

    Args:
        spec: modalities and network.
    """

    backbone: UNet

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        self.head = VectorReader(self.backbone, spec.modalities["label"].classes)

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (n, classes) of an image (n, 3, h, w)."""
        return self.head(self.backbone(image, torch.zeros(len(image), dtype=torch.long)))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy."""
        return {"loss": losses.recovery(self.spec.modalities["label"], self(batch["image"]), batch["label"]).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """Class probabilities, in one pass."""
        return {"label": self(given["image"]).softmax(dim=1)}
