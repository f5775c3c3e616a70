"""Grids of images: methods side by side, enlarged by integer factors so that no pixel is interpolated."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from mmbench.files.atomic import atomic_path

ZOOM = 4
_INK, _SOFT, _PAPER = (29, 31, 35), (92, 98, 107), (255, 255, 255)
_GAP = 6


@dataclass(frozen=True)
class Tile:
    """One image: colours (h, w, 3 or 4) uint8, a description for readers who cannot see it, and a note below it."""

    pixels: np.ndarray
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """Rows of tiles under grouped columns.

    Attributes:
        name: the name of its file and its anchor.
        groups: label and number of columns of each group.
        rows: label and tiles; None where a method has no image.
        emphasised: labels of the emphasised rows.
        title: a title of one or two words, for links to it.
        slider: the name of the slider that selects a group, e.g. `masked share`; without one all groups are shown.
    """

    name: str
    caption: str
    groups: Sequence[tuple[str, int]]
    rows: Sequence[tuple[str, Sequence[Tile | None]]]
    emphasised: Sequence[str] = field(default=())
    command: str = ""
    title: str = "pictures"
    slider: str = ""

    @property
    def starts(self) -> list[int]:
        """The columns at which groups begin, without the first."""
        ends = np.cumsum([count for _, count in self.groups])
        return [int(end) for end in ends[:-1]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a tile in its own pixels."""
        tile = next(tile for _, tiles in self.rows for tile in tiles if tile)
        return tile.pixels.shape[0], tile.pixels.shape[1]


def to_pixels(image: np.ndarray) -> np.ndarray:
    """(3, h, w) uint8 to (h, w, 3)."""
    return np.ascontiguousarray(image.transpose(1, 2, 0))


def composite(masked_image: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The prediction (3, h, w) after the known pixels are pasted, as it is scored."""
    return np.where(masked_image[3:] > 0, masked_image[:3], prediction)


def sheet(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Images (n, 3, h, w) uint8 as one image (H, W, 4), row by row; the gaps are transparent."""
    count, _, height, width = images.shape
    rows = -(-count // columns)
    out = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        out[top : top + height, left : left + width, :3] = to_pixels(image)
        out[top : top + height, left : left + width, 3] = 255
    return out


def enlarge(pixels: np.ndarray, factor: int = ZOOM) -> np.ndarray:
    """Repeat every pixel `factor` times in both directions (nearest neighbour)."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def zoom_of(width: int) -> int:
    """The integer factor that enlarges a tile of `width` pixels to about 128; 4 for 32 pixels, 1 from 96 on."""
    return max(1, min(ZOOM, round(128 / width)))


def png(pixels: np.ndarray) -> bytes:
    """PNG bytes of (h, w, 3 or 4) uint8."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def write_picture(path: Path, pixels: np.ndarray, factor: int) -> None:
    """Write one image, enlarged, as PNG."""
    with atomic_path(path) as temporary:
        Image.fromarray(enlarge(pixels, factor)).save(temporary, format="PNG", optimize=True)


def write_grid(path: Path, grid: Grid) -> None:
    """Write a grid with its labels as PNG, tiles enlarged by `zoom_of`."""
    height, width = grid.size
    factor = zoom_of(width)
    noted = any(tile and tile.note for _, tiles in grid.rows for tile in tiles)
    cell_h, cell_w, note_h = height * factor, width * factor, 16 if noted else 0
    left, top = 12 + max(int(_font(14).getlength(label)) for label, _ in grid.rows), 30
    starts = _columns(grid.groups, left, cell_w)
    canvas = Image.new("RGB", (starts[-1] + cell_w + _GAP, top + len(grid.rows) * (cell_h + note_h + _GAP) + 2), _PAPER)
    ink = ImageDraw.Draw(canvas)
    column = 0
    for label, count in grid.groups:
        middle = (starts[column] + starts[column + count - 1] + cell_w) / 2
        ink.text((middle, 14), label, font=_font(15, bold=True), fill=_INK, anchor="mm")
        column += count
    for row, (label, tiles) in enumerate(grid.rows):
        y = top + row * (cell_h + note_h + _GAP)
        bold = label in grid.emphasised
        ink.text((left - 10, y + cell_h / 2), label, font=_font(13, bold=bold), fill=_INK, anchor="rm")
        for x, tile in zip(starts, tiles, strict=True):
            if tile is None:
                ink.text((x + cell_w / 2, y + cell_h / 2), "—", font=_font(14), fill=_SOFT, anchor="mm")
                continue
            canvas.paste(Image.fromarray(enlarge(tile.pixels, factor)), (x, y))
            ink.text((x + cell_w / 2, y + cell_h + 2), tile.note, font=_font(11), fill=_SOFT, anchor="ma")
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG", optimize=True)


def _columns(groups: Sequence[tuple[str, int]], left: int, width: int) -> list[int]:
    """Left edges of all columns, with more room between groups."""
    starts, x = [], left
    for _, count in groups:
        for _ in range(count):
            starts.append(x)
            x += width + _GAP
        x += 2 * _GAP
    return starts


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = font_manager.FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return ImageFont.truetype(font_manager.findfont(name), size)


def affordable(wanted: int, per_item: int, height: int, width: int, budget: int = 3_000_000) -> int:
    """The number of items to show so that the page stays at a few megabytes.

    Args:
        wanted: the largest number.
        budget: total number of pixels.
    """
    return max(1, min(wanted, budget // (per_item * height * width)))
