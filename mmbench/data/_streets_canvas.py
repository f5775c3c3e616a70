"""A point-sampling rasteriser in numpy: ids of materials on a grid `FACTOR` times finer than the image.

Every sample knows its material, and a material has one class and one colour. The image is the mean colour of the
FACTOR x FACTOR samples of a pixel; the mask is the class of the middle one, which lies exactly on the pixel's centre
because FACTOR is odd. Image and mask thus come from one raster and cannot be shifted against each other.

Scene coordinates are in image heights: y runs down from 0 to 1, x from -aspect/2 to aspect/2, so a wider image sees more
of the same scene and circles stay round.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import numpy as np

FACTOR = 5
Colour = tuple[float, float, float]
#: Rows, columns and, unless the whole block belongs to it, a boolean array of which samples do.
Region = tuple[slice, slice, np.ndarray | None]
EMPTY: Region = (slice(0, 0), slice(0, 0), None)


class Canvas:
    """Samples of a (height, width) image: `ids` of materials and `clear`, the share of light that haze lets through."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.rows, self.columns = height * FACTOR, width * FACTOR
        self.scale = float(self.rows)
        self.left = -self.columns / self.rows / 2
        self.x = (np.arange(self.columns) + 0.5) / self.scale + self.left
        self.y = (np.arange(self.rows) + 0.5) / self.scale
        self.ids = np.zeros((self.rows, self.columns), np.uint16)
        self.clear = np.ones((self.rows, self.columns), np.float32)
        self._classes: list[int] = []
        self._colours: list[Colour] = []

    def material(self, cls: int, colour: Colour, shadow: float = 0.62) -> int:
        """Register a class with its colour (0 to 255); the next id is the same material in shadow."""
        self._classes += [cls, cls]
        self._colours += [colour, (colour[0] * shadow, colour[1] * shadow, colour[2] * shadow)]
        return len(self._classes) - 2

    def _row(self, y: float) -> int:
        return min(max(ceil(y * self.scale - 0.5), 0), self.rows)

    def _column(self, x: float) -> int:
        return min(max(ceil((x - self.left) * self.scale - 0.5), 0), self.columns)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float) -> Region:
        """Samples with x0 <= x < x1 and y0 <= y < y1."""
        return slice(self._row(y0), self._row(y1)), slice(self._column(x0), self._column(x1)), None

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> Region:
        """Samples within the axis-parallel ellipse around (x, y)."""
        rows, columns, _ = self.rectangle(x - rx, y - ry, x + rx, y + ry)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return EMPTY
        across = ((self.x[columns] - x) / rx) ** 2
        down = 1.0 - ((self.y[rows] - y) / ry) ** 2
        return rows, columns, across <= down[:, None]

    def level(self, y0: float, l0: float, r0: float, y1: float, l1: float, r1: float) -> Region:
        """Trapezoid with level edges: from x = l0..r0 at y0 down to l1..r1 at y1 > y0."""
        rows, columns, _ = self.rectangle(min(l0, l1), y0, max(r0, r1), y1)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return EMPTY
        share = (self.y[rows] - y0) / (y1 - y0)
        x = self.x[columns]
        mask = x >= (l0 + share * (l1 - l0))[:, None]
        mask &= x < (r0 + share * (r1 - r0))[:, None]
        return rows, columns, mask

    def upright(self, x0: float, t0: float, b0: float, x1: float, t1: float, b1: float) -> Region:
        """Trapezoid with upright edges: from y = t0..b0 at x0 to t1..b1 at x1, in either order of x."""
        if x1 < x0:
            x0, t0, b0, x1, t1, b1 = x1, t1, b1, x0, t0, b0
        rows, columns, _ = self.rectangle(x0, min(t0, t1), x1, max(b0, b1))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return EMPTY
        share = (self.x[columns] - x0) / (x1 - x0)
        y = self.y[rows, None]
        mask = y >= t0 + share * (t1 - t0)
        mask &= y < b0 + share * (b1 - b0)
        return rows, columns, mask

    def quad(self, corners: tuple[tuple[float, float], ...]) -> Region:
        """Convex polygon whose corners go clockwise on the image; empty if they go the other way round."""
        xs, ys = zip(*corners, strict=True)
        rows, columns, _ = self.rectangle(min(xs), min(ys), max(xs), max(ys))
        area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise((*corners, corners[0])))
        if rows.stop <= rows.start or columns.stop <= columns.start or area <= 0:
            return EMPTY
        x, y = self.x[columns], self.y[rows, None]
        mask = np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
        for (x0, y0), (x1, y1) in pairwise((*corners, corners[0])):
            mask &= (y - y0) * (x1 - x0) >= (x - x0) * (y1 - y0)
        return rows, columns, mask

    def paint(self, region: Region, material: int, clear: float | np.ndarray = 1.0) -> None:
        """Give the region a material; `clear` is one number or one per column of the region."""
        rows, columns, mask = region
        if mask is None:
            self.ids[rows, columns] = material
            self.clear[rows, columns] = clear
        else:
            np.copyto(self.ids[rows, columns], material, where=mask, casting="unsafe")
            np.copyto(self.clear[rows, columns], clear, where=mask, casting="unsafe")

    def shade(self, region: Region) -> None:
        """Put what is there into shadow; classes stay."""
        rows, columns, mask = region
        if mask is None:
            self.ids[rows, columns] |= 1
        else:
            self.ids[rows, columns] |= mask

    def mask(self) -> np.ndarray:
        """Class at each pixel's centre, uint8 (height, width)."""
        middle = FACTOR // 2
        return np.array(self._classes, np.uint8)[self.ids[middle::FACTOR, middle::FACTOR]]

    def colours(self) -> np.ndarray:
        """Colour of each sample before haze, float32 (rows, columns, 3) in 0 to 255."""
        return np.take(np.array(self._colours, np.float32), self.ids, axis=0)

    def coverage(self, cls: int) -> np.ndarray:
        """Share of each pixel that is of a class, float32 (height, width)."""
        return self.average((np.array(self._classes) == cls).astype(np.float32)[self.ids][..., None])[..., 0]

    def average(self, samples: np.ndarray) -> np.ndarray:
        """Mean over each pixel's samples: (rows, columns, c) to float32 (height, width, c)."""
        channels = samples.shape[-1]
        down = samples.reshape(self.height, FACTOR, -1).sum(axis=1)
        across = down.reshape(self.height, self.width, FACTOR, channels).sum(axis=2)
        return across * np.float32(1 / FACTOR**2)


def soft_disc(canvas: Canvas, x: float, y: float, radius: float) -> np.ndarray:
    """A glow that is 1 at (x, y) and fades over `radius`, float32 (height, width)."""
    across = (((np.arange(canvas.width) + 0.5) / canvas.height + canvas.left - x) / radius) ** 2
    down = (((np.arange(canvas.height) + 0.5) / canvas.height - y) / radius) ** 2
    return (np.exp(-down)[:, None] * np.exp(-across)).astype(np.float32)
