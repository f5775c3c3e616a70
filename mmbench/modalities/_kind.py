"""The interface of a kind of modality, and the two families of kinds: maps and vectors."""

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

    Its items occur in three forms. *Stored*: the array of a data set, of a case, or of a user. In a *batch*: the tensor
    that a method receives or returns. *Decoded*: the output of a decoder's head, before it is turned into a value. The
    last argument of an encoder is the shape (c, h, w) of the diffusion space.

    Args:
        modality: shape and number of classes.
    """

    #: Whether the last two axes are height and width, so that an item is mirrored together with its image.
    spatial: ClassVar[bool]
    #: The value that marks a missing one, in files and in a batch; None: no item can lack the modality.
    missing: ClassVar[float | None] = None
    #: Whether such a modality can be z_0 of a diffusion, and is compared as a set when it is generated.
    drawable: ClassVar[bool] = False
    #: The kind that it is made from in each training batch, for a kind that no data set stores.
    made_from: ClassVar[str | None] = None
    #: The advice in the errors about data that lack the modality, and about an answer of another type or shape.
    lacking: ClassVar[str] = "choose a data set that has it (docs/data.md)"
    remedy: ClassVar[str] = "save one row for each item of the case, in its order"

    #: How to read its tile; empty if the tile needs no explanation.
    legend: ClassVar[str] = ""

    def __init__(self, modality: Modality) -> None:
        self.modality, self.shape, self.classes = modality, modality.shape, modality.classes

    # The card of a data set

    @classmethod
    @abstractmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """The modality of a data set whose card has these `facts` about it; None if they do not suffice.

        Args:
            facts: `mmbench.modalities.facts_of`.
            size: height and width of its images.
        """

    @property
    def learnable(self) -> bool:
        """Whether there is anything to learn about the modality."""
        return True

    @classmethod
    def describe(cls, array: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The card's entries on a split's array (n, ...), in addition to its type and shape."""
        return {}

    # Stored arrays

    @property
    @abstractmethod
    def stored(self) -> Layout:
        """How a data set stores the items."""

    @property
    def answered(self) -> Layout:
        """How predictions.npz stores the items."""
        return self.stored

    def stored_fault(self, array: np.ndarray) -> str | None:
        """The fault in the values of a data set's array, as words that follow its name; None without one."""
        return None

    def answer_fault(self, array: np.ndarray) -> str | None:
        """The fault in the values of an answer, as words that follow its name; None without one."""
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return "holds NaN or infinity; predict this case again"
        return None

    def check_header(self, where: str, header: Header | np.ndarray, count: int) -> None:
        """Check that an array has the type and shape of `count` answers, before its values are read.

        Raises:
            UserError: it has not.
        """
        if fault := self.answered.fault(header.dtype, header.shape, count, self.remedy):
            raise UserError(f"{where} {fault}")

    def check_answer(self, where: str, array: np.ndarray, count: int) -> np.ndarray:
        """An array as predictions.npz stores it, after its type, shape and values are checked as `count` answers.

        Raises:
            UserError: the array is not `count` answers.
        """
        self.check_header(where, array, count)
        try:
            return self.answered.converted(array, self.answer_fault)
        except UserError as error:
            raise UserError(f"{where} {error}") from None

    def absent(self, array: np.ndarray) -> np.ndarray:
        """Which of the stored items (n, ...) have no value at all, bool (n,)."""
        if self.missing is None:
            return np.zeros(len(array), bool)
        present = ~np.isnan(array) if np.isnan(self.missing) else array != self.missing
        gone: np.ndarray = ~present.reshape(len(array), -1).any(axis=1)
        return gone

    @abstractmethod
    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random items in stored form, for timings and tests."""

    # Tensors

    def to_batch(self, stored: Tensor) -> Tensor:
        """Stored items in the form that a method receives."""
        return stored

    def tensor_fault(self, answer: Tensor, count: int) -> str | None:
        """The fault in `count` answers of a method, as words that follow their name; None without one.

        The tensor is checked before it is stored, since storing could hide the fault.
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
        """A batch's items with left and right exchanged; items without sides stay as they are."""
        return values.flip(-1) if self.spatial else values

    def blank(self, count: int, device: torch.device) -> Tensor:
        """The placeholder in a batch for `count` items of unknown value."""
        return torch.zeros(count, *self.shape, device=device)

    def is_made_from(self, other: Modality) -> bool:
        """Whether this modality is made from `other`."""
        return other.kind == self.made_from

    def make(self, source: Tensor, generator: torch.Generator) -> Tensor:
        """A batch's items, made from those of the kind `made_from`."""
        raise NotImplementedError(f"{self.modality.kind} is not made from anything")

    # Networks

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of `enter` as an image-shaped input; 0 for a kind that enters as a vector."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers of `enter` as a vector; 0 for a kind that enters as a map."""

    @abstractmethod
    def enter(self, values: Tensor) -> Tensor:
        """A batch's items as they condition a network: (n, channels, h, w), or (n, width)."""

    @abstractmethod
    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """A module from a batch's items, or `value`, to (n, c, h, w)."""

    @abstractmethod
    def decoder(self, backbone: UNet, space: tuple[int, ...]) -> nn.Module:
        """The head that recovers the modality from the backbone's features."""

    @abstractmethod
    def decode(self, head: nn.Module, features: Features) -> Tensor:
        """The output of a `decoder` for these features."""

    @abstractmethod
    def reader(self, backbone: UNet) -> nn.Module:
        """The head of a network that has no other."""

    @abstractmethod
    def read(self, head: nn.Module, features: Features) -> Tensor:
        """The output of a `reader` for these features, in decoded form."""

    @abstractmethod
    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """L2, -log p(x_i | z_t): how badly a decoder's output explains a batch's items (n,); 0 for those without."""

    def value(self, decoded: Tensor) -> Tensor:
        """A decoder's output as a value that `encoder` takes; of classes their probabilities."""
        return decoded

    def settle(self, decoded: Tensor, normal: Tensor) -> Tensor:
        """A decoder's output as a value of a batch; a distribution is sampled with normal noise of its shape."""
        return self.value(decoded)

    def answer(self, decoded: Tensor) -> Tensor:
        """A decoder's output in the form of a method's answer."""
        return self.value(decoded)

    def given_answer(self, values: Tensor) -> Tensor:
        """A given value in the form of a method's answer."""
        return values

    def impose(self, z0: Tensor, values: Tensor) -> Tensor:
        """An estimate of z_0 (n, c, h, w) after the parts that a given value determines are replaced by it."""
        return z0

    # Input and output of users

    @abstractmethod
    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """A user's input as stored items.

        Args:
            name: the name of the modality, for errors.
            value: arrays, images, paths of images, numbers or names, or lists of them, as far as the kind accepts them.
            facts: `mmbench.modalities.facts_of` the data's card.
            resize: whether images of another size are resized rather than refused.

        Raises:
            UserError: the input does not fit the kind.
        """

    @classmethod
    @abstractmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """A stored or answered item as colours, uint8 (h, w, 3), for the page.

        Args:
            facts: `mmbench.modalities.facts_of` the data's card.
            size: height and width of the tile if the item has none.
        """

    @classmethod
    def words(cls, item: np.ndarray, facts: Mapping[str, Any]) -> str:
        """The text below an item's tile; empty if none is needed."""
        return ""

    def pictures(self, answer: np.ndarray, facts: Mapping[str, Any]) -> dict[str, list[Image.Image]]:
        """Stored answers as images, keyed by the suffix of their file names; the last entry is the one to look at.

        Empty for a kind that cannot be shown as an image.
        """
        return {}

    def entries(self, answer: np.ndarray, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Stored answers in words, one entry for each item with its `label`; empty for a kind without labels."""
        return []


class MapKind(Kind):
    """A kind with a value at each pixel: it enters a network as channels and leaves it through a PixelHead."""

    spatial = True
    width = 0

    @property
    @abstractmethod
    def decoded_channels(self) -> int:
        """Channels of the decoded form."""

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


#: Colours of a vector's numbers in its tile, for -2, 0 and 2.
BELOW, ABOVE, ZERO = (33, 102, 172), (178, 24, 43), 247


class VectorEncoder(nn.Module):
    """A vector as a smooth image: a linear map to a 4x4 image, which is enlarged."""

    def __init__(self, kind: VectorKind, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.kind, self.shape = kind, shape
        self.linear = nn.Linear(kind.width, shape[0] * 16)

    def forward(self, x: Tensor) -> Tensor:
        """A batch's items, or values, to (n, c, h, w) in [-1, 1]."""
        small = self.linear(self.kind.enter(x)).tanh().view(-1, self.shape[0], 4, 4)
        return F.interpolate(small, size=self.shape[1:], mode="bilinear")


class VectorKind(Kind):
    """A kind with one vector per item: it enters a network with the time embedding and leaves it as a vector."""

    spatial = False
    channels = 0
    legend = "its numbers, blue below and red above 0"

    def encoder(self, space: tuple[int, ...]) -> nn.Module:
        """A learned smooth image."""
        return VectorEncoder(self, space)

    def decoder(self, backbone: UNet, space: tuple[int, ...]) -> nn.Module:
        """A hidden layer on the pooled features; the other heads train the rest of the backbone."""
        return VectorHead(backbone, self.width)

    def decode(self, head: nn.Module, features: Features) -> Tensor:
        """(n, width)."""
        decoded: Tensor = head(features.pooled)
        return decoded

    def reader(self, backbone: UNet) -> nn.Module:
        """A hidden layer on pooled features and the mean of the map, so that the whole backbone is trained."""
        return VectorReader(backbone, self.width)

    def read(self, head: nn.Module, features: Features) -> Tensor:
        """(n, width)."""
        decoded: Tensor = head(features)
        return decoded

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """The numbers row by row, blue below 0 and red above, with full colour at 2."""
        side = int(np.ceil(np.sqrt(len(item))))
        numbers = np.zeros(side * side)
        numbers[: len(item)] = np.clip(item / 2, -1, 1)
        square = numbers.reshape(side, side, 1)
        strength = np.abs(square)
        colours = (ZERO * (1 - strength) + np.where(square > 0, ABOVE, BELOW) * strength).astype(np.uint8)
        rows, columns = (np.arange(n) * side // n for n in size)
        return np.ascontiguousarray(colours[rows][:, columns])
