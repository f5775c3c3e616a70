"""Colours: stored as uint8 (n, 3, h, w), in a batch float (n, 3, h, w) in [-1, 1]; never missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmbench.modalities import Modality
from mmbench.modalities._inputs import read_pictures
from mmbench.modalities._kind import MapKind
from mmbench.modalities._layout import Layout

#: How far a network's colours may lie outside [-1, 1] and be clipped; colours on another scale lie farther outside.
OVERSHOOT = 10.0


def to_unit(x: Tensor) -> Tensor:
    """uint8 colours to float in [-1, 1]."""
    return x.float() / 127.5 - 1


def to_uint8(x: Tensor) -> np.ndarray:
    """Colours in [-1, 1] to uint8, rounded; values outside are clipped."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


class ImageEncoder(nn.Module):
    """Identity on the colour channels: images, and masked images whose hidden pixels are 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(n, c or c + 1, h, w) to (n, c, h, w)."""
        return x[:, : self.channels]


class Kind(MapKind):
    """An image. Its recovery is the absolute error, a Laplace likelihood: sharper than the Gaussian's squared error."""

    drawable = True
    remedy = "save colours from 0 to 255, channels first"

    @classmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """Three colours of the data set's size."""
        return Modality("image", (3, *size))

    @property
    def stored(self) -> Layout:
        """uint8 (n, 3, h, w)."""
        return Layout("uint8", self.shape, np.uint8)

    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Noise."""
        return rng.integers(0, 256, (count, *self.shape), dtype=np.uint8)

    def to_batch(self, stored: Tensor) -> Tensor:
        """Colours to [-1, 1]."""
        return to_unit(stored)

    def tensor_fault(self, answer: Tensor, count: int) -> str | None:
        """Also colours on another scale, which would be stored as white."""
        if fault := super().tensor_fault(answer, count):
            return fault
        low, high = answer.min().item(), answer.max().item()
        return f"is from {low:.3g} to {high:.3g}; return colours in [-1, 1]" if max(-low, high) > OVERSHOOT else None

    def to_stored(self, answer: Tensor) -> np.ndarray:
        """Colours to uint8."""
        return to_uint8(answer)

    @property
    def channels(self) -> int:
        """Its colours."""
        return self.shape[0]

    @property
    def decoded_channels(self) -> int:
        """Its colours."""
        return self.shape[0]

    def enter(self, values: Tensor) -> Tensor:
        """The values unchanged."""
        return values

    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """The identity."""
        return ImageEncoder(space[0])

    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """Mean absolute error over the colours."""
        return (decoded - values[:, : decoded.shape[1]]).abs().flatten(1).mean(dim=1)

    def value(self, decoded: Tensor) -> Tensor:
        """Clamped to [-1, 1]."""
        return decoded.clamp(-1, 1)

    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """uint8 (n, 3, h, w) from arrays or image files."""

        def read(picture: Image.Image, shown: str) -> np.ndarray:
            return np.asarray(picture).transpose(2, 0, 1)

        return read_pictures(name, value, self, read, resize=resize, colour=True)

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """The image."""
        return np.ascontiguousarray(item.transpose(1, 2, 0))
