"""Frozen image features for the metrics that compare distributions, and the real set's features on file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.config.extractors import EFFICIENTNET, VGG16, described
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays, sha256_file
from mmbench.files.weights import load_weights
from mmbench.frozen.efficientnet import EfficientNetLite0
from mmbench.frozen.lpips import misfit, read_lpips
from mmbench.frozen.user_files import load_network
from mmbench.runs.records import Real, checked

#: The extractor that is used where none is named.
EXTRACTOR = VGG16

#: Modalities that are vectors, or stand for one.
VECTORS = ("label", "embedding")

#: Smaller images are enlarged to this side for VGG16, so that its fifth block still has more than one position.
SMALLEST_SIDE = 32

#: Pixels of a batch at most: a CPU is fastest when what a batch becomes inside the network fits into its caches.
BATCH_PIXELS = 2**19


class Vgg16(nn.Module):
    """Last activation of VGG16's fifth block, averaged over all positions: 512 numbers an image.

    It is the trunk of LPIPS, to the bit, without the packages that LPIPS takes seconds to import (Simonyan and
    Zisserman 2015, configuration D).

    Args:
        state: of `lpips.LPIPS(net="vgg")`, as `mmbench.frozen.lpips` stores it.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("shift", state["scaling_layer.shift"])
        self.register_buffer("scale", state["scaling_layer.scale"])
        self.layers = nn.Sequential()
        channels = 3
        for block, (width, convolutions) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
            if block:
                self.layers.append(nn.MaxPool2d(2))
            for _ in range(convolutions):
                convolution = nn.Conv2d(channels, width, 3, padding=1, device="meta")
                name = f"net.slice{block + 1}.{len(self.layers)}."
                values = {key: state[name + key] for key in ("weight", "bias")}
                convolution.load_state_dict(values, assign=True)
                self.layers.extend([convolution, nn.ReLU()])
                channels = width

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 512) of images (n, 3, h, w) in [0, 1]."""
        x = (images * 255 / 127.5 - 1 - self.shift) / self.scale
        return self.layers(x).mean(dim=(2, 3))


@dataclass(frozen=True)
class Extractor:
    """Images to features.

    Attributes:
        name: as it stands in the names of metrics.
        net: images (n, 3, h, w) in [0, 1] to features (n, d).
        weights_sha256: hash of the file that its weights are from.
        size: side to which images are resized; None if they are looked at as they are.
        smallest: smaller images are enlarged until the smaller side is this, where there is no `size`.
        code: the file that decides what it computes, with what that imports.
    """

    name: str
    net: nn.Module
    weights_sha256: str
    device: torch.device
    size: int | None = None
    smallest: int = 1
    code: str = __file__

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """The size at which images are looked at."""
        if self.size:
            return self.size, self.size
        scale = max(1.0, self.smallest / min(height, width))
        return round(height * scale), round(width * scale)

    def resize_name(self, height: int, width: int) -> str:
        """How images of this size are resized, for the record."""
        new = self.resized(height, width)
        return "none" if new == (height, width) else f"bilinear to {new[0]}x{new[1]}"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Features, float32 (n, d), of images, uint8 (n, 3, h, w).

        Raises:
            UserError: what the network puts out is not a finite row of numbers for each image.
        """
        size = self.resized(*images.shape[2:])
        count = max(1, min(batch_size, BATCH_PIXELS // (size[0] * size[1])))
        rows = []
        for start in range(0, len(images), count):
            x = torch.from_numpy(images[start : start + count]).to(self.device).float() / 255
            if size != images.shape[2:]:
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
            features = self.net(x.contiguous(memory_format=torch.channels_last))
            if not (isinstance(features, Tensor) and features.ndim == 2 and len(features) == len(x)):
                shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
                raise UserError(f"{self.code}: build: its network puts out {shape} for {len(x)} images; return (n, d)")
            rows.append(features.float().cpu())
        joined = torch.cat(rows).numpy()
        if not np.isfinite(joined).all():
            raise UserError(f"{self.code}: build: features of {self.name} are not finite; use another extractor")
        return joined


def load_extractor(weights: str | Path, device: torch.device, entry: str = EXTRACTOR) -> Extractor:
    """An extractor, frozen, in evaluation mode.

    Args:
        weights: folder that `python -m mmbench.stages.lpips`, or the stage of another network, wrote.
        entry: its name, or the path of a file of one's own, as `evaluate.features` lists them.

    Raises:
        UserError: there is no such extractor, or its weights are missing or others.
    """
    torch.backends.cudnn.allow_tf32 = False  # a metric keeps the precision it is published with
    about = described(entry, Path(weights))
    smallest, code, net = 1, __file__, None
    if about.code:
        net, code = load_network(about, about.code), str(about.code.resolve())
    elif about.name == EFFICIENTNET:
        net = EfficientNetLite0()
        if not about.weights.is_file():
            raise UserError(
                f"{about.weights}: no such file; run `python -m mmbench.stages.efficientnet --out {weights}`"
            )
        load_weights(about.weights, net)
    else:
        smallest, state = SMALLEST_SIDE, read_lpips("vgg", weights)
        try:
            net = Vgg16(state)
        except (KeyError, RuntimeError) as error:
            raise misfit("vgg", weights, error) from None
    net = net.to(device).to(memory_format=torch.channels_last).requires_grad_(False).eval()
    return Extractor(about.name, net, sha256_file(about.weights), device, about.size, smallest, code)


def load_extractors(weights: str | Path, device: torch.device, entries: Sequence[str]) -> list[Extractor]:
    """Several extractors, in their order."""
    return [load_extractor(weights, device, entry) for entry in entries]


@dataclass(frozen=True)
class Reference:
    """The real split that generated items are compared with.

    Attributes:
        features: of its images (n, d), by the extractor's name.
        arrays: its modalities that are vectors: `label` (n,), `embedding` (n, d), as far as the data have them.
    """

    features: Mapping[str, np.ndarray]
    card: Mapping[str, Any]
    arrays: Arrays = field(default_factory=dict)


def vectors(arrays: Arrays) -> Arrays:
    """Those of a split's arrays that drawn vectors are compared with."""
    return {name: arrays[name] for name in VECTORS if name in arrays}


def stored(features: Mapping[str, np.ndarray]) -> Arrays:
    """Features by the extractor's name, as `read_reference` finds them."""
    return {f"features/{name}": array for name, array in features.items()}


def read_reference(path: str | Path, extractors: Sequence[Extractor]) -> Reference:
    """What `python -m mmbench.stages.reference` wrote: the npz at `path` and the JSON beside it.

    Raises:
        UserError: a file is missing or broken, or the features are of other extractors or other weights.
    """
    path = Path(path)
    arrays, card = load_arrays(path), checked(path.with_suffix(".json"), Real, "delete it and make it again")
    features = {}
    for extractor in extractors:
        known = card.get("extractors", {}).get(extractor.name, {})
        array = arrays.pop(f"features/{extractor.name}", None)
        if array is None or known.get("weights_sha256") != extractor.weights_sha256:
            raise UserError(f"{path}: not features of {extractor.name} with these weights; delete it and make it again")
        features[extractor.name] = array
    rest = vectors(arrays)
    count = len(next(iter(features.values())))
    for name, array in {**features, **rest}.items():
        rows = array.shape[:1] == (count,) and np.issubdtype(array.dtype, np.number)
        if not rows or array.ndim != (1 if name == "label" else 2) or not np.isfinite(array).all():
            raise UserError(f"{path}: {name} has not a finite row for each image; delete it and make it again")
    return Reference(features, card, rest)
