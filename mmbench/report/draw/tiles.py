"""Items as they are stored, as pictures: each is drawn by its modality's kind, so torch is loaded with the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmbench.errors import UserError
from mmbench.experiments import load_tasks
from mmbench.modalities import class_of, facts_of, kinds_of_card
from mmbench.report.draw.pictures import Tile


class Tiles:
    """Makes a tile of an item of any modality; of one size, so that they make a grid.

    Args:
        card: of the data: kinds of modalities, palette, names of labels.
        experiment: whose modalities they are.
        size: height and width in pixels.
    """

    def __init__(self, card: Mapping[str, Any], experiment: str, size: tuple[int, ...]) -> None:
        self.card, self.size = card, (size[0], size[1])
        self.kinds = {"image": "image", **load_tasks(experiment).kinds(kinds_of_card(card))}

    def __call__(self, name: str, value: np.ndarray, alt: str, note: str = "") -> Tile:
        """The tile of one item as stored; below it stands what its kind says of it, else the note.

        Raises:
            UserError: the modality has no kind, or its kind cannot draw it by the data card.
        """
        pixels = self._kind(name).tile(value, facts_of(self.card, name), self.size)
        if words := self.words(name, value):
            return Tile(pixels, f"{alt}: {words}", words)
        return Tile(pixels, alt, note)

    def words(self, name: str, value: np.ndarray) -> str:
        """What a kind says of an item in words, e.g. the name of a label."""
        return self._kind(name).words(value, facts_of(self.card, name))

    def legend(self, names: Iterable[str]) -> str:
        """How to read the tiles of these modalities, as far as they do not speak for themselves."""
        said = [(name.replace("_", " ").capitalize(), self._kind(name).legend) for name in names]
        return " ".join(f"{name}: {legend}." for name, legend in said if legend)

    def _kind(self, name: str) -> Any:
        if name not in self.kinds:
            raise UserError(f"card.json: modalities: '{name}' has no kind; write them as a mapping to kinds")
        return class_of(self.kinds[name])
