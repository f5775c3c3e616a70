"""The shared backbone trained to answer in one pass, without diffusion: the base of several single-task methods."""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.modalities import kind_of
from mmbench.models.nets.unet import PixelHead, UNet


class Reader(BaseMethod):
    """A network that predicts one modality from an image; a subclass names the modality as `answers`."""

    backbone: UNet
    handles_missing = True
    answers: str

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.kind = kind_of(spec.modalities[self.answers])
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        self.head = self.kind.reader(self.backbone)

    def forward(self, image: Tensor) -> Tensor:
        """An image (n, 3, h, w) to what the modality's kind decodes, e.g. class logits (n, classes, h, w)."""
        time = torch.zeros(len(image), dtype=torch.long)  # the step is not used
        return self.kind.read(self.head, self.backbone(image, time))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The modality's recovery: cross-entropy of classes, absolute error of numbers."""
        return {"loss": self.kind.recovery(self(batch["image"]), batch[self.answers]).mean()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The most probable class of each pixel, class probabilities, or numbers; without noise."""
        return {self.answers: self.kind.answer(self(given["image"]))}


class HoleFiller(BaseMethod):
    """A network that predicts an image from its masked version.

    Args:
        power: exponent of the absolute error of a hidden pixel.
    """

    backbone: UNet
    handles_missing = True

    def __init__(self, spec: Spec, *, power: int = 1) -> None:
        super().__init__(spec)
        self.power = power
        self.backbone = UNet(spec.modalities["masked_image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, spec.modalities["image"].shape[0])

    def forward(self, masked: Tensor) -> Tensor:
        """A masked image (n, 4, h, w) to an image (n, 3, h, w)."""
        time = torch.zeros(len(masked), dtype=torch.long)  # the step is not used
        return self.head(self.backbone(masked, time).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean error over the hidden pixels of the batch."""
        hidden = 1 - batch["masked_image"][:, -1:]
        error = (self(batch["masked_image"]) - batch["image"]).abs() ** self.power
        return {"loss": (hidden * error).sum() / (hidden.sum() * error.shape[1]).clamp(min=1)}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The answer in one pass, without noise."""
        return {"image": self(given["masked_image"]).clamp(-1, 1)}
