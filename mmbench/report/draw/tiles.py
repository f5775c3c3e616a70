"""Stored items as images: the kind of the modality draws each, so the first one loads torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmbench.errors import UserError
from mmbench.experiments import load_tasks
from mmbench.modalities import class_of, facts_of, kinds_of_card
from mmbench.report.draw.pictures import Tile


class Tiles:
    """Makes tiles of items of any modality, all of one size, for a grid.

    Args:
        card: the data card: kinds of modalities, palette, names of labels.
        size: height and width in pixels.
    """

    def __init__(self, card: Mapping[str, Any], experiment: str, size: tuple[int, ...]) -> None:
        self.card, self.size = card, (size[0], size[1])
        self.kinds = {"image": "image", **load_tasks(experiment).kinds(kinds_of_card(card))}

    def __call__(self, name: str, value: np.ndarray, alt: str, note: str = "") -> Tile:
        """The tile of one stored item; the text below it is that of its kind, or else the note.

        Raises:
            UserError: the modality has no kind, or its kind cannot draw it with this data card.
        """
        pixels = self._kind(name).tile(value, facts_of(self.card, name), self.size)
        if words := self.words(name, value):
            return Tile(pixels, f"{alt}: {words}", words)
        return Tile(pixels, alt, note)

    def words(self, name: str, value: np.ndarray) -> str:
        """The text of a kind for an item, e.g. the name of a label."""
        return self._kind(name).words(value, facts_of(self.card, name))

    def legend(self, names: Iterable[str]) -> str:
        """How to read the tiles of these modalities, as far as that needs an explanation."""
        said = [(name.replace("_", " ").capitalize(), self._kind(name).legend) for name in names]
        return " ".join(f"{name}: {legend}." for name, legend in said if legend)

    def _kind(self, name: str) -> Any:
        if name not in self.kinds:
            raise UserError(f"card.json: modalities: '{name}' has no kind; write them as a mapping to kinds")
        return class_of(self.kinds[name])
