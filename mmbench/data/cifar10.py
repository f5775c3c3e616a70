"""CIFAR-10: 60,000 colour pictures of 32 x 32 in 10 classes, through torchvision, which checks the files' MD5."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data._pictures import chw
from mmbench.data._settings import Card, DataSettings, data_root, hashed_parts, take
from mmbench.errors import UserError
from mmbench.files import Arrays

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
    """Pictures uint8 (n, 32, 32, 3) and labels int64 (n,) of the training or the test files."""
    from torchvision.datasets import CIFAR10  # noqa: PLC0415 (slow to import, needed only here)

    try:
        dataset = CIFAR10(str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        reason = f"the download failed ({error})" if download else "no CIFAR-10 files, or not the original ones"
        raise UserError(f"{root}: {reason}; {CARD.download}; put it into {root} ({CARD.layout})") from None
    return dataset.data, np.array(dataset.targets, np.int64)
