"""Reads the images of data sets and their class maps, and resizes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data._settings import IGNORED
from mmbench.errors import UserError
from mmbench.files.pictures import DEEP_MODES, as_colour, open_picture

GREY_MODES = ("1", "L", "LA", "La", "I", "F", *DEEP_MODES)


def open_colour(path: Path) -> Image.Image:
    """Decode a colour image as RGB, see `as_colour`; UserError as for `open_picture`, or if the file is greyscale."""
    picture = open_picture(path)
    if picture.mode in GREY_MODES:
        raise UserError(f"{path}: greyscale (mode {picture.mode}), colour is needed; convert it to RGB or remove it")
    return as_colour(picture, str(path))


def open_pair(frame: Path, annotation: Path) -> tuple[Image.Image, Image.Image]:
    """Decode a colour image as RGB, and its class map, which has one number per pixel (mode L or P).

    Raises:
        UserError: see `open_colour` and `open_picture`; or the map is missing, or has another mode or size.
    """
    picture = open_colour(frame)
    if not annotation.is_file():
        raise UserError(f"{annotation}: missing class map of {frame}; restore it or remove the image")
    labels = open_picture(annotation)
    if labels.mode not in ("L", "P"):
        raise UserError(f"{annotation}: mode {labels.mode} instead of one class number per pixel; convert it to mode L")
    if labels.size != picture.size:
        sizes = [f"{width}x{height}" for width, height in (labels.size, picture.size)]
        raise UserError(f"{annotation}: class map of {sizes[0]}, but its image {frame} has {sizes[1]}; resize one")
    return picture, labels


def chw(picture: Image.Image, shape: tuple[int, int]) -> np.ndarray:
    """The whole image resized to (height, width), antialiased (Lanczos); uint8 (3, height, width)."""
    height, width = shape
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture).transpose(2, 0, 1)


def hw(labels: Image.Image, shape: tuple[int, int], classes: np.ndarray, annotation: Path) -> np.ndarray:
    """The whole class map resized to (height, width), by the nearest neighbour; a map without any class is printed.

    Args:
        labels: the numbers in the file.
        classes: the class of each number, uint8 (256,); `IGNORED` for a number without a class.

    Returns:
        uint8 (height, width).
    """
    height, width = shape
    mask: np.ndarray = classes[np.asarray(labels.resize((width, height), Image.Resampling.NEAREST))]
    if (mask == IGNORED).all():
        print(f"{annotation}: no pixel has a class", flush=True)
    return mask
