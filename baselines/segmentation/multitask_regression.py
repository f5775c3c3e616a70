"""Multitask learning without diffusion: one trunk and a head per modality, image to class map and back in one pass.

In training each item has its image or its map hidden, and the network predicts it. A hidden modality enters as zeros; a
given map is one-hot, so the network can distinguish the two. The method cannot generate from noise, and its images are
the median of the possible ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.modalities import kind_of
from mmbench.modalities.class_map import one_hot_map
from mmbench.models.nets.unet import PixelHead, UNet

TITLE = "Multitask regression"
TASKS = ("segment", "paint")


class Method(BaseMethod):
    """The shared backbone as a classifier of pixels and a regressor of colours.

    Args:
        spec: modalities and network.
        segment_share: share of the training items whose map is hidden; the image of the others is hidden.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, segment_share: float = 0.5) -> None:
        super().__init__(spec)
        self.segment_share = segment_share
        self.colours, self.classes = spec.modalities["image"].shape[0], spec.modalities["mask"].classes
        self.backbone = UNet(self.colours + self.classes, **spec.network)
        self.image_head = PixelHead(self.backbone, self.colours)
        self.mask_head = PixelHead(self.backbone, self.classes)

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (n, 3, h, w) and class logits (n, classes, h, w) of an image and a one-hot map, hidden ones zero."""
        time = torch.zeros(len(image), dtype=torch.long)  # the step is not used
        features = self.backbone(torch.cat([image, mask], dim=1), time).map
        return self.image_head(features), self.mask_head(features)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy where the map is hidden, absolute error where the image is."""
        image, mask = batch["image"], batch["mask"]
        segment = (torch.rand(len(image), generator=generator) < self.segment_share).to(image)
        shown = segment[:, None, None, None]
        colours, logits = self(shown * image, (1 - shown) * one_hot_map(mask, self.classes))
        of_mask = (segment * kind_of(self.spec.modalities["mask"]).recovery(logits, mask)).mean()
        of_image = ((1 - segment) * kind_of(self.spec.modalities["image"]).recovery(colours, image)).mean()
        return {"loss": of_mask + of_image, "segment": of_mask.detach(), "paint": of_image.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The answer in one pass, without noise."""
        if "image" in given:
            image = given["image"]
            return {"mask": self(image, image.new_zeros(count, self.classes, *image.shape[2:]))[1].argmax(dim=1)}
        mask = one_hot_map(given["mask"], self.classes)
        return {"image": self(mask.new_zeros(count, self.colours, *mask.shape[2:]), mask)[0].clamp(-1, 1)}
