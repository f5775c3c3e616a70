"""What a model generated: arrays as docs/results.md describes them, the same as pictures, and as files."""

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
from mmbench.method import Modality

RECORD = "generated.json"
#: Files that `save` writes, and so may remove.
OWN = re.compile(r"[a-z_]+-\d{3,}(-colours)?\.png|label\.json|arrays\.npz")


@dataclass(frozen=True)
class Generated:
    """Answers, one row of each array per item.

    Attributes:
        arrays: what was wanted: `image` uint8 (n, 3, h, w), `mask` uint8 (n, h, w), `label` float probabilities
            (n, classes), `embedding` float (n, d), scaled like the data's.
        given: what was given, as many items.
        modalities: of the model.
        card: classes, palette and labels of the model's data.
        record: what was asked of whom; becomes generated.json.
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
        """The likeliest label of each item; UserError if none were generated."""
        names = self.card.get("labels") or ()
        return [str(names[i]) if i < len(names) else str(i) for i in self["label"].argmax(axis=1).tolist()]

    def pictures(self) -> dict[str, list[Image.Image]]:
        """What can be seen of it as PIL images, a list for each modality; masks are in the palette's colours."""
        found: dict[str, list[Image.Image]] = {}
        for name, array in self.arrays.items():
            if self.modalities[name].kind == "image":
                found[name] = [Image.fromarray(np.ascontiguousarray(x.transpose(1, 2, 0))) for x in array]
            elif self.modalities[name].kind == "mask":
                found[name] = [self._coloured(x) for x in array]
        return found

    def _coloured(self, mask: np.ndarray) -> Image.Image:
        """A class map (h, w) as RGB; greys where the data set has no palette, white where there is no class."""
        colours = np.full((256, 3), 255, np.uint8)
        classes = max(1, len(self.card.get("classes") or ()))
        palette = self.card.get("palette") or np.linspace(0, 220, classes).astype(int)[:, None].repeat(3, axis=1)
        colours[: len(palette)] = np.asarray(palette, np.uint8)
        return Image.fromarray(colours[mask])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write everything below `folder` and return it.

        `<modality>-<item>.png` of images and of masks as class numbers, `<modality>-<item>-colours.png` of masks in the
        palette's colours, `label.json`, `arrays.npz` with everything, and last `generated.json`: what was asked, of
        which weights, and a hash of every file. Files that an earlier call wrote there and this one does not are
        removed.
        """
        folder = Path(folder)
        stale = self._earlier(folder)
        files = []
        for name, pictures in self.pictures().items():
            for i, picture in enumerate(pictures):
                if self.modalities[name].kind == "mask":
                    numbers = Image.fromarray(self.arrays[name][i].astype(np.uint8))
                    files.append(_write(folder / f"{name}-{i:03d}.png", numbers))
                    files.append(_write(folder / f"{name}-{i:03d}-colours.png", picture))
                else:
                    files.append(_write(folder / f"{name}-{i:03d}.png", picture))
        if "label" in self.arrays:
            write_json(folder / "label.json", self._label_entries())
            files.append("label.json")
        save_arrays(folder / "arrays.npz", self.arrays)
        files.append("arrays.npz")
        for name in stale - set(files):
            (folder / name).unlink(missing_ok=True)
        write_json(folder / RECORD, {**self.record, "files": {name: sha256_file(folder / name) for name in files}})
        return folder

    def _earlier(self, folder: Path) -> set[str]:
        """Names of the files that an earlier call wrote to the folder; none that it would not, whatever is listed."""
        if not (folder / RECORD).is_file():
            return set()
        return {name for name in read_record(folder / RECORD).get("files") or () if OWN.fullmatch(name)}

    def _label_entries(self) -> list[dict[str, Any]]:
        names = [str(name) for name in self.card.get("labels") or range(self["label"].shape[1])]
        return [
            {"item": i, "label": label, "number": int(row.argmax()),
             "probabilities": dict(zip(names, (round(float(p), 6) for p in row), strict=True))}
            for i, (label, row) in enumerate(zip(self.labels, self["label"], strict=True))
        ]  # fmt: skip


def _write(path: Path, picture: Image.Image) -> str:
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    return path.name
