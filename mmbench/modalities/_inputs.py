"""How the kinds read and check a user's input: arrays of one or more items, and images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmbench.errors import UserError
from mmbench.files.pictures import as_colour, open_picture, upright
from mmbench.modalities._kind import Kind

WORDS = {"uint8": "uint8", "integer": "whole numbers", "float": "floats"}


def read_items(name: str, value: Any, kind: Kind) -> np.ndarray:
    """An array of one or more items of a kind, in stored form; UserError if it does not fit the kind."""
    array, layout = np.asarray(value), kind.stored
    if array.shape == layout.shape:
        array = array[None]
    if array.shape[1:] != layout.shape or not len(array) or not layout.fits(array.dtype):
        wanted = ", ".join(["n", *map(str, layout.shape)])
        words = f"{WORDS[layout.dtype]} ({wanted})"
        raise UserError(f"{name}: got {array.dtype} {array.shape}, not {words}; give it that type and shape")
    try:
        return layout.converted(array, kind.stored_fault)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def read_pictures(
    name: str,
    value: Any,
    kind: Kind,
    read: Callable[[Image.Image, str], np.ndarray],
    *,
    resize: bool,
    colour: bool = False,
) -> np.ndarray:
    """Items from images, paths of images, arrays, or a list of these.

    Args:
        name: the name of the modality, for errors.
        kind: the kind of the modality, whose items' last two axes are height and width.
        read: makes an item from an image of the right size; its second argument is the image's name in errors.
        resize: whether images of another size are resized rather than refused.
        colour: whether the values are colours, which resizing may blend; else resizing picks single pixels.
    """
    size = kind.shape[-2:]
    items = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(item, Image.Image):
            picture, shown = upright(item), name
        elif isinstance(item, (str, os.PathLike)):
            picture, shown = open_picture(Path(item)), f"{name}: {item}"
        else:
            items.append(read_items(name, item, kind))
            continue
        picture = as_colour(picture, shown) if colour else picture
        items.append(read_items(shown, read(_fitted(picture, shown, size, resize=resize, smooth=colour), shown), kind))
    return np.concatenate(items)


def _fitted(picture: Image.Image, shown: str, size: tuple[int, ...], *, resize: bool, smooth: bool) -> Image.Image:
    height, width = size
    if picture.size == (width, height):
        return picture
    if not resize:
        sides = "x".join(map(str, picture.size))
        raise UserError(f"{shown}: {sides} pixels, the model's are {width}x{height}; resize it, or ask for resizing")
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return picture.resize((width, height), method)
