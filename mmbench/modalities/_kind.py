"""What a kind of modality says about its tensors, and the two families that kinds are of: maps and vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.files.store import Header
from mmbench.modalities import Modality
from mmbench.modalities._layout import Layout, plain
from mmbench.models.nets.unet import Features, PixelHead, UNet, VectorHead, VectorReader


class Kind(ABC):
    """All that depends on the kind of a modality, for one modality.

    Three forms of its items occur. *Stored*: the array of a data set, of a question, or that a person gives. In a
    *batch*: the tensor that a method sees, or answers with. *Decoded*: what a decoder's head puts out, before it is
    made a value. The last of an encoder's arguments is the shape (c, h, w) of the diffusion space.

    Args:
        modality: shape and number of classes.
    """

    #: Whether the last two axes are height and width, so that it is mirrored with the image.
    spatial: ClassVar[bool]
    #: What stands for a value that an item lacks, in files and in a batch; None: no item can lack it.
    missing: ClassVar[float | None] = None
    #: Whether such a modality can be z_0 of a diffusion, and is compared as a set when it is drawn.
    drawable: ClassVar[bool] = False
    #: The kind that it is made from in each training batch, if no data set has it as such.
    made_from: ClassVar[str | None] = None
    #: What to do about data that lack it, and about an answer of another type or shape.
    lacking: ClassVar[str] = "choose a data set that has it (docs/data.md)"
    remedy: ClassVar[str] = "save one row for each item of the case, in its order"

    #: How to read its tile; empty if that speaks for itself.
    legend: ClassVar[str] = ""

    def __init__(self, modality: Modality) -> None:
        self.modality, self.shape, self.classes = modality, modality.shape, modality.classes

    # What a data set's card says

    @classmethod
    @abstractmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """The modality of a data set whose card says `facts` of it; None if it does not say enough.

        Args:
            facts: `mmbench.modalities.facts_of`.
            size: height and width of its images.
        """

    @property
    def learnable(self) -> bool:
        """Whether there is anything to learn of it."""
        return True

    @classmethod
    def describe(cls, array: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What the card says of a split's array (n, ...), beside its type and shape."""
        return {}

    # Stored arrays

    @property
    @abstractmethod
    def stored(self) -> Layout:
        """How a data set stores it."""

    @property
    def answered(self) -> Layout:
        """How predictions.npz stores it."""
        return self.stored

    def stored_fault(self, array: np.ndarray) -> str | None:
        """What is wrong with the values of a data set's array, in words that follow its name; None if nothing is."""
        return None

    def answer_fault(self, array: np.ndarray) -> str | None:
        """What is wrong with the values of an answer, in words that follow its name; None if nothing is."""
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return "holds NaN or infinity; predict this case again"
        return None

    def check_header(self, where: str, header: Header | np.ndarray, count: int) -> None:
        """Check that an array is `count` answers by its type and shape, before its values are read.

        Raises:
            UserError: it is not.
        """
        if fault := self.answered.fault(header.dtype, header.shape, count, self.remedy):
            raise UserError(f"{where} {fault}")

    def check_answer(self, where: str, array: np.ndarray, count: int) -> np.ndarray:
        """An array as predictions.npz stores it, if it is `count` answers, whoever made them: type, shape and values.

        Raises:
            UserError: it is not.
        """
        self.check_header(where, array, count)
        try:
            return self.answered.converted(array, self.answer_fault)
        except UserError as error:
            raise UserError(f"{where} {error}") from None

    def absent(self, array: np.ndarray) -> np.ndarray:
        """Which of stored items (n, ...) have no value at all, bool (n,)."""
        if self.missing is None:
            return np.zeros(len(array), bool)
        present = ~np.isnan(array) if np.isnan(self.missing) else array != self.missing
        gone: np.ndarray = ~present.reshape(len(array), -1).any(axis=1)
        return gone

    @abstractmethod
    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Items that look like stored ones and mean nothing, for timings and tests."""

    # Tensors

    def to_batch(self, stored: Tensor) -> Tensor:
        """Stored items as a method sees them."""
        return stored

    def tensor_fault(self, answer: Tensor, count: int) -> str | None:
        """What is wrong with `count` answers of a method before they are stored, which could hide it; None if nothing.

        In words that follow their name.
        """
        wanted = (count, *self.answered.shape)
        if tuple(answer.shape) != wanted:
            return f"is {answer.dtype} {tuple(answer.shape)}; expected shape {wanted}"
        whole = self.answered.dtype == "integer"
        if answer.is_complex() or answer.is_floating_point() == whole:
            return f"is {answer.dtype}; return {'whole numbers' if whole else 'floats'}"
        if not torch.isfinite(plain(answer)).all():
            return "is not finite; train the method again with a lower learning rate"
        return None

    def to_stored(self, answer: Tensor) -> np.ndarray:
        """A method's answer as predictions.npz stores it."""
        array: np.ndarray = plain(answer).cpu().numpy()
        return array

    def available(self, values: Tensor) -> Tensor:
        """Which items of a batch have the modality at all, bool (n,)."""
        return torch.ones(len(values), dtype=torch.bool, device=values.device)

    def mirrored(self, values: Tensor) -> Tensor:
        """A batch's items, left and right exchanged; what has no sides stays as it is."""
        return values.flip(-1) if self.spatial else values

    def blank(self, count: int, device: torch.device) -> Tensor:
        """What stands in a batch for `count` items that nothing is known of."""
        return torch.zeros(count, *self.shape, device=device)

    def is_made_from(self, other: Modality) -> bool:
        """Whether this modality is made from `other`."""
        return other.kind == self.made_from

    def make(self, source: Tensor, generator: torch.Generator) -> Tensor:
        """A batch's items made of those of the kind `made_from`."""
        raise NotImplementedError(f"{self.modality.kind} is not made from anything")

    # Networks

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of `enter` as an image-shaped input; 0 for what enters as a vector."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers of `enter` as a vector; 0 for what enters as a map."""

    @abstractmethod
    def enter(self, values: Tensor) -> Tensor:
        """A batch's items as they condition a network: (n, channels, h, w), or (n, width)."""

    @abstractmethod
    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """A module from a batch's items, or `value`, to (n, c, h, w)."""

    @abstractmethod
    def decoder(self, backbone: UNet, space: tuple[int, ...]) -> nn.Module:
        """The head that recovers it from the backbone's features."""

    @abstractmethod
    def decode(self, head: nn.Module, features: Features) -> Tensor:
        """What a `decoder` makes of features."""

    @abstractmethod
    def reader(self, backbone: UNet) -> nn.Module:
        """The head of a network that has no other."""

    @abstractmethod
    def read(self, head: nn.Module, features: Features) -> Tensor:
        """What a `reader` makes of features: as decoded."""

    @abstractmethod
    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """L2, -log p(x_i | z_t): how badly a decoder's output explains a batch's items (n,); 0 for those without."""

    def value(self, decoded: Tensor) -> Tensor:
        """A decoder's output as a value that `encoder` takes; of classes their probabilities."""
        return decoded

    def settle(self, decoded: Tensor, normal: Tensor) -> Tensor:
        """A decoder's output as a value of a batch, drawn by normal noise shaped as it where it is a distribution."""
        return self.value(decoded)

    def answer(self, decoded: Tensor) -> Tensor:
        """A decoder's output as a method answers."""
        return self.value(decoded)

    def given_answer(self, values: Tensor) -> Tensor:
        """A given value as a method answers."""
        return values

    def impose(self, z0: Tensor, values: Tensor) -> Tensor:
        """An estimate of z_0 (n, c, h, w) with what a given value says for certain put in."""
        return z0

    # People

    @abstractmethod
    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """What a person gives, as stored items.

        Args:
            name: of the modality, for errors.
            value: arrays, pictures, paths of pictures, numbers or names, or lists of them, as the kind takes them.
            facts: `mmbench.modalities.facts_of` the data's card.
            resize: whether pictures of another size are resized and not refused.

        Raises:
            UserError: it does not fit.
        """

    @classmethod
    @abstractmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """A stored or answered item as colours, uint8 (h, w, 3), for the page.

        Args:
            item: without the first axis.
            facts: `mmbench.modalities.facts_of` the data's card.
            size: height and width that it takes if it has none of its own.
        """

    @classmethod
    def words(cls, item: np.ndarray, facts: Mapping[str, Any]) -> str:
        """What stands below an item's tile; empty for what need not be said."""
        return ""

    def pictures(self, answer: np.ndarray, facts: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
        """Stored answers as pictures, by what the names of their files end with; the last ones are to be looked at.

        Empty for what cannot be seen.
        """
        return {}

    def entries(self, answer: np.ndarray, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Stored answers in words, one for each item, with its `label`; empty for what has none."""
        return []


class MapKind(Kind):
    """A kind that has a value at each pixel, and so enters a network as channels and leaves it through a PixelHead."""

    spatial = True
    width = 0

    @property
    @abstractmethod
    def decoded_channels(self) -> int:
        """Channels of what is decoded."""

    def decoder(self, backbone: UNet, space: tuple[int, ...]) -> nn.Module:
        """One convolution on the features' map."""
        return PixelHead(backbone, self.decoded_channels)

    def reader(self, backbone: UNet) -> nn.Module:
        """As `decoder`."""
        return PixelHead(backbone, self.decoded_channels)

    def decode(self, head: nn.Module, features: Features) -> Tensor:
        """(n, decoded_channels, h, w)."""
        decoded: Tensor = head(features.map)
        return decoded

    read = decode

    def pictures(self, answer: np.ndarray, facts: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
        """The tiles."""
        height, width = self.shape[-2:]
        return {"": [Image.fromarray(self.tile(item, facts, (height, width))) for item in answer]}


#: Colours of a vector's numbers in its tile: from -2 over 0 to 2.
BELOW, ABOVE, ZERO = (33, 102, 172), (178, 24, 43), 247


class VectorEncoder(nn.Module):
    """A vector as a smooth image: a linear map to a 4x4 image that is enlarged."""

    def __init__(self, kind: VectorKind, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.kind, self.shape = kind, shape
        self.linear = nn.Linear(kind.width, shape[0] * 16)

    def forward(self, x: Tensor) -> Tensor:
        """A batch's items, or values, to (n, c, h, w) in [-1, 1]."""
        small = self.linear(self.kind.enter(x)).tanh().view(-1, self.shape[0], 4, 4)
        return F.interpolate(small, size=self.shape[1:], mode="bilinear")


class VectorKind(Kind):
    """A kind that is one vector of an item, and so enters a network beside the time, and leaves it as a vector."""

    spatial = False
    channels = 0
    legend = "its numbers, blue below and red above 0"

    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """A learned smooth image."""
        return VectorEncoder(self, space)

    def decoder(self, backbone: UNet, space: tuple[int, ...]) -> nn.Module:
        """A hidden layer on the pooled features, which other heads make the backbone learn as a whole."""
        return VectorHead(backbone, self.width)

    def decode(self, head: nn.Module, features: Features) -> Tensor:
        """(n, width)."""
        decoded: Tensor = head(features.pooled)
        return decoded

    def reader(self, backbone: UNet) -> nn.Module:
        """A hidden layer on pooled features and the mean of the map, so that the backbone learns as a whole."""
        return VectorReader(backbone, self.width)

    def read(self, head: nn.Module, features: Features) -> Tensor:
        """(n, width)."""
        decoded: Tensor = head(features)
        return decoded

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Its numbers row by row, blue below 0 and red above, full at 2."""
        side = int(np.ceil(np.sqrt(len(item))))
        numbers = np.zeros(side * side)
        numbers[: len(item)] = np.clip(item / 2, -1, 1)
        square = numbers.reshape(side, side, 1)
        strength = np.abs(square)
        colours = (ZERO * (1 - strength) + np.where(square > 0, ABOVE, BELOW) * strength).astype(np.uint8)
        rows, columns = (np.arange(n) * side // n for n in size)
        return np.ascontiguousarray(colours[rows][:, columns])
