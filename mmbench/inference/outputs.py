"""The output of a model: arrays in the form of docs/results.md, which can be shown as images and saved as files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmbench.errors import UserError
from mmbench.files.atomic import atomic_path
from mmbench.files.store import Arrays, read_record, save_arrays, sha256_file, write_json
from mmbench.modalities import Modality, facts_of, kind_of

RECORD = "generated.json"
#: Files that `save` writes, and so may remove.
OWN = re.compile(r"[a-z][a-z0-9_]*-\d{3,}(-[a-z]+)?\.png|arrays\.npz")


@dataclass(frozen=True)
class Generated:
    """Answers, one row of each array per item.

    Attributes:
        arrays: the outputs in the stored form of docs/results.md, e.g. `image` uint8 (n, 3, h, w), `mask` uint8
            (n, h, w), `label` float probabilities (n, classes), `embedding` float (n, d), scaled like the data's.
        given: the inputs, equally many items.
        modalities: the modalities of the model.
        card: classes, palette and labels of the model's data.
        record: the task and the model; becomes generated.json.
    """

    arrays: Arrays
    given: Arrays
    modalities: Mapping[str, Modality]
    card: Mapping[str, Any]
    record: Mapping[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise UserError(f"'{name}' was not generated; there are {', '.join(self.arrays)}")
        return self.arrays[name]

    @property
    def labels(self) -> list[str]:
        """The most probable label of each item; UserError if no labels were generated."""
        for name in self.arrays:
            if entries := self.entries(name):
                return [str(entry["label"]) for entry in entries]
        raise UserError(f"no label was generated; there are {', '.join(self.arrays)}")

    def entries(self, name: str) -> list[dict[str, Any]]:
        """One modality in words, an entry for each item; empty for a modality without words."""
        return kind_of(self.modalities[name]).entries(self.arrays[name], facts_of(self.card, name))

    def files(self, name: str) -> dict[str, list[Image.Image]]:
        """One modality as images, by the suffix of their file names; empty for a modality that is not visual."""
        return kind_of(self.modalities[name]).pictures(self.arrays[name], facts_of(self.card, name))

    def pictures(self) -> dict[str, list[Image.Image]]:
        """The visual modalities as PIL images, a list for each; masks are in the palette's colours."""
        seen = {name: list(self.files(name).values()) for name in self.arrays}
        return {name: lists[-1] for name, lists in seen.items() if lists}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write everything below `folder` and return it.

        The files are `<modality>-<item>.png` of images and of masks as class numbers, `<modality>-<item>-colours.png`
        of masks in the palette's colours, `<modality>.json` of labels, `arrays.npz` with everything, and last
        `generated.json`: the task, the weights, and a hash of every file. Files of an earlier call that this one does
        not write are removed.
        """
        folder = Path(folder)
        stale = self._earlier(folder)
        files = []
        for name in self.arrays:
            for end, pictures in self.files(name).items():
                files += [_write(folder / f"{name}-{i:03d}{end}.png", picture) for i, picture in enumerate(pictures)]
            if entries := self.entries(name):
                write_json(folder / f"{name}.json", entries)
                files.append(f"{name}.json")
        save_arrays(folder / "arrays.npz", self.arrays)
        files.append("arrays.npz")
        for name in stale - set(files):
            (folder / name).unlink(missing_ok=True)
        write_json(folder / RECORD, {**self.record, "files": {name: sha256_file(folder / name) for name in files}})
        return folder

    def _earlier(self, folder: Path) -> set[str]:
        """Names of the files that an earlier call wrote to the folder; other names in its list are ignored."""
        if not (folder / RECORD).is_file():
            return set()
        listed = read_record(folder / RECORD).get("files") or ()
        words = {f"{name}.json" for name in self.modalities} - {RECORD}
        return {name for name in listed if OWN.fullmatch(name) or name in words}


def _write(path: Path, picture: Image.Image) -> str:
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    return path.name
