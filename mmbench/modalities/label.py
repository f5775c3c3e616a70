"""A class of the whole item: stored and in a batch int64 (n,), answered as float class probabilities (n, classes).

An item without one has -1. A data set's card names the classes (`labels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.errors import UserError, near
from mmbench.modalities import Modality
from mmbench.modalities._kind import VectorKind
from mmbench.modalities._layout import Layout, first_of

#: The value of the label of an item that has none.
MISSING = -1
#: How far a sum of probabilities may be from 1.
TOLERANCE = 1e-3
#: Colours of a tile: the bars and the background.
BAR, GROUND = (31, 111, 174), 240


class Kind(VectorKind):
    """A label. Its recovery is the cross-entropy."""

    missing = MISSING
    legend = "bars are its probabilities, with the likeliest below"

    @classmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """One of the card's labels."""
        return Modality("label", (), classes=len(facts.get("labels") or ()))

    @property
    def learnable(self) -> bool:
        """Whether there are at least two classes."""
        return self.classes > 1

    @classmethod
    def describe(cls, array: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The number of items of each class."""
        return {"label_counts": np.bincount(array).tolist()}

    @property
    def stored(self) -> Layout:
        """Whole numbers (n,)."""
        return Layout("integer", (), np.int64)

    @property
    def answered(self) -> Layout:
        """Float class probabilities (n, classes)."""
        return Layout("float", (self.classes,), np.float32)

    def stored_fault(self, array: np.ndarray) -> str | None:
        """A class that does not exist; if the card names no classes, a number below 0 or too large for its type."""
        classes = self.classes or np.iinfo(np.int64).max
        wrong = (array < 0) | (array >= classes)
        return f"has {first_of(wrong, array)}, and there are 0 to {classes - 1}" if wrong.any() else None

    def answer_fault(self, array: np.ndarray) -> str | None:
        """Rows that are not probabilities."""
        if fault := super().answer_fault(array):
            return fault
        if array.min() < 0 or np.abs(array.sum(axis=1) - 1).max() > TOLERANCE:
            return "holds rows that do not add up to 1; save a probability for each class"
        return None

    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """All classes in turn."""
        return np.arange(count) % self.classes

    def to_batch(self, stored: Tensor) -> Tensor:
        """To int64."""
        return stored.long()

    def available(self, values: Tensor) -> Tensor:
        """Items whose label is not negative."""
        return values >= 0

    def blank(self, count: int, device: torch.device) -> Tensor:
        """Class 0."""
        return torch.zeros(count, dtype=torch.long, device=device)

    @property
    def width(self) -> int:
        """One number for each class."""
        return self.classes

    def enter(self, values: Tensor) -> Tensor:
        """Labels (n,) to one-hot (n, classes); probabilities as they are."""
        return values if values.is_floating_point() else F.one_hot(values, self.classes).float()

    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """Cross-entropy."""
        return self.available(values) * F.cross_entropy(decoded, values.clamp(min=0), reduction="none")

    def value(self, decoded: Tensor) -> Tensor:
        """Class probabilities (n, classes)."""
        return decoded.softmax(dim=1)

    def settle(self, decoded: Tensor, normal: Tensor) -> Tensor:
        """A class (n,) sampled by its probability: the largest of log p_c - log(-log u_c), u_c uniform (Gumbel)."""
        uniform = torch.special.ndtr(normal.double()).clamp(1e-12, 1 - 1e-12)
        return (decoded - (-uniform.log()).log()).argmax(dim=1)

    def given_answer(self, values: Tensor) -> Tensor:
        """Class probabilities, all on the given one."""
        return self.enter(values)

    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """int64 (n,) from numbers, names, or probabilities, of which the largest counts."""
        labels = [str(label) for label in facts.get("labels") or ()]
        array = np.asarray(value)
        if self.answered.fits(array.dtype) and array.shape[1:] == self.answered.shape:
            if not np.isfinite(array).all():
                raise UserError(f"{name}: a probability is not finite; give a class of each item")
            return array.argmax(axis=1).astype(np.int64)
        numbers = [_number(name, item, labels) for item in array.reshape(-1).tolist()]
        if array.ndim > 1 or not numbers or not all(0 <= number < self.classes for number in numbers):
            known = ", ".join(f"{i} ({label})" for i, label in enumerate(labels)) or f"0 to {self.classes - 1}"
            raise UserError(f"{name}: {value!r:.60} is no class; there are {known}")
        return np.array(numbers, np.int64)

    @classmethod
    def tile(cls, item: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Bars of the labels' probabilities from the left; a label given as a number is one full bar."""
        height, width = size
        shares = item if item.ndim else np.eye(max(len(facts.get("labels") or ()), int(item) + 1))[int(item)]
        pixels = np.full((height, width, 3), GROUND, np.uint8)
        bounds = np.linspace(0, height, len(shares) + 1).round().astype(int)
        for share, top, bottom in zip(shares, bounds, bounds[1:], strict=False):
            pixels[top : max(top + 1, bottom - 1), : round(float(share) * width)] = BAR
        return pixels

    @classmethod
    def words(cls, item: np.ndarray, facts: Mapping[str, Any]) -> str:
        """The name of the label, or of the most probable one."""
        labels, number = facts.get("labels") or (), int(item.argmax()) if item.ndim else int(item)
        return str(labels[number]) if number < len(labels) else str(number)

    def entries(self, answer: np.ndarray, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The most probable label of each item, its number, and the probabilities of all labels."""
        labels = [str(label) for label in facts.get("labels") or range(self.classes)]
        listed = []
        for i, row in enumerate(answer):
            number, rounded = int(row.argmax()), (round(float(p), 6) for p in row)
            probabilities = dict(zip(labels, rounded, strict=True))
            listed.append({"item": i, "label": labels[number], "number": number, "probabilities": probabilities})
        return listed


def _number(name: str, item: Any, labels: Sequence[str]) -> int:
    """The number of a class that a user gives by its number or its name."""
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    if isinstance(item, str):
        if item in labels:
            return labels.index(item)
        if item.isdecimal():
            return int(item)
    known = ", ".join(f"'{label}'" for label in labels)
    raise UserError(f"{name}: {item!r} is no class{near(str(item), labels)}; there are {known}")
