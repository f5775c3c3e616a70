"""The only reader of users' image files: it does not trust them, and decodes them as a viewer would show them.

The orientation that a camera recorded is applied, to class maps too, so that an image and its map stay together.
Transparent images are shown on white (`as_colour`). Colour profiles are not applied.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from mmbench.errors import UserError

#: An image with more pixels is refused before it is decoded.
MAX_PIXELS = 64_000_000
#: The smallest side of an image, in pixels.
MIN_SIDE = 8
#: The formats that are read, whatever a file is called: Pillow would pass PostScript to a program that runs it.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
#: The modes with one unsigned 16-bit number per pixel.
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
#: The colour behind transparent pixels.
BACKGROUND = (255, 255, 255)
Turn = Image.Transpose
#: How to turn an image upright, by the orientation in its file (Exif 2.32, tag 274).
UPRIGHT = {
    2: Turn.FLIP_LEFT_RIGHT, 3: Turn.ROTATE_180, 4: Turn.FLIP_TOP_BOTTOM, 5: Turn.TRANSPOSE, 6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE, 8: Turn.ROTATE_90,
}  # fmt: skip


def open_picture(path: Path) -> Image.Image:
    """Decode an image of any mode, upright.

    Raises:
        UserError: the file is missing, truncated, not an image, or several images, or it has too few or many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata, and about sizes that are refused here
            picture = Image.open(path, formats=FORMATS)
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UserError(f"{path}: {width}x{height} has more than {MAX_PIXELS:,} pixels; shrink or remove it")
            if min(width, height) < MIN_SIDE:
                raise UserError(
                    f"{path}: {width}x{height} pixels, at least {MIN_SIDE}x{MIN_SIDE} are needed; remove it"
                )
            if picture.format != "MPO" and getattr(picture, "is_animated", False):  # an MPO is a photo and its preview
                raise UserError(f"{path}: holds more than one image; save each as a file of its own")
            picture.load()
            return upright(picture)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: more than {MAX_PIXELS:,} pixels; shrink or remove it") from None
    except UserError:
        raise
    except Exception as error:  # a decoder's errors for damaged files have no common base
        raise UserError(f"{path}: not a readable image ({error}); replace or remove it") from None


def upright(picture: Image.Image) -> Image.Image:
    """An image turned as its camera was held; an upright image stays the same object."""
    turn = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    turned.info = {key: value for key, value in picture.info.items() if key == "transparency"}  # turned once, not again
    return turned


def as_colour(picture: Image.Image, shown: str) -> Image.Image:
    """An image as RGB: palettes are resolved, and transparent pixels are laid on `BACKGROUND`.

    Of 16 bits the upper 8 are kept; CMYK is converted without a profile.

    Args:
        picture: an image of any mode.
        shown: the name of the image in errors.

    Raises:
        UserError: the image's mode has no fixed range or no conversion to RGB.
    """
    if picture.mode in DEEP_MODES:
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F", "LAB", "La"):
        raise UserError(f"{shown}: mode {picture.mode} says no colours of 0 to 255; convert it to RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, (*BACKGROUND, 255)), seen).convert("RGB")
