"""Cityscapes: road scenes filmed from a car, with a class for each pixel, in the official folder layout.

Frames of 2048 x 1024 are read one by one and resized as a whole, so a square size squeezes the width: the image by an
antialiased (Lanczos) filter, the class map by nearest neighbour. The 19 classes of the official evaluation have their
train ids; every other label becomes 255, which is ignored.

The official test split has no public labels. Therefore `test` is the official `val`, and `validation` is three cities
of the official `train`: whole cities, because frames of one city are neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.data._folders import count_others, folders, pairs
from mmbench.data._pictures import chw, hw, open_pair
from mmbench.data._settings import IGNORED, Card, DataSettings, data_root, hashed_order, take
from mmbench.errors import UserError
from mmbench.files.store import Arrays

FOLDERS = {"train": "train", "validation": "train", "test": "val"}
VALIDATION_CITIES = ("erfurt", "monchengladbach", "ulm")
CITIES = ", ".join(VALIDATION_CITIES)
#: The end of the images' names; that of the class maps' names, and those of other files in the archive.
ENDINGS = "_leftImg8bit.png", ("_gtFine_labelIds.png", "_gtFine_color.png", "_gtFine_instanceIds.png")

CARD = Card(
    name="cityscapes",
    title="Cityscapes",
    provenance=(
        "finely annotated frames of 21 cities: test is the official val, because the labels of the official test are "
        f"not public; validation is the cities {CITIES} of the official train, and train its other 15"
    ),
    licence="non-commercial research and teaching after registration, see www.cityscapes-dataset.com/license",
    citation=(
        "Cordts, Omran, Ramos, Rehfeld, Enzweiler, Benenson, Franke, Roth, Schiele: The Cityscapes dataset for "
        "semantic urban scene understanding, CVPR 2016, arXiv:1604.01685"
    ),
    modalities=("image", "mask"),
    download=(
        "register at www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip (11 GB) and "
        "gtFine_trainvaltest.zip (241 MB) and unpack both into the same folder"
    ),
    layout="leftImg8bit/{train,val}/<city>/*_leftImg8bit.png and gtFine/{train,val}/<city>/*_gtFine_labelIds.png",
    notes=(
        "the whole frame is resized, also to a square",
        "mask: 255 is every label that the official evaluation ignores",
    ),
)


def card(settings: DataSettings) -> Card:
    """The card with the 19 classes of the evaluation and their colours, which torchvision knows."""
    known = sorted((c for c in _torchvision().classes if 0 <= c.train_id < IGNORED), key=lambda c: c.train_id)
    return replace(CARD, classes=tuple(c.name for c in known), palette=tuple(c.color for c in known))


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split; fewer items than there are means the first in an order fixed by the hash of the file names.

    Returns:
        `image` uint8 (n, 3, h, w), `mask` uint8 (n, h, w) with 255 to ignore.

    Raises:
        UserError: a folder, an image or a class map is missing or broken, or the two do not fit.
    """
    root = data_root(settings, CARD)
    listed = _pairs(root, split)
    frames = root / "leftImg8bit" / FOLDERS[split]
    where = {"train": f"{frames} without {CITIES}", "validation": f"{frames} of {CITIES}", "test": frames}[split]
    order = hashed_order([frame.name for frame, _ in listed])[: take(len(listed), settings, split, where)]
    train_ids = _train_ids()
    read = [_read(*listed[i], settings.shape, train_ids) for i in order]
    return {"image": np.stack([image for image, _ in read]), "mask": np.stack([mask for _, mask in read])}


def other_files(settings: DataSettings) -> Counter[str]:
    """The numbers of files in the folders of the cities and of their images that are not images, by suffix."""
    counts: Counter[str] = Counter()
    for split in sorted(set(FOLDERS.values())):
        frames, _ = _folders(data_root(settings, CARD), split)
        for folder in (frames, *(frames / city for city in folders(frames))):
            counts += count_others(folder)
    return counts


def _torchvision() -> Any:
    """torchvision's class of the data set, which knows its table of labels."""
    from torchvision.datasets import Cityscapes  # noqa: PLC0415 (slow to import, needed only here)

    return Cityscapes


def _folders(root: Path, folder: str) -> tuple[Path, Path]:
    """The folders of the images and of the class maps of an official split, which have a folder for each city."""
    places = root / "leftImg8bit" / folder, root / "gtFine" / folder
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; {CARD.name} needs {CARD.layout} below data.root")
    return places


def _pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    """The images and class maps of a split, city by city."""
    frames, maps = _folders(root, FOLDERS[split])
    cities = sorted(folders(frames))
    for orphan in sorted(set(folders(maps)) - set(cities))[:1]:
        raise UserError(f"{maps / orphan}: class maps without their images {frames / orphan}; restore or remove them")
    paired = [pair for city in cities for pair in pairs(frames / city, maps / city, *ENDINGS)]
    if split == "test":
        return paired
    return [pair for pair in paired if (pair[0].parent.name in VALIDATION_CITIES) == (split == "validation")]


def _train_ids() -> dict[int, int]:
    """The train id of every label id, as bytes: -1, that of the licence plate, becomes 255 and is ignored."""
    return {c.id % 256: c.train_id % 256 for c in _torchvision().classes}


def _read(
    frame: Path, annotation: Path, shape: tuple[int, int], train_ids: Mapping[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Image and map of train ids at (height, width)."""
    picture, labels = open_pair(frame, annotation)
    for label, pixels in enumerate(labels.histogram()):
        if pixels and label not in train_ids:
            raise UserError(f"{annotation}: label {label}, but label ids are 0 to 33; get the file again")
    table = np.array([train_ids.get(label, IGNORED) for label in range(256)], np.uint8)
    return chw(picture, shape), hw(labels, shape, table, annotation)
