"""Cosine of paired embeddings, and how well one set's embeddings find their partners in the other.

A vector of zeros has no direction: its cosine with anything is 0. Similarities that agree to `DECIMALS` are ties, and a
tie is broken by chance, in expectation: embeddings that are all alike find their partners as often as guessing does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

DECIMALS = 9


def unit(vectors: np.ndarray, name: str = "vectors") -> np.ndarray:
    """Vectors (n, d) in double precision, of length 1 or, if they are zeros, 0.

    Raises:
        ValueError: not two dimensions, nothing, or values that are not finite.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    if wide.ndim != 2 or not wide.size:
        raise ValueError(f"{name} have shape {wide.shape}, not (items, dimensions)")
    if not np.isfinite(wide).all():
        raise ValueError(f"{name} hold NaN or infinity")
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)


def paired(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of vectors (n, d) at length 1; ValueError if they cannot be pairs."""
    found = unit(queries, "queries"), unit(gallery, "gallery vectors")
    if found[0].shape != found[1].shape:
        raise ValueError(f"queries are {found[0].shape}, gallery vectors {found[1].shape}: these are no pairs")
    return found


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine (n,), -1 to 1, of paired vectors (n, d).

    Raises:
        ValueError: the sets are no pairs or hold something not finite.
    """
    a, b = paired(first, second)
    return (a * b).sum(axis=1).clip(-1, 1)


class Places:
    """Where each query's partner comes in the gallery sorted by cosine.

    Args:
        queries: vectors (n, d).
        gallery: vectors (n, d), whose i-th is the partner of the i-th query.
        chunk: rows of a block of similarities.

    Attributes:
        nearer: how many of the gallery are nearer than the partner (n,).
        tied: how many others are as near as the partner (n,).

    Raises:
        ValueError: the sets are no pairs or hold something not finite.
    """

    def __init__(self, queries: np.ndarray, gallery: np.ndarray, chunk: int = 2048) -> None:
        a, b = paired(queries, gallery)
        counted = [self._count(*block) for block in _blocks(a, b, chunk)]
        self.nearer, self.tied = (np.concatenate(part) for part in zip(*counted, strict=True))

    @staticmethod
    def _count(similarity: np.ndarray, partner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = similarity[np.arange(len(partner)), partner][:, None]
        return (similarity > own).sum(axis=1), (similarity == own).sum(axis=1) - 1

    @property
    def rank(self) -> np.ndarray:
        """Rank (n,) of each partner from 1; among ties, the mean of the places that they take."""
        return 1 + self.nearer + self.tied / 2

    def recall(self, k: int) -> float:
        """R@k, 0 to 1: share of queries with their partner among the first k; a tie counts by its chance to be there.

        Raises:
            ValueError: k is less than 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        return float(((k - self.nearer) / (self.tied + 1)).clip(0, 1).mean())

    @property
    def median_rank(self) -> float:
        """Median of the ranks, from 1 to n."""
        return float(np.median(self.rank))


def _blocks(a: np.ndarray, b: np.ndarray, chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rounded similarities (chunk, n) of consecutive rows of a to all of b, and the partners' columns (chunk,)."""
    for start in range(0, len(a), chunk):
        rows = a[start : start + chunk]
        yield np.round(rows @ b.T, DECIMALS), np.arange(start, start + len(rows))
