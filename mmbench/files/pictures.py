"""Picture files that other people made: opened without trusting them, refused in one line."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

from mmbench.errors import UserError

#: Pictures of more pixels than this are refused before they are decoded.
MAX_PIXELS = 64_000_000
#: Sides in pixels below which a picture shows nothing.
MIN_SIDE = 8
#: Whatever a file is called: Pillow would give PostScript to a program that runs it.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")


def open_picture(path: Path) -> Image.Image:
    """Decode a picture of any mode.

    Raises:
        UserError: it is missing, not a picture, cut off, smaller than 8 x 8 or has too many pixels.
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
            picture.load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: more than {MAX_PIXELS:,} pixels; shrink or remove it") from None
    except UserError:
        raise
    except Exception as error:  # a damaged file gets into every corner of a decoder, whose errors share no base
        raise UserError(f"{path}: not a readable picture ({error}); replace or remove it") from None
    return picture
