"""Picture files that other people made: opened without trusting them, shown as a person sees them, refused in one line.

All that reads people's pictures reads them here. The orientation that a camera noted is applied, to class maps too, so
that a picture and its map stay together. Colours are what is seen on a white page: `as_colour`. Colour profiles are
not applied.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from mmbench.errors import UserError

#: Pictures of more pixels than this are refused before they are decoded.
MAX_PIXELS = 64_000_000
#: Sides in pixels below which a picture shows nothing.
MIN_SIDE = 8
#: Whatever a file is called: Pillow would give PostScript to a program that runs it.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
#: Modes of one unsigned number per pixel, of which 16 bits are those of a picture.
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
#: What transparent pixels are seen on.
BACKGROUND = (255, 255, 255)
Turn = Image.Transpose
#: How to turn a picture upright, by the orientation that its file notes (Exif 2.32, tag 274).
UPRIGHT = {
    2: Turn.FLIP_LEFT_RIGHT, 3: Turn.ROTATE_180, 4: Turn.FLIP_TOP_BOTTOM, 5: Turn.TRANSPOSE, 6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE, 8: Turn.ROTATE_90,
}  # fmt: skip


def open_picture(path: Path) -> Image.Image:
    """Decode a picture of any mode, upright.

    Raises:
        UserError: it is missing, not a picture or several, cut off, smaller than 8 x 8 or has too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of sizes that are refused here
            picture = Image.open(path, formats=FORMATS)
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UserError(f"{path}: {width}x{height} has more than {MAX_PIXELS:,} pixels; shrink or remove it")
            if min(width, height) < MIN_SIDE:
                raise UserError(
                    f"{path}: {width}x{height} pixels, at least {MIN_SIDE}x{MIN_SIDE} are needed; remove it"
                )
            if picture.format != "MPO" and getattr(picture, "is_animated", False):  # an MPO is a photo and its preview
                raise UserError(f"{path}: holds more than one picture; save each as a file of its own")
            picture.load()
            return upright(picture)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: more than {MAX_PIXELS:,} pixels; shrink or remove it") from None
    except UserError:
        raise
    except Exception as error:  # a damaged file gets into every corner of a decoder, whose errors share no base
        raise UserError(f"{path}: not a readable picture ({error}); replace or remove it") from None


def upright(picture: Image.Image) -> Image.Image:
    """A picture as its camera was held; what is upright stays the same object."""
    turn = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    turned.info = {key: value for key, value in picture.info.items() if key == "transparency"}  # turned once, not again
    return turned


def as_colour(picture: Image.Image, shown: str) -> Image.Image:
    """A picture as RGB, as it is seen on a white page: palettes resolved, what is transparent laid on `BACKGROUND`.

    Of 16 bits the upper 8 are kept; CMYK is converted without a profile.

    Args:
        picture: of any mode.
        shown: what errors call it.

    Raises:
        UserError: its mode has no stated range or no conversion to RGB.
    """
    if picture.mode in DEEP_MODES:
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F", "LAB", "La"):
        raise UserError(f"{shown}: mode {picture.mode} says no colours of 0 to 255; convert it to RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, (*BACKGROUND, 255)), seen).convert("RGB")
