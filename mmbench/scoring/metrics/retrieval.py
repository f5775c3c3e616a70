"""Cosine of paired embeddings, and retrieval of each embedding's partner in the other set.

A vector of zeros has no direction: its cosine with any vector is 0. Similarities that agree to `DECIMALS` are ties,
which count by their expectation under random order: if all embeddings are equal, the scores are those of guessing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DECIMALS = 9


def unit(vectors: np.ndarray, name: str = "vectors") -> np.ndarray:
    """Vectors (n, d) in double precision, of length 1 or, if they are zeros, 0.

    Raises:
        ValueError: the array has not two dimensions, is empty, or has a value that is not finite.
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
    pair = unit(queries, "queries"), unit(gallery, "gallery vectors")
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"queries are {pair[0].shape}, gallery vectors {pair[1].shape}: these are no pairs")
    return pair


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine (n,), -1 to 1, of paired vectors (n, d).

    Raises:
        ValueError: the sets are no pairs or hold something not finite.
    """
    a, b = paired(first, second)
    return (a * b).sum(axis=1).clip(-1, 1)


@dataclass(frozen=True)
class Places:
    """The place of each query's partner in the gallery, sorted by cosine.

    Attributes:
        nearer: number of gallery items nearer than the partner (n,).
        tied: number of other items as near as the partner (n,).
    """

    nearer: np.ndarray
    tied: np.ndarray

    @property
    def rank(self) -> np.ndarray:
        """Rank (n,) of each partner from 1; among ties, the mean of the places that they take."""
        return 1 + self.nearer + self.tied / 2

    def recall(self, k: int) -> float:
        """R@k, 0 to 1: share of queries with their partner among the first k; a tie counts by its probability.

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


def both_ways(first: np.ndarray, second: np.ndarray, chunk: int = 2048) -> tuple[Places, Places]:
    """Places with the first set as queries and the second as gallery, and the other way round.

    Args:
        first: vectors (n, d).
        second: vectors (n, d), whose i-th is the partner of the first's i-th.
        chunk: rows of a block of similarities.

    Raises:
        ValueError: the sets are no pairs or hold something not finite.
    """
    a, b = paired(first, second)
    partners = np.round((a * b).sum(axis=1), DECIMALS)
    nearer, tied = (np.zeros((2, len(a)), dtype=np.int64) for _ in range(2))
    for start in range(0, len(a), chunk):
        rows = np.arange(start, min(start + chunk, len(a)))
        similarity = np.round(a[rows] @ b.T, DECIMALS)
        similarity[rows - start, rows] = partners[rows]  # a matrix product may round differently
        nearer[0, rows] = (similarity > partners[rows, None]).sum(axis=1)
        tied[0, rows] = (similarity == partners[rows, None]).sum(axis=1)
        nearer[1] += (similarity > partners).sum(axis=0)
        tied[1] += (similarity == partners).sum(axis=0)
    return Places(nearer[0], tied[0] - 1), Places(nearer[1], tied[1] - 1)
