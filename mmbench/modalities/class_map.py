"""A class for each pixel: stored as uint8 (n, h, w), in a batch int64 (n, h, w); 255 is a pixel without a class.

A data set's card names the classes and gives each a colour (`classes`, `palette`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.files.pictures import DEEP_MODES, as_colour
from mmbench.modalities import Modality
from mmbench.modalities._inputs import read_pictures
from mmbench.modalities._kind import MapKind
from mmbench.modalities._layout import Layout, first_of, plain

#: The number of a pixel without a class; in the map of an item that lacks it, all pixels have it.
MISSING = 255
WHITE = (255, 255, 255)


def one_hot_map(x: Tensor, classes: int) -> Tensor:
    """Class map (n, h, w) to float (n, classes, h, w); an ignored pixel (class 255) is all zero."""
    hot = F.one_hot(x.clamp(max=classes), classes + 1)[..., :classes]
    return hot.movedim(-1, 1).float()


class ClassMapEncoder(nn.Module):
    """A class map as an image: every class is a learned colour, an ignored pixel is 0.

    Class probabilities (n, classes, h, w) are accepted too and give the expected colour.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.classes = classes
        self.colours = nn.Parameter(torch.rand(classes, channels) * 2 - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w) classes or (n, classes, h, w) probabilities to (n, c, h, w)."""
        weights = x if x.is_floating_point() else one_hot_map(x, self.classes)
        return torch.einsum("nkhw,kc->nchw", weights, self.colours)


class Kind(MapKind):
    """A class map. Its recovery is the cross-entropy of the pixels that have a class."""

    missing = MISSING
    remedy = "save one class for each pixel"

    @classmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """A class for each pixel of the images."""
        return Modality("class_map", size, classes=len(facts.get("classes") or ()))

    @property
    def learnable(self) -> bool:
        """Whether the card names classes."""
        return self.classes > 0

    @classmethod
    def describe(cls, array: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The share of each class among the pixels that have one, and the share of pixels without a class."""
        pixels = np.bincount(array.ravel(), minlength=256)
        labelled = max(pixels[:MISSING].sum(), 1)
        shares = [round(float(pixels[k] / labelled), 5) for k in range(len(facts.get("classes") or ()))]
        return {"class_share": shares, "ignored_share": round(float(pixels[MISSING] / pixels.sum()), 5)}

    @property
    def stored(self) -> Layout:
        """Whole numbers (n, h, w), as uint8."""
        return Layout("integer", self.shape, np.uint8)

    def stored_fault(self, array: np.ndarray) -> str | None:
        """A class that does not exist; if the card names no classes, one that a byte cannot hold."""
        classes = self.classes or MISSING
        wrong = (array != MISSING) & ((array < 0) | (array >= classes))
        return f"has {first_of(wrong, array)}, and there are 0 to {classes - 1}" if wrong.any() else None

    def answer_fault(self, array: np.ndarray) -> str | None:
        """A class that does not exist."""
        if array.min() < 0 or array.max() >= self.classes:
            return f"holds classes outside 0 to {self.classes - 1}; save the class numbers of card.json"
        return None

    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Blocks of random classes."""
        height, width = self.shape
        blocks = rng.integers(0, self.classes, (count, -(-height // 8), -(-width // 8)), dtype=np.uint8)
        return blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]

    def to_batch(self, stored: Tensor) -> Tensor:
        """To int64."""
        return stored.long()

    def tensor_fault(self, answer: Tensor, count: int) -> str | None:
        """Also a class that does not exist, which uint8 may be unable to hold."""
        if fault := super().tensor_fault(answer, count):
            return fault
        low, high = int(plain(answer).min()), int(plain(answer).max())
        outside = low < 0 or high >= self.classes
        return f"holds classes from {low} to {high}; there are 0 to {self.classes - 1}" if outside else None

    def to_stored(self, answer: Tensor) -> np.ndarray:
        """To uint8."""
        return super().to_stored(answer).astype(np.uint8)

    def available(self, values: Tensor) -> Tensor:
        """Items of which any pixel has a class."""
        return (values != MISSING).flatten(1).any(dim=1)

    def blank(self, count: int, device: torch.device) -> Tensor:
        """Class 0."""
        return torch.zeros(count, *self.shape, dtype=torch.long, device=device)

    @property
    def channels(self) -> int:
        """One for each class."""
        return self.classes

    @property
    def decoded_channels(self) -> int:
        """Logits."""
        return self.classes

    def enter(self, values: Tensor) -> Tensor:
        """One-hot."""
        return one_hot_map(values, self.classes)

    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """A learned colour for each class."""
        return ClassMapEncoder(self.classes, space[0])

    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """Mean cross-entropy over the pixels with a class."""
        loss = F.cross_entropy(decoded, values, reduction="none", ignore_index=MISSING)
        return loss.flatten(1).sum(dim=1) / (values != MISSING).flatten(1).sum(dim=1).clamp(min=1)

    def value(self, decoded: Tensor) -> Tensor:
        """Class probabilities (n, classes, h, w)."""
        return decoded.softmax(dim=1)

    def settle(self, decoded: Tensor, normal: Tensor) -> Tensor:
        """The most probable classes, int64 (n, h, w): neighbouring pixels are not sampled independently."""
        return decoded.argmax(dim=1)

    def answer(self, decoded: Tensor) -> Tensor:
        """The most probable classes, int64 (n, h, w)."""
        return decoded.argmax(dim=1)

    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """uint8 (n, h, w) from arrays, or from images that hold class numbers or the palette's colours."""

        def read(picture: Image.Image, shown: str) -> np.ndarray:
            return class_numbers(picture, facts.get("palette") or (), shown)

        return read_pictures(name, value, self, read, resize=resize)

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """The palette's colours, or greys without a palette; white where there is no class.

        Raises:
            UserError: the card has another number of colours than of classes.
        """
        classes, palette = len(facts.get("classes") or ()), facts.get("palette")
        if palette and len(palette) != classes:
            raise UserError(
                f"card.json: {classes} classes but {len(palette)} colours; give each class one in `palette`"
            )
        colours = np.full((256, 3), WHITE, np.uint8)
        colours[:classes] = palette or np.linspace(0, 220, classes).astype(np.uint8)[:, None]
        return colours[item]

    def pictures(self, answer: np.ndarray, facts: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
        """Class numbers, and the same in colours."""
        return {"": [Image.fromarray(x.astype(np.uint8)) for x in answer],
                "-colours": super().pictures(answer, facts)[""]}  # fmt: skip


def class_numbers(picture: Image.Image, palette: Any, shown: str) -> np.ndarray:
    """(h, w) class numbers of an image that holds them, or is in the colours of a palette; white means no class."""
    if picture.mode in ("1", "P", "L", "I", *DEEP_MODES):
        return np.asarray(picture).astype(np.int64)
    numbers = {tuple(colour): number for number, colour in enumerate(palette)}
    numbers.setdefault(WHITE, MISSING)
    pixels = np.asarray(as_colour(picture, shown))
    colours, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    for colour in colours:
        if tuple(colour.tolist()) not in numbers:
            raise UserError(
                f"{shown}: the colour {tuple(colour.tolist())} is no class's; give class numbers as greyscale, or the "
                "palette's exact colours"
            )
    return np.array([numbers[tuple(colour.tolist())] for colour in colours])[places.reshape(pixels.shape[:2])]
