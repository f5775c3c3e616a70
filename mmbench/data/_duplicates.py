"""Images that are in more than one split: exact duplicates by the hash of their pixels, and near duplicates.

Two images are near duplicates if their difference hashes (dHash: which of two neighbours in 8 x 9 greys is brighter)
differ in at most `BITS` of 64 bits, and their 16 x 16 greys by at most `LEVELS` of 255 on average. Compressed or
resized copies are therefore found; images shifted by a pixel, and streets that are only similar, are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

BITS, LEVELS = 10, 3
SIDE, BATCH = 16, 1024


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of the images of a split.

    Attributes:
        digests: the hash of each image's pixels.
        greys: the 16 x 16 greys of each image (n, 256), 0 to 255.
        hashes: the difference hash of each image, 64 bits (n,).
    """

    digests: tuple[bytes, ...]
    greys: np.ndarray
    hashes: np.ndarray


def fingerprints(images: np.ndarray) -> Fingerprints:
    """The fingerprints of images, uint8 (n, 3, h, w)."""
    digests = tuple(hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    greys, hashes = np.empty((len(images), SIDE**2), np.uint8), np.empty(len(images), np.uint64)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        grey = images[rows].mean(axis=1, dtype=np.float32)
        greys[rows] = shrunk(grey, SIDE, SIDE).round().reshape(len(grey), -1)
        small = shrunk(grey, 8, 9)
        brighter = small[:, :, 1:] > small[:, :, :-1]
        hashes[rows] = np.packbits(brighter.reshape(len(grey), 64), axis=1).view(np.uint64)[:, 0]
    return Fingerprints(digests, greys, hashes)


def shrunk(grey: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Means of equal boxes, (n, rows, columns), of greys (n, h, w)."""
    means: np.ndarray = boxes(rows, grey.shape[1]) @ grey @ boxes(columns, grey.shape[2]).T
    return means


def boxes(parts: int, size: int) -> np.ndarray:
    """Weights (parts, size) of the pixels of a line in each of its equal parts; a pixel may belong to two of them."""
    ends, pixels = np.linspace(0, size, parts + 1), np.arange(size)
    overlap = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    weights: np.ndarray = (overlap.clip(min=0) * parts / size).astype(np.float32)
    return weights


def shared(splits: Mapping[str, Fingerprints]) -> list[dict[str, Any]]:
    """For each two splits, the numbers of images of the later one that are exact and near duplicates of the earlier."""
    pairs = []
    for (other, first), (split, second) in combinations(splits.items(), 2):
        known = set(first.digests)
        exact = np.array([digest in known for digest in second.digests])
        near = int((nearly(first, second) & ~exact).sum())
        pairs.append({"split": split, "other": other, "exact": int(exact.sum()), "near": near})
    return pairs


def nearly(first: Fingerprints, second: Fingerprints) -> np.ndarray:
    """Which of the second images are near duplicates of any of the first, bool (n,).

    Greys that differ by at most `LEVELS` on average also differ by at most that in their means. Only images whose means
    are that near are compared; they are neighbours once the means are sorted.
    """
    means = first.greys.mean(axis=1)
    order = np.argsort(means)
    means, greys, hashes = means[order], first.greys[order].astype(np.int16), first.hashes[order]
    centres = second.greys.mean(axis=1)
    begins, ends = np.searchsorted(means, centres - LEVELS), np.searchsorted(means, centres + LEVELS, side="right")
    alike = np.zeros(len(centres), bool)
    for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        places = begin + np.flatnonzero(np.bitwise_count(hashes[begin:end] ^ second.hashes[i]) <= BITS)
        if places.size:
            alike[i] = np.abs(greys[places] - second.greys[i]).mean(axis=1).min() <= LEVELS
    return alike
