"""U-Net regression: the masked image in, the whole image out, in one pass, by the error in the hole.

The reconstruction loss of context encoders (Pathak et al. 2016, L2) without their adversary; L1, the default, is
sharper and the custom since pix2pix (Isola et al. 2017).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.nets.unet import PixelHead, UNet

TITLE = "U-Net regression"
TASKS = ("reconstruct",)

Loss = Literal["l1", "l2"]


class Method(BaseMethod):
    """The shared backbone as a regressor.

    Args:
        spec: modalities and network.
        loss: error of a hidden pixel: `l1` or `l2`.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, loss: Loss = "l1") -> None:
        super().__init__(spec)
        if loss not in get_args(Loss):
            raise UserError(f"unet_regression: loss: '{loss}' is not one of {', '.join(get_args(Loss))}; choose one")
        self.power = 1 if loss == "l1" else 2
        self.backbone = UNet(spec.modalities["masked_image"].shape[0], **spec.network)
        self.head = PixelHead(self.backbone, spec.modalities["image"].shape[0])

    def forward(self, masked: Tensor) -> Tensor:
        """The image (n, 3, h, w) of a masked image (n, 4, h, w)."""
        time = torch.zeros(len(masked), dtype=torch.long)  # the backbone's clock stands still
        return self.head(self.backbone(masked, time).map)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean error over the hidden pixels of the batch."""
        hidden = 1 - batch["masked_image"][:, -1:]
        error = (self(batch["masked_image"]) - batch["image"]).abs() ** self.power
        return {"loss": (hidden * error).sum() / (hidden.sum() * error.shape[1]).clamp(min=1)}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: torch.Generator) -> Batch:
        """One pass; no noise."""
        return {"image": self(given["masked_image"]).clamp(-1, 1)}
