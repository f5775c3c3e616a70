"""Frozen image features for the metrics that compare distributions, and the real set's features on file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays, sha256_file
from mmbench.frozen.lpips import load_lpips, weights_path
from mmbench.runs.records import Real, checked

#: Last activation of VGG16's fifth block, averaged over all positions: 512 numbers an image.
EXTRACTOR = "vgg16-relu5_3-gap"

#: Modalities that are vectors, or stand for one.
VECTORS = ("label", "embedding")

#: Smaller images are enlarged to this side, so that the fifth block still has more than one position.
SMALLEST_SIDE = 32


@dataclass(frozen=True)
class Extractor:
    """Images to features.

    Attributes:
        name: as it stands in the names of metrics.
        net: LPIPS's VGG16, with ImageNet weights and its scaling of the input (the ImageNet normalisation).
        weights_sha256: hash of the file that its weights are from.
        device: where it computes.
    """

    name: str
    net: nn.Module
    weights_sha256: str
    device: torch.device

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """The size at which images are looked at: their own, or enlarged until the smaller side is 32."""
        scale = max(1.0, SMALLEST_SIDE / min(height, width))
        return round(height * scale), round(width * scale)

    def resize_name(self, height: int, width: int) -> str:
        """How images of this size are resized, for the record."""
        new = self.resized(height, width)
        return "none" if new == (height, width) else f"bilinear to {new[0]}x{new[1]}"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Features, float32 (n, 512), of images, uint8 (n, 3, h, w)."""
        size = self.resized(*images.shape[2:])
        found = []
        for start in range(0, len(images), batch_size):
            x = torch.from_numpy(images[start : start + batch_size]).to(self.device).float() / 127.5 - 1
            if size != images.shape[2:]:
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            layers = self.net.net(self.net.scaling_layer(x.contiguous(memory_format=torch.channels_last)))  # type: ignore[operator]
            found.append(layers[-1].mean(dim=(2, 3)).cpu())
        return torch.cat(found).numpy()


def load_extractor(weights: str | Path, device: torch.device) -> Extractor:
    """The extractor from the folder that `python -m mmbench.stages.lpips` wrote; UserError if its file is missing."""
    net = load_lpips("vgg", weights, device)
    return Extractor(EXTRACTOR, net, sha256_file(weights_path("vgg", weights)), device)


@dataclass(frozen=True)
class Reference:
    """The real split that generated items are compared with.

    Attributes:
        features: of its images (n, d).
        card: what is known of them.
        arrays: its modalities that are vectors: `label` (n,), `embedding` (n, d), as far as the data have them.
    """

    features: np.ndarray
    card: Mapping[str, Any]
    arrays: Arrays = field(default_factory=dict)


def vectors(arrays: Arrays) -> Arrays:
    """Those of a split's arrays that drawn vectors are compared with."""
    return {name: arrays[name] for name in VECTORS if name in arrays}


def read_reference(path: str | Path, extractor: Extractor) -> Reference:
    """What `python -m mmbench.stages.reference` wrote: the npz at `path` and the JSON beside it.

    Raises:
        UserError: a file is missing or broken, or the features are of another extractor or other weights.
    """
    path = Path(path)
    arrays, card = load_arrays(path), checked(path.with_suffix(".json"), Real, "delete it and make it again")
    same = card.get("extractor") == extractor.name and card.get("weights_sha256") == extractor.weights_sha256
    if "features" not in arrays or not same:
        raise UserError(f"{path}: not features of {extractor.name} with these weights; delete it and make it again")
    for name, array in arrays.items():
        rows = array.shape[:1] == arrays["features"].shape[:1] and np.issubdtype(array.dtype, np.number)
        if not rows or array.ndim != (1 if name == "label" else 2) or not np.isfinite(array).all():
            raise UserError(f"{path}: {name} has not a finite row for each image; delete it and make it again")
    return Reference(arrays.pop("features"), card, arrays)
