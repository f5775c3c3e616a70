"""The distance to what each pixel shows: stored as float (n, h, w) in metres, NaN where there is none, as in the sky.

In a batch it is float (n, h, w): the logarithm of the distance, scaled so that `NEAR` is -1 and `FAR` is 1, or NaN. On
that scale equal errors are equal shares of the distance, which is what AbsRel and delta (|log predicted - log true| <
log 1.25) measure; the absolute error on it is nearly AbsRel. The inverse distance, which others use, spends most of its
range on the first metres: from 0.1 to 1,000 m, all distances beyond 10 m have 1 % of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmbench.modalities import Modality
from mmbench.modalities._inputs import read_items
from mmbench.modalities._kind import MapKind
from mmbench.modalities._layout import Layout, first_of

#: The value of a pixel without a distance; in the map of an item that lacks it, all pixels have it.
MISSING = float("nan")
#: Metres that are -1 and 1 in a batch; nearer and farther distances are clipped.
NEAR, FAR = 0.1, 1000.0
#: Nine colours of viridis, from far to near: equal ratios are equal steps in lightness. Without distance: white.
COLOURS = np.array([(68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129),
                    (92, 200, 99), (170, 220, 50), (253, 231, 37)])  # fmt: skip
NOWHERE = 255


class DepthEncoder(nn.Module):
    """A distance as an image: a blend of two learned colours, near and far; a pixel without one is 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.rand(2, channels) * 2 - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w) in [-1, 1] or NaN to (n, c, h, w)."""
        far = (x + 1) / 2
        return torch.einsum("knhw,kc->nchw", torch.stack([1 - far, far]).nan_to_num(0.0), self.colours)


class Kind(MapKind):
    """A depth map. Its recovery is the absolute error of the scaled logarithm, a Laplace likelihood."""

    missing = MISSING
    remedy = "save a distance in metres for each pixel"
    legend = "the lighter, the nearer; white where there is none"

    @classmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """A distance for each pixel of the images."""
        return Modality("depth", size)

    @classmethod
    def describe(cls, array: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The nearest and the farthest distance, and the share of the pixels that have none."""
        distances = array[np.isfinite(array)]
        ends = [round(float(end), 2) for end in (distances.min(), distances.max())] if distances.size else None
        return {"depth_range": ends, "depth_missing_share": round(1 - distances.size / array.size, 5)}

    @property
    def stored(self) -> Layout:
        """Float (n, h, w)."""
        return Layout("float", self.shape, np.float32)

    def stored_fault(self, array: np.ndarray) -> str | None:
        """A number that is not a distance."""
        wrong = (array <= 0) | np.isinf(array)
        return (
            f"has {first_of(wrong, array)}, which is no distance; a pixel without one has NaN" if wrong.any() else None
        )

    def answer_fault(self, array: np.ndarray) -> str | None:
        """A number that is not a distance; an answer needs one at every pixel, even where the truth has none."""
        if fault := super().answer_fault(array):
            return fault
        return "holds distances that are not above 0; save metres" if array.min() <= 0 else None

    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random distances from 1 to 100 m below a sky."""
        depth = (100 ** rng.random((count, *self.shape))).astype(np.float32)
        depth[:, : self.shape[0] // 4] = MISSING
        return depth

    def to_batch(self, stored: Tensor) -> Tensor:
        """u = 2 log(d / NEAR) / log(FAR / NEAR) - 1."""
        return 2 * (stored.float().clamp(NEAR, FAR) / NEAR).log() / math.log(FAR / NEAR) - 1

    def to_stored(self, answer: Tensor) -> np.ndarray:
        """d = NEAR (FAR / NEAR)^((u + 1) / 2), float32."""
        return super().to_stored(NEAR * (FAR / NEAR) ** ((answer.float() + 1) / 2))

    def available(self, values: Tensor) -> Tensor:
        """Items with a distance at any pixel."""
        return ~values.isnan().flatten(1).all(dim=1)

    @property
    def channels(self) -> int:
        """The scaled logarithm, and a flag for pixels that have one."""
        return 2

    @property
    def decoded_channels(self) -> int:
        """The scaled logarithm."""
        return 1

    def enter(self, values: Tensor) -> Tensor:
        """The scaled logarithm, 0 where there is none, and a flag that is 1 where there is one."""
        return torch.stack([values.nan_to_num(0.0), (~values.isnan()).to(values)], dim=1)

    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """A blend of two learned colours."""
        return DepthEncoder(space[0])

    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """Mean absolute error over the pixels that have a distance."""
        measured = ~values.isnan()
        error = (decoded[:, 0] - values.nan_to_num(0.0)).abs() * measured
        return error.flatten(1).sum(dim=1) / measured.flatten(1).sum(dim=1).clamp(min=1)

    def value(self, decoded: Tensor) -> Tensor:
        """Clamped to [-1, 1]."""
        return decoded[:, 0].clamp(-1, 1)

    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """float32 (n, h, w) from an array in metres; images are refused, since they have no unit."""
        return read_items(name, value, self)

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Colours from near to far, on a logarithmic scale between the ends of the training split's distances.

        All images of a data set thus have one scale. If the card lacks these ends, those of the item are used.
        """
        logs = np.log(item.astype(np.float64))
        valid = np.isfinite(logs)
        ends = facts.get("splits", {}).get("train", {}).get("depth_range")
        low, high = np.log(ends) if ends else (logs[valid].min(), logs[valid].max()) if valid.any() else (0.0, 1.0)
        near = (high - np.where(valid, logs, low)) / max(high - low, 1e-9)
        places = np.linspace(0, 1, len(COLOURS))
        pixels = np.stack([np.interp(near, places, COLOURS[:, channel]) for channel in range(3)], axis=-1).round()
        return np.where(valid[..., None], pixels, NOWHERE).astype(np.uint8)
