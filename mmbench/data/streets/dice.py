"""Random choices that are the same on every machine and with every version of Python.

Only `random.Random.random` and `getrandbits` are used: Python guarantees the sequence of the first, and the second
reads the same generator. A test compares both with fixed hashes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from mmbench.data.streets.scene import VERSION, Colour

T = TypeVar("T")


class Dice(random.Random):
    """A random generator with the choices that the scenes need."""

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.random()

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self.random() * len(items))]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random() < probability

    def tint(self, colour: Colour, spread: float = 14) -> Colour:
        """The colour, a little lighter or darker or shifted in hue."""
        bits = self.getrandbits(32)
        shift = ((bits & 255) / 127.5 - 1) * spread
        red, green, blue = colour
        part = spread / 255
        return (red + shift + ((bits >> 8 & 255) - 127.5) * part, green + shift + ((bits >> 16 & 255) - 127.5) * part,
                blue + shift + ((bits >> 24) - 127.5) * part)  # fmt: skip

    def many(self, count: int, columns: int) -> np.ndarray:
        """Uniform numbers in [0, 1], (count, columns), in steps of 2^-16."""
        size = 2 * count * columns
        return np.frombuffer(self.getrandbits(8 * size).to_bytes(size, "little"), "<u2").reshape(count, columns) / 65535


def dice_of(*key: object) -> Dice:
    """Dice whose sequence depends only on the key and on the generator's version."""
    name = "/".join(map(str, ("toy_streets", VERSION, *key)))
    return Dice(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))
