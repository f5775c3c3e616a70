"""CIFAR-10: 60,000 colour images of 32 x 32 in 10 classes.

The files are pickles. They are read only if they have the MD5 of the original ones, which torchvision lists, and only
arrays are taken from them.
"""

from __future__ import annotations

import os
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
from PIL import Image

from mmbench.data._pictures import chw
from mmbench.data._settings import Card, DataSettings, data_root, hashed_parts, take
from mmbench.errors import UserError
from mmbench.files.pickles import unpickle_arrays
from mmbench.files.store import Arrays

CARD = Card(
    name="cifar10",
    title="CIFAR-10",
    provenance="labelled subset of the 80 million tiny images; validation is a fixed tenth of the training files",
    licence="not stated by its authors; used in research with citation",
    citation="Krizhevsky: Learning multiple layers of features from tiny images, technical report (2009)",
    modalities=("image", "label"),
    labels=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    download=(
        "download cifar-10-python.tar.gz (163 MB) from www.cs.toronto.edu/~kriz/cifar.html and unpack it, or set "
        "MMBENCH_DOWNLOAD=1 to let torchvision do it"
    ),
    layout="folder cifar-10-batches-py with data_batch_1 to 5, test_batch, batches.meta",
)
VALIDATION_SHARE = 10


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split.

    Returns:
        `image` uint8 (n, 3, h, w), `label` int64 (n,).

    Raises:
        UserError: the files are missing or are not the original ones.
    """
    download = os.environ.get("MMBENCH_DOWNLOAD") == "1"
    root = data_root(settings, CARD, create=download)
    root = root.parent if root.name == "cifar-10-batches-py" else root
    images, labels = _read(root, split != "test", download)
    order = hashed_parts(CARD.name, len(images), split, VALIDATION_SHARE)
    order = order[: take(len(order), settings, split, root)]
    chosen = images[order]
    if settings.shape != chosen.shape[1:3]:
        return {"image": np.stack([chw(Image.fromarray(i), settings.shape) for i in chosen]), "label": labels[order]}
    return {"image": np.ascontiguousarray(chosen.transpose(0, 3, 1, 2)), "label": labels[order]}


def _read(root: Path, train: bool, download: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, 32, 32, 3) and labels int64 (n,) of the training or the test files."""
    from torchvision.datasets import CIFAR10  # noqa: PLC0415 (slow to import, needed only here)
    from torchvision.datasets.utils import check_integrity, download_and_extract_archive  # noqa: PLC0415

    def whole() -> bool:
        listed = CIFAR10.train_list + CIFAR10.test_list
        return all(check_integrity(str(root / CIFAR10.base_folder / name), md5) for name, md5 in listed)

    try:
        if download and not whole():
            download_and_extract_archive(CIFAR10.url, str(root), filename=CIFAR10.filename, md5=CIFAR10.tgz_md5)
        reason = "" if whole() else "no CIFAR-10 files, or not the original ones"
    except (RuntimeError, OSError) as error:
        reason = f"the download failed ({error})"
    if reason:
        raise UserError(f"{root}: {reason}; {CARD.download}; put it into {root} ({CARD.layout})")
    images, labels = [], []
    for name, _ in CIFAR10.train_list if train else CIFAR10.test_list:
        path = root / CIFAR10.base_folder / name
        try:
            batch = unpickle_arrays(path.read_bytes(), encoding="latin1")
        except UnpicklingError as error:
            raise UserError(f"{path}: holds more than arrays ({error}); {CARD.download}") from None
        images.append(batch["data"])
        labels.append(np.array(batch["labels"], np.int64))
    return np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.concatenate(labels)
