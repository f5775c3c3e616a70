"""Supervised segmentation: the image in, class logits out, in one pass, by cross-entropy (Ronneberger et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.diffusion import loss as losses
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import PixelHead, UNet

TITLE = "U-Net"
TASKS = ("segment",)


class Method(BaseMethod):
    """The shared backbone as a classifier of pixels.

    Args:
        spec: modalities and network.
    """

    backbone: UNet
    handles_missing = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, spec.modalities["mask"].classes)

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (n, classes, h, w) of an image (n, 3, h, w)."""
        time = torch.zeros(len(image), dtype=torch.long)  # the backbone's clock stands still
        return self.head(self.backbone(image, time).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy over the labelled pixels, averaged over images."""
        return {"loss": losses.recovery(self.spec.modalities["mask"], self(batch["image"]), batch["mask"]).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """One pass; no noise."""
        return {"mask": self(given["image"]).argmax(dim=1)}
