"""An image with hidden pixels: stored as uint8 (n, 4, h, w), the last channel 255 where a pixel is visible.

In a batch it is float (n, 4, h, w), hidden pixels 0 and the last channel 0 or 1. No data set has it: it is made from
the image, with a new random mask for each item of a training batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mmbench.errors import UserError
from mmbench.modalities import Modality
from mmbench.modalities._inputs import read_pictures
from mmbench.modalities.image import Kind as ImageKind
from mmbench.modalities.image import to_unit

#: Patch masks hide cells of a grid this many cells wide, as in masked autoencoders (He et al. 2022).
GRID = 8


def patch_mask(share: float, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Visibility (h, w) of 0/1 with `share` of the cells of a grid hidden; the count of cells is rounded."""
    cells = torch.ones(GRID * GRID)
    cells[torch.randperm(GRID * GRID, generator=generator)[: round(share * GRID * GRID)]] = 0
    return F.interpolate(cells.view(1, 1, GRID, GRID), size=(height, width), mode="nearest")[0, 0]


def box_mask(share: float, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Visibility (h, w) of 0/1 with one rectangle of area `share` hidden, at a random place and aspect."""
    low = max(share, 0.5)  # height of the box as a share of the image's: both sides must fit
    tall = min(1.0, max(share, low + (1 - low) * float(torch.rand((), generator=generator))))
    tall = tall if torch.rand((), generator=generator) < 0.5 else share / tall
    h = min(height, max(1, round(tall * height)))
    w = min(width, max(1, round(share * height * width / h)))
    top = int(torch.randint(0, height - h + 1, (), generator=generator))
    left = int(torch.randint(0, width - w + 1, (), generator=generator))
    seen = torch.ones(height, width)
    seen[top : top + h, left : left + w] = 0
    return seen


def draw_masks(shares: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Visibility (n, 1, h, w): alternately patches and one box, which hide the shares (n,) of the pixels."""
    shapes = (patch_mask, box_mask)
    masks = [shapes[i % 2](float(share), height, width, generator) for i, share in enumerate(shares)]
    return torch.stack(masks)[:, None]


def hide(image: Tensor, seen: Tensor) -> Tensor:
    """The masked image (n, 4, h, w) of an image in [-1, 1] and its visibility (n, 1, h, w)."""
    return torch.cat([image * seen, seen], dim=1)


def hide_stored(image: np.ndarray, share: float, generator: torch.Generator) -> np.ndarray:
    """Masked images, uint8 (n, 4, h, w), of stored images, uint8 (n, 3, h, w), with `share` of the pixels hidden."""
    seen = draw_masks(torch.full((len(image),), share), image.shape[2], image.shape[3], generator)
    visible = seen.numpy().astype(np.uint8)
    return np.concatenate([image * visible, visible * 255], axis=1)


class Kind(ImageKind):
    """A masked image. Its recovery is of what the encoder outputs: the colours, with hidden pixels 0."""

    drawable = False
    made_from = "image"

    @classmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """Three colours and their visibility, of the data set's size."""
        return Modality("masked_image", (4, *size))

    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Noise, with random hidden pixels."""
        seen = rng.integers(0, 2, (count, 1, *self.shape[1:]), dtype=np.uint8)
        colours = rng.integers(0, 256, (count, 3, *self.shape[1:]), dtype=np.uint8)
        return np.concatenate([colours * seen, seen * 255], axis=1)

    def make(self, source: Tensor, generator: torch.Generator) -> Tensor:
        """The images, each with a new random mask that hides between 5 and 95 % of it."""
        shares = 0.05 + 0.9 * torch.rand(len(source), generator=generator)
        return hide(source, draw_masks(shares, source.shape[2], source.shape[3], generator).to(source))

    def to_batch(self, stored: Tensor) -> Tensor:
        """Colours to [-1, 1], hidden ones to 0, visibility to 0 or 1."""
        seen = (stored[:, -1:] > 0).float()
        return hide(to_unit(stored[:, :-1]), seen)

    def to_stored(self, answer: Tensor) -> np.ndarray:
        """Colours to uint8, hidden ones 0, visibility to 0 or 255."""
        seen = (answer[:, -1:] > 0).to(torch.uint8).cpu().numpy()
        return np.concatenate([super().to_stored(answer[:, :-1]) * seen, seen * 255], axis=1)

    @property
    def decoded_channels(self) -> int:
        """Its colours."""
        return self.shape[0] - 1

    def impose(self, z0: Tensor, values: Tensor) -> Tensor:
        """The visible pixels replace those of the estimate."""
        seen = values[:, -1:]
        return seen * values[:, :-1] + (1 - seen) * z0

    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """uint8 (n, 4, h, w) from arrays, or from images whose transparent pixels are hidden."""
        return read_pictures(name, value, self, self._read, resize=resize)

    def _read(self, picture: Image.Image, shown: str) -> np.ndarray:
        if not picture.has_transparency_data:
            raise UserError(f"{shown}: has no transparency (mode {picture.mode}); make the pixels to fill transparent")
        pixels = np.asarray(picture.convert("RGBA")).transpose(2, 0, 1)
        seen = pixels[3:] == 255
        return np.concatenate([pixels[:3] * seen, seen * np.uint8(255)]).astype(np.uint8)

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """The image; hidden pixels are hatched."""
        seen = item[3] > 0
        rows, columns = np.indices(seen.shape)
        hatching = np.where((rows + columns) % 4 < 2, 205, 235).astype(np.uint8)
        return super().tile(np.where(seen, item[:3], hatching), facts, size)

    def pictures(self, answer: np.ndarray, facts: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
        """The images, with hidden pixels transparent."""
        return {"": [Image.fromarray(np.ascontiguousarray(x.transpose(1, 2, 0)), "RGBA") for x in answer]}
