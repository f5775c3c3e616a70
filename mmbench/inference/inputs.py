"""A user's input to a trained model as checked stored arrays: from images, files, names of classes, and arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_array, load_arrays
from mmbench.modalities import Modality, facts_of, kind_of


def as_stored(
    name: str, value: Any, modality: Modality, card: Mapping[str, Any], *, resize: bool = False
) -> np.ndarray:
    """A given value in the stored form of docs/results.md, with a first axis of items.

    Args:
        name: the name of the modality, for errors.
        value: an array of one or more items; for a visual modality also a PIL image, the path of an image, or a list
            of these; for a label a number or a name; for any modality the path of an `.npy`, or of an `.npz` with an
            array of the modality's name.
        card: classes, palette and labels of the data set.
        resize: whether images of another size are resized rather than refused.

    Raises:
        UserError: the value has another size or type, a file is not readable, a class is unknown, or an item is empty.
    """
    if isinstance(value, (str, os.PathLike)) and str(value).endswith((".npy", ".npz")):
        value = _read(name, Path(value))
    kind = kind_of(modality)
    items = kind.read_input(name, value, facts_of(card, name), resize=resize)
    for item in np.flatnonzero(kind.absent(items))[:1]:
        raise UserError(f"{name}: item {item} has no value anywhere; give one, or leave {name} out")
    return items


def _read(name: str, path: Path) -> np.ndarray:
    """The array of an `.npy`, or the one called `name` of an `.npz`."""
    if path.suffix == ".npz":
        arrays = load_arrays(path, [name])
        if name not in arrays:
            raise UserError(f"{path}: has no array '{name}'; name another file")
        return arrays[name]
    return load_array(path)


def repeated(given: Arrays, count: int) -> Arrays:
    """Given items, each `count` times in a row; a single item is combined with every item of the other modalities.

    Raises:
        UserError: the modalities have different numbers of items.
    """
    sizes = {name: len(array) for name, array in given.items() if len(array) != 1}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise UserError(f"given are {counts}; give equally many of each, or one")
    most = max(sizes.values(), default=1)
    return {n: np.repeat(x if len(x) == most else x.repeat(most, axis=0), count, axis=0) for n, x in given.items()}
