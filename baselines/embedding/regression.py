"""Regression of an image's embedding in one pass, trained with 1 - cosine plus the squared error.

The head reads the innermost and the outermost features, both averaged over positions, so that the whole backbone is
trained.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.nets.unet import UNet

TITLE = "Regression encoder"
TASKS = ("embed",)


class Method(BaseMethod):
    """The shared backbone as a regressor of embeddings.

    Args:
        spec: modalities and network.
        error_weight: weight of the squared error; that of 1 - cosine is 1.
    """

    backbone: UNet

    def __init__(self, spec: Spec, *, error_weight: float = 1.0) -> None:
        super().__init__(spec)
        self.error_weight = error_weight
        self.backbone = UNet(spec.modalities["image"].shape[0], **spec.network)
        width = self.backbone.pooled_width + self.backbone.width
        hidden = 2 * self.backbone.pooled_width
        size = spec.modalities["embedding"].shape[0]
        self.head = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, size))

    def forward(self, image: Tensor) -> Tensor:
        """The embedding (n, d) of an image (n, 3, h, w)."""
        time = torch.zeros(len(image), dtype=torch.long)  # the step is not used
        features = self.backbone(image, time)
        return self.head(torch.cat([features.pooled, features.map.mean(dim=(2, 3))], dim=1))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """1 - cosine, and the mean squared error."""
        predicted, truth = self(batch["image"]), batch["embedding"]
        angle = (1 - F.cosine_similarity(predicted, truth)).mean()
        error = F.mse_loss(predicted, truth)
        return {"loss": angle + self.error_weight * error, "angle": angle.detach(), "error": error.detach()}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The answer in one pass, without noise."""
        return {"embedding": self(given["image"])}
