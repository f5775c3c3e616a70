"""How the items of a modality lie in a file, and the one type of number that they become when they are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from mmbench.errors import UserError


@dataclass(frozen=True)
class Layout:
    """How items lie in a file, and in memory after it was checked.

    Attributes:
        dtype: which types are taken: whole numbers and floats of any width and byte order, and of booleans 0 and 1.
        shape: of one item.
        number: the one type that all of these become.
    """

    dtype: Literal["uint8", "integer", "float"]
    shape: tuple[int, ...]
    number: type[np.number]

    def fits(self, dtype: np.dtype) -> bool:
        """Whether an array's type is one of those."""
        return {"uint8": dtype == np.uint8, "integer": dtype.kind in "uib", "float": dtype.kind == "f"}[self.dtype]

    def converted(self, array: np.ndarray, fault: Callable[[np.ndarray], str | None]) -> np.ndarray:
        """An array of a type that fits, as `number`, its values checked.

        Whole numbers are checked as they are, since a narrower type would wrap them; floats as they become, since one
        that is too large becomes infinite, and one that is too small 0.

        Args:
            array: of a type that fits.
            fault: what is wrong with the values, in words that follow the array's name; None if nothing is.

        Raises:
            UserError: something is; the words of `fault`.
        """
        with np.errstate(over="ignore"):
            array = array.astype(self.number, copy=False) if array.dtype.kind == "f" else array
        if reason := fault(array):
            raise UserError(reason)
        return array.astype(self.number, copy=False)

    def fault(self, dtype: np.dtype, shape: tuple[int, ...], count: int, remedy: str) -> str | None:
        """What is wrong with an array's type or shape, in words that follow its name; None if it fits."""
        wanted = (count, *self.shape)
        if self.fits(dtype) and shape == wanted:
            return None
        return f"is {dtype} {shape}; expected {self.dtype} {wanted}: {remedy}"


def plain(x: Tensor) -> Tensor:
    """The same values as float32 or int64, whatever type a method works with."""
    return x.float() if x.is_floating_point() else x.long()


def first_of(wrong: np.ndarray, array: np.ndarray) -> str:
    """The first value of items (n, ...) that is wrong, and whose it is."""
    place = np.argwhere(wrong)[0]
    return f"{array[tuple(place)]} in item {place[0]}"
