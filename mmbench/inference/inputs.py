"""What a user gives a trained model, as stored arrays: pictures, files, names of classes and arrays, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmbench.data._pictures import open_picture
from mmbench.errors import UserError, near
from mmbench.files.store import load_array, load_arrays
from mmbench.method import IGNORED, Modality

#: How one item looks as an array, by kind, in the words of an error.
LOOKS = {
    "image": "uint8 (n, 3, h, w)",
    "masked_image": "uint8 (n, 4, h, w)",
    "mask": "whole numbers (n, h, w)",
    "label": "whole numbers (n,) or float probabilities (n, classes)",
    "embedding": "float (n, d)",
}


def as_stored(
    name: str, value: Any, modality: Modality, card: Mapping[str, Any], *, resize: bool = False
) -> np.ndarray:
    """A given value as docs/results.md says it is stored, with a first axis of items.

    Args:
        name: of the modality, for errors.
        value: an array of items or of one; for what can be seen also a PIL image, the path of a picture, or a list of
            these; for a label a number or a name; for everything the path of an `.npy`, or of an `.npz` that has an
            array of the modality's name.
        modality: what it must look like.
        card: classes, palette and labels of the data set.
        resize: whether pictures of another size are resized and not refused.

    Raises:
        UserError: it is of another size or type, a file is not readable, or no class is called so.
    """
    if isinstance(value, (str, os.PathLike)) and str(value).endswith((".npy", ".npz")):
        value = _read(name, Path(value))
    if modality.kind == "label":
        return _labels(name, value, modality, card)
    if modality.kind == "embedding":
        return _embeddings(name, value, modality)
    reads: dict[str, Callable[[Image.Image, str], np.ndarray]] = {
        "image": lambda picture, _: np.asarray(picture.convert("RGB")).transpose(2, 0, 1),
        "masked_image": _masked,
        "mask": lambda picture, shown: _classes(picture, card, shown),
    }
    items = value if isinstance(value, (list, tuple)) else [value]
    found = []
    for item in items:
        if isinstance(item, (str, os.PathLike, Image.Image)):
            picture, shown = _open(name, item)
            picture = _fitted(picture, shown, modality, resize)
            found.append(reads[modality.kind](picture, shown)[None])
        else:
            found.append(_items(name, item, modality, "u" if modality.kind != "mask" else "ui"))
    array = np.concatenate(found)
    if modality.kind == "mask":
        if (wrong := array[(array != IGNORED) & ((array < 0) | (array >= modality.classes))]).size:
            raise UserError(f"{name}: class {wrong[0]} does not exist; there are 0 to {modality.classes - 1}")
        array = array.astype(np.uint8)
    return array


def _read(name: str, path: Path) -> np.ndarray:
    """The array of an `.npy`, or the one called `name` of an `.npz`."""
    if path.suffix == ".npz":
        arrays = load_arrays(path, [name])
        if name not in arrays:
            raise UserError(f"{path}: has no array '{name}'; name another file")
        return arrays[name]
    return load_array(path)


def _items(name: str, value: Any, modality: Modality, kinds: str) -> np.ndarray:
    """An array of items, or of one, that has the modality's shape and a dtype of one of `kinds`."""
    array = np.asarray(value)
    if array.shape == modality.shape:
        array = array[None]
    if array.shape[1:] != modality.shape or not len(array) or array.dtype.kind not in kinds:
        wanted = ", ".join(["n", *map(str, modality.shape)])
        raise UserError(
            f"{name}: got {array.dtype} {array.shape}, not {LOOKS[modality.kind]} with ({wanted}); give it that shape"
        )
    if kinds == "u" and array.dtype != np.uint8:
        raise UserError(f"{name}: got {array.dtype}, not uint8; give colours from 0 to 255 as uint8")
    return array


def _open(name: str, value: Any) -> tuple[Image.Image, str]:
    """A picture, and what errors call it."""
    if isinstance(value, Image.Image):
        return value, name
    return open_picture(Path(value)), f"{name}: {value}"


def _fitted(picture: Image.Image, shown: str, modality: Modality, resize: bool) -> Image.Image:
    """A picture of the modality's size; class numbers and what is hidden are not blended."""
    height, width = modality.shape[-2:]
    if picture.size == (width, height):
        return picture
    if not resize:
        size = "x".join(map(str, picture.size))
        raise UserError(f"{shown}: {size} pixels, the model's are {width}x{height}; resize it, or ask for resizing")
    smooth = modality.kind == "image"
    return (picture.convert("RGB") if smooth else picture).resize(
        (width, height), Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    )


def _masked(picture: Image.Image, shown: str) -> np.ndarray:
    """(4, h, w) of a picture whose transparent pixels are hidden."""
    if "A" not in picture.getbands():
        raise UserError(f"{shown}: has no transparency (mode {picture.mode}); make the pixels to fill transparent")
    pixels = np.asarray(picture.convert("RGBA")).transpose(2, 0, 1)
    seen = pixels[3:] == 255
    return np.concatenate([pixels[:3] * seen, seen * np.uint8(255)]).astype(np.uint8)


def _classes(picture: Image.Image, card: Mapping[str, Any], shown: str) -> np.ndarray:
    """(h, w) class numbers of a picture that holds them, or is in the colours of the card's palette, white for none."""
    if picture.mode in ("P", "L", "I", "I;16"):
        return np.asarray(picture).astype(np.int64)
    palette = [*map(tuple, card.get("palette") or ()), (255, 255, 255)]
    numbers = {colour: number for number, colour in enumerate(palette[:-1])}
    numbers.setdefault(palette[-1], IGNORED)
    pixels = np.asarray(picture.convert("RGB"))
    colours, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    for colour in colours:
        if tuple(colour.tolist()) not in numbers:
            raise UserError(
                f"{shown}: the colour {tuple(colour.tolist())} is no class's; give class numbers as greyscale, or the "
                "palette's exact colours"
            )
    return np.array([numbers[tuple(colour.tolist())] for colour in colours])[places.reshape(pixels.shape[:2])]


def _labels(name: str, value: Any, modality: Modality, card: Mapping[str, Any]) -> np.ndarray:
    """Class numbers, int64 (n,), of numbers, names, or probabilities, of which the likeliest counts."""
    names = [str(label) for label in card.get("labels") or ()]
    array = np.asarray(value)
    if array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] == modality.classes:
        return array.argmax(axis=1).astype(np.int64)
    items: Sequence[Any] = array.reshape(-1).tolist()
    found = [_label(name, item, names) for item in items]
    if array.ndim > 1 or not found or not all(0 <= number < modality.classes for number in found):
        known = ", ".join(f"{i} ({label})" for i, label in enumerate(names)) or f"0 to {modality.classes - 1}"
        raise UserError(f"{name}: {value!r:.60} is no class; there are {known}")
    return np.array(found, np.int64)


def _label(name: str, item: Any, names: Sequence[str]) -> int:
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    if isinstance(item, str):
        if item in names:
            return names.index(item)
        if item.isdecimal():
            return int(item)
    known = ", ".join(f"'{label}'" for label in names)
    raise UserError(f"{name}: {item!r} is no class{near(str(item), names)}; there are {known}")


def _embeddings(name: str, value: Any, modality: Modality) -> np.ndarray:
    if isinstance(value, (str, os.PathLike)):
        raise UserError(f"{name}: {value} is no .npy or .npz; save the array (n, {modality.shape[0]}) with numpy.save")
    array = _items(name, value, modality, "f")
    if not np.isfinite(array).all():
        raise UserError(f"{name}: a value is not finite; embed the image again")
    return array.astype(np.float32)
