"""How a file stores the items of a modality, and the number type that checked items are converted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from mmbench.errors import UserError


@dataclass(frozen=True)
class Layout:
    """The form of items in a file, and in memory after the check.

    Attributes:
        dtype: which types are accepted: integers or floats of any width and byte order; booleans count as 0 and 1.
        number: the type that all of these are converted to.
    """

    dtype: Literal["uint8", "integer", "float"]
    shape: tuple[int, ...]
    number: type[np.number]

    def fits(self, dtype: np.dtype) -> bool:
        """Whether an array's type is accepted."""
        return {"uint8": dtype == np.uint8, "integer": dtype.kind in "uib", "float": dtype.kind == "f"}[self.dtype]

    def converted(self, array: np.ndarray, fault: Callable[[np.ndarray], str | None]) -> np.ndarray:
        """An array of an accepted type, converted to `number` after its values are checked.

        Integers are checked before the conversion, since a narrower type would wrap them. Floats are checked after it,
        since a number that is too large becomes infinite, and one that is too small becomes 0.

        Args:
            fault: returns the fault in the values, as words that follow the array's name; None without one.

        Raises:
            UserError: the values have a fault; the message is that of `fault`.
        """
        with np.errstate(over="ignore"):
            array = array.astype(self.number, copy=False) if array.dtype.kind == "f" else array
        if reason := fault(array):
            raise UserError(reason)
        return array.astype(self.number, copy=False)

    def fault(self, dtype: np.dtype, shape: tuple[int, ...], count: int, remedy: str) -> str | None:
        """The fault in an array's type or shape, as words that follow its name; None if it fits."""
        wanted = (count, *self.shape)
        if self.fits(dtype) and shape == wanted:
            return None
        return f"is {dtype} {shape}; expected {self.dtype} {wanted}: {remedy}"


def plain(x: Tensor) -> Tensor:
    """The same values as float32 or int64, whichever precision a method uses."""
    return x.float() if x.is_floating_point() else x.long()


def first_of(wrong: np.ndarray, array: np.ndarray) -> str:
    """The first wrong value among items (n, ...), and the number of its item."""
    place = np.argwhere(wrong)[0]
    return f"{array[tuple(place)]} in item {place[0]}"
