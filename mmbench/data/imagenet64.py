"""Downsampled ImageNet, 64 x 64: 1,281,167 training and 50,000 validation images in the authors' npz files.

`test` is the official validation file, `validation` a fixed twenty-fifth of every training file, about as many items. A
split uses its files in their order, and the items of each file in the order of a hash. A few items therefore need only
the first file, and do not depend on the presence of other files. One file at a time is in memory (1.6 GB).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data._pictures import chw
from mmbench.data._settings import Card, DataSettings, data_root, hashed_parts, take
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays

SIDE, CLASSES = 64, 1000
VALIDATION_SHARE = 25

CARD = Card(
    name="imagenet64",
    title="ImageNet 64x64",
    provenance=(
        "images of ImageNet (ILSVRC 2012) that its authors resized to 64 x 64; test is the official validation file, "
        "validation a fixed twenty-fifth of each training file"
    ),
    licence="non-commercial research and education after registration, see image-net.org/download",
    citation=(
        "Chrabaszcz, Loshchilov, Hutter: A downsampled variant of ImageNet as an alternative to the CIFAR datasets, "
        "arXiv:1707.08819"
    ),
    modalities=("image", "label"),
    labels=tuple(f"class {number}" for number in range(1, CLASSES + 1)),
    download=(
        "register at image-net.org, download Imagenet64_train_part1_npz.zip, Imagenet64_train_part2_npz.zip and "
        "Imagenet64_val_npz.zip (about 16 GB unpacked) and unpack them"
    ),
    layout="train_data_batch_1.npz to train_data_batch_10.npz and val_data.npz, or the folders of the archives",
    notes=("labels are the numbers in the files, those of the ILSVRC development kit",),
)
TRAIN_FILES = tuple(f"train_data_batch_{i}.npz" for i in range(1, 11))
FILES = {"train": TRAIN_FILES, "validation": TRAIN_FILES, "test": ("val_data.npz",)}
PLACES = (".", "Imagenet64_train_part1_npz", "Imagenet64_train_part2_npz", "Imagenet64_val_npz")


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split; a training file is read only if the files before it have too few items.

    Returns:
        `image` uint8 (n, 3, h, w), `label` int64 (n,): the number in the file less one.

    Raises:
        UserError: a file that is needed is missing or broken, or all together have too few items.
    """
    root = data_root(settings, CARD)
    wanted, available = settings.count(split), 0
    parts: list[tuple[Path, list[int], np.ndarray]] = []
    for name in FILES[split]:
        if wanted is not None and available >= wanted:
            break
        path = _find(root, name, split, available)
        labels = _labels(path)
        parts.append((path, hashed_parts(f"{CARD.name}/{name}", len(labels), split, VALIDATION_SHARE), labels))
        available += len(parts[-1][1])
    count = take(available, settings, split, root)
    image, label, done = np.empty((count, 3, *settings.shape), np.uint8), np.empty(count, np.int64), 0
    for path, order, labels in parts:
        chosen = order[: count - done]
        rows = slice(done, done + len(chosen))
        _copy(path, len(labels), chosen, image[rows])
        label[rows] = labels[chosen]
        done = rows.stop
    return {"image": image, "label": label}


def _find(root: Path, name: str, split: str, before: int) -> Path:
    """A file below the root; `before` is the number of items of the split in the files before it."""
    for place in PLACES:
        if (root / place / name).is_file():
            return root / place / name
    fewer = f"; or set data.{split} to at most {before}, which the files before it have" if before else ""
    raise UserError(f"{root / name}: no such file; {CARD.download} into {root}{fewer}")


def _labels(path: Path) -> np.ndarray:
    """The labels of a file, counted from 0, int64 (n,)."""
    labels = _array(path, "labels")
    if labels.ndim != 1 or labels.dtype.char not in np.typecodes["AllInteger"]:
        raise _other(path, f"labels are {labels.dtype} {labels.shape} instead of whole numbers (n,)")
    if labels.size and not 1 <= labels.min() <= labels.max() <= CLASSES:
        raise _other(path, f"labels are {labels.min()} to {labels.max()} instead of 1 to {CLASSES}")
    return labels.astype(np.int64) - 1


def _copy(path: Path, count: int, chosen: list[int], out: np.ndarray) -> None:
    """Copy some of a file's `count` images to `out`, uint8 (len(chosen), 3, h, w), resized if needed."""
    data = _array(path, "data")
    if data.dtype != np.uint8 or data.shape != (count, 3 * SIDE**2):
        raise _other(path, f"data is {data.dtype} {data.shape} instead of uint8 {(count, 3 * SIDE**2)}")
    pictures = data.reshape(count, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    for place, i in enumerate(chosen):
        out[place] = chw(Image.fromarray(pictures[i]), out.shape[2:])


def _array(path: Path, name: str) -> np.ndarray:
    try:
        arrays = load_arrays(path, (name,))
    except UserError:
        raise _other(path, "not a whole npz file of plain arrays") from None
    if name not in arrays:
        raise _other(path, f"has no array {name}")
    return arrays[name]


def _other(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: {reason}; unpack it again from the archive of image-net.org")
