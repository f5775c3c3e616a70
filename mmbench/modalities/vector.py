"""A vector of an item, such as an embedding: float (n, d) in every form; an item without one has NaN.

A data set's card gives d as `size`, or by the shape of its array.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.modalities import Modality
from mmbench.modalities._inputs import read_items
from mmbench.modalities._kind import VectorKind
from mmbench.modalities._layout import Layout, first_of

#: The value of each number of an item that has none.
MISSING = float("nan")


class Kind(VectorKind):
    """A vector. Its recovery is the absolute error, a Laplace likelihood."""

    missing = MISSING
    lacking = "write it with `python -m mmbench.stages.embed` and name its folder as --data"

    @classmethod
    def from_card(cls, facts: Mapping[str, Any], size: tuple[int, int]) -> Modality | None:
        """A vector of the size that the card gives."""
        shape = (facts["size"],) if facts.get("size") else tuple(facts.get("shape", ()))
        return Modality("vector", shape) if shape else None

    @property
    def stored(self) -> Layout:
        """Float (n, d)."""
        return Layout("float", self.shape, np.float32)

    def stored_fault(self, array: np.ndarray) -> str | None:
        """A number that is not finite."""
        wrong = ~np.isfinite(array)
        return f"has {first_of(wrong, array)}, and should be finite" if wrong.any() else None

    def made_up(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Noise."""
        return rng.normal(size=(count, *self.shape)).astype(np.float32)

    def available(self, values: Tensor) -> Tensor:
        """Items that are not all NaN."""
        return ~values.isnan().all(dim=1)

    @property
    def width(self) -> int:
        """The size of the vector."""
        return self.shape[0]

    def enter(self, values: Tensor) -> Tensor:
        """The values unchanged."""
        return values

    def recovery(self, decoded: Tensor, values: Tensor) -> Tensor:
        """Mean absolute error."""
        present = self.available(values)
        return present * (decoded - torch.where(present[:, None], values, 0.0)).abs().flatten(1).mean(dim=1)

    def read_input(self, name: str, value: Any, facts: Mapping[str, Any], *, resize: bool) -> np.ndarray:
        """float32 (n, d) from an array."""
        if isinstance(value, (str, os.PathLike)):
            raise UserError(f"{name}: {value} is no .npy or .npz; save the array (n, {self.width}) with numpy.save")
        return read_items(name, value, self)
