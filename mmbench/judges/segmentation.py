"""The judge of segmentation: the shared backbone, trained to name the class of each pixel of a real image."""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.diffusion import loss as losses
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import PixelHead, UNet

TITLE = "Judge"
TASKS = ("segment",)


class Method(BaseMethod):
    """A classifier of pixels; the same network as the baseline `unet`, with a seed of its own.

    Args:
        spec: modalities and network.
    """

    backbone: UNet

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, spec.modalities["mask"].classes)

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (n, classes, h, w) of an image (n, 3, h, w)."""
        return self.head(self.backbone(image, torch.zeros(len(image), dtype=torch.long)).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy over the labelled pixels, averaged over images."""
        return {"loss": losses.recovery(self.spec.modalities["mask"], self(batch["image"]), batch["mask"]).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """The likeliest class of each pixel, in one pass."""
        return {"mask": self(given["image"]).argmax(dim=1)}
