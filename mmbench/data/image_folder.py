"""The user's own images: one folder for each class, `root/<class>/*.png` (also jpg, webp, bmp, tif, ppm, gif).

Either `root` holds `train`, `val` (or `validation`) and `test`, each with the class folders, or it holds the class
folders, and the SHA-256 of a file's name assigns it to a split: 80 % train, 10 % validation, 10 % test. A file keeps
its split if others are added or removed.

An image is cropped around its centre to the requested shape and resized (Lanczos). Greyscale files are refused, since
they may be in the folder by mistake.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mmbench.data._folders import count_others, entries, folders, pictures
from mmbench.data._pictures import chw, open_colour
from mmbench.data._settings import Card, DataSettings, check_split, data_root, hashed_first, name_hash, take
from mmbench.errors import UserError
from mmbench.files.store import Arrays

CARD = Card(
    name="image_folder",
    title="Folder of images",
    provenance="files of the user, read from data.root",
    licence="that of the files",
    modalities=("image", "label"),
    download="collect images of at least two classes",
    layout="one folder of images for each class, or folders train, val and test of such folders",
    notes=("cropped around the centre, resized with antialiasing",),
)
FOLDERS = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}


def card(settings: DataSettings) -> Card:
    """The card with the names of the class folders as labels."""
    return replace(CARD, labels=tuple(_classes(data_root(settings, CARD))))


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split; fewer items than there are means the first in an order fixed by the hash of the file names.

    Returns:
        `image` uint8 (n, 3, h, w), `label` int64 (n,): place of the class in the sorted list of folders.

    Raises:
        UserError: a class has no folder or no images, or a file is corrupt, greyscale, tiny or huge.
    """
    check_split(split)
    root = data_root(settings, CARD)
    classes = _classes(root)
    base = _split_folder(root, split) if _is_split(root) else root
    names = (f"{label}/{name}" for label in classes for name in pictures(base / label))
    members = names if _is_split(root) else (name for name in names if split_of(name) == split)
    chosen, available = hashed_first(members, settings.count(split))
    images = np.empty((take(available, settings, split, base), 3, *settings.shape), np.uint8)
    for image, name in zip(images, chosen, strict=True):
        image[:] = _read(base / name, settings.shape)
    return {
        "image": images,
        "label": np.array([classes.index(name.partition("/")[0]) for name in chosen], np.int64),
    }


def other_files(settings: DataSettings) -> Counter[str]:
    """The numbers of files that are not images, by suffix, and the folders beside those of the splits, `<name>/`."""
    root = data_root(settings, CARD)
    bases = [_split_folder(root, split) for split in FOLDERS] if _is_split(root) else [root]
    places = [*bases, *(base / label for base in bases for label in _classes(root))]
    beside = {root / name for name in folders(root)} - set(bases) if _is_split(root) else set()
    counts = sum((count_others(place) for place in {root, *places}), Counter())
    return counts + Counter(f"{folder.name}/" for folder in beside)


def split_of(name: str) -> str:
    """The split of the file `<class>/<name>` in a folder without splits."""
    share = int.from_bytes(name_hash(name)[:8], "big") / 2**64
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"


def _is_split(root: Path) -> bool:
    """Whether `train` is a split, which holds folders, and not a class, which holds images."""
    return (root / "train").is_dir() and any(entry.is_dir() for entry in entries(root / "train"))


def _split_folder(root: Path, split: str) -> Path:
    places = [root / name for name in FOLDERS[split] if (root / name).is_dir()]
    if len(places) > 1:
        raise UserError(f"{places[1]}: exists beside {places[0]}; move the images of both into one of them")
    if places:
        return places[0]
    raise UserError(f"{root / FOLDERS[split][0]}: no such folder beside {root / 'train'}; add it")


def _classes(root: Path) -> list[str]:
    """The sorted names of the class folders; every split must have the same ones."""
    splits = [_split_folder(root, split) for split in FOLDERS] if _is_split(root) else [root]
    labels = [set(folders(folder)) for folder in splits]
    classes = sorted(set.union(*labels))
    for name in classes:
        if name.encode(errors="ignore").decode() != name:
            raise UserError(f"{splits[0] / name}: the name of a class is shown as text; give it one in UTF-8")
    if not classes:
        raise UserError(f"{splits[0]}: no class folder; put the images into {splits[0]}/<class>")
    for folder, names in zip(splits, labels, strict=True):
        for name in classes:
            if name not in names:
                raise UserError(f"{folder / name}: missing class folder that other splits have; add it")
            if next(pictures(folder / name), None) is None:
                raise UserError(f"{folder / name}: class folder without images; fill or remove it")
    return classes


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    return chw(ImageOps.fit(open_colour(path), (width, height), Image.Resampling.LANCZOS), shape)
