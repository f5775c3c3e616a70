"""Items as they are stored, as pictures: one place that says how each modality looks."""

from __future__ import annotations

import numpy as np

from mmbench.errors import UserError
from mmbench.report.draw.pictures import Tile, class_pixels, masked_pixels, to_pixels
from mmbench.runs.results import Results

BAR, GROUND = (31, 111, 174), 240
BELOW, ABOVE, ZERO = (33, 102, 172), (178, 24, 43), 247


class Tiles:
    """Makes a tile of an item of any modality; of one size, so that they make a grid.

    Args:
        results: whose data card has the palette and the names of labels.
        size: height and width in pixels.
    """

    def __init__(self, results: Results, size: tuple[int, ...]) -> None:
        self.results, self.size = results, size
        self.labels = [str(name) for name in results.card.get("labels") or ()]

    def __call__(self, name: str, value: np.ndarray, alt: str, note: str = "") -> Tile:
        """The tile of one item as stored.

        Raises:
            UserError: it is a mask, and the data card has not a colour for each class.
        """
        if name == "label":
            return Tile(self.bars(value), f"{alt}: {self.label(value)}", self.label(value))
        if name == "image":
            return Tile(to_pixels(value), alt, note)
        if name == "masked_image":
            return Tile(masked_pixels(value), alt, note)
        if name == "mask":
            return Tile(class_pixels(value, palette_of(self.results)), alt, note)
        return Tile(self.heat(value), alt, note)

    def label(self, value: np.ndarray) -> str:
        """A label's name, of a number or of probabilities."""
        number = int(value.argmax()) if value.ndim else int(value)
        return self.labels[number] if number < len(self.labels) else str(number)

    def bars(self, value: np.ndarray) -> np.ndarray:
        """Bars of the labels' probabilities from the left; a label that is a number is one whole bar."""
        height, width = self.size
        shares = value if value.ndim else np.eye(max(len(self.labels), int(value) + 1))[int(value)]
        pixels = np.full((height, width, 3), GROUND, np.uint8)
        bounds = np.linspace(0, height, len(shares) + 1).round().astype(int)
        for share, top, bottom in zip(shares, bounds, bounds[1:], strict=False):
            pixels[top : max(top + 1, bottom - 1), : round(float(share) * width)] = BAR
        return pixels

    def heat(self, vector: np.ndarray) -> np.ndarray:
        """A vector (d,) as a picture, its numbers row by row, blue below 0 and red above, full at 2."""
        side = int(np.ceil(np.sqrt(len(vector))))
        numbers = np.zeros(side * side)
        numbers[: len(vector)] = np.clip(vector / 2, -1, 1)
        square = numbers.reshape(side, side, 1)
        strength = np.abs(square)
        colours = (ZERO * (1 - strength) + np.where(square > 0, ABOVE, BELOW) * strength).astype(np.uint8)
        rows, columns = (np.arange(n) * side // n for n in self.size)
        return np.ascontiguousarray(colours[rows][:, columns])


def palette_of(results: Results) -> np.ndarray:
    """The colours of the classes, uint8 (classes, 3); the legend on the page names them.

    Raises:
        UserError: the data card has not a colour for each class.
    """
    names, palette = results.card.get("classes") or [], results.card.get("palette") or []
    if not names or len(names) != len(palette):
        path = results.folder / "data" / "card.json"
        raise UserError(f"{path}: {len(names)} classes but {len(palette)} colours; give each class one in `palette`")
    return np.array(palette, np.uint8)
