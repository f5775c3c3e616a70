"""The embedding of an image in one pass, by 1 - cosine plus squared error: the single-task model of embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.method import Batch
from mmbench.models.diffusion.supervised import Reader

TITLE = "Regressor"
TASKS = ("from_image",)
ANSWERS = ("embedding",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Reader):
    """Settings as for `Reader`."""

    answers = "embedding"

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """1 - cosine, and the mean squared error, over the items that have an embedding."""
        predicted, truth = self(batch["image"]), batch["embedding"]
        available = self.kind.available(truth)
        truth = torch.where(available[:, None], truth, 0.0)
        angle = (available * (1 - F.cosine_similarity(predicted, truth))).mean()
        error = (available * ((predicted - truth) ** 2).mean(dim=1)).mean()
        return {"loss": angle + error, "angle": angle.detach(), "error": error.detach()}
