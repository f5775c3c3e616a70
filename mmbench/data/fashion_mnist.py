"""Fashion-MNIST: 70,000 grey images of clothes in 10 classes, read from the four IDX files.

Grey is repeated to three channels. The 28 x 28 images get a border of 2 black pixels, which makes them 32 x 32; other
sizes are resized from these (Lanczos), and only the size 28 is used without a border.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data._pictures import chw
from mmbench.data._settings import Card, DataSettings, data_root, hashed_parts, take
from mmbench.errors import UserError
from mmbench.files.store import Arrays

CARD = Card(
    name="fashion_mnist",
    title="Fashion-MNIST",
    provenance="article images of Zalando Research; validation is a fixed twelfth of the training file",
    licence="MIT",
    citation="Xiao, Rasul, Vollgraf: Fashion-MNIST, a novel image dataset for benchmarking, arXiv:1708.07747",
    modalities=("image", "label"),
    labels=("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    download=(
        "download the four files of github.com/zalandoresearch/fashion-mnist (30 MB), or set MMBENCH_DOWNLOAD=1 to "
        "have that done, or use Debian's dataset-fashion-mnist with data.root=/usr/share/datasets/fashion-mnist"
    ),
    layout="train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-... , each as it is or .gz",
    notes=("28 x 28 with a border of 2, so 32 x 32; grey repeated to three channels",),
)
PLACES = (".", "raw", "FashionMNIST/raw")
#: The authors' own copy; the mirror that torchvision knows has no https.
SOURCE = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
VALIDATION_SHARE = 12
SIDE, MOST = 28, 60_000


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split.

    Returns:
        `image` uint8 (n, 3, h, w), `label` int64 (n,).

    Raises:
        UserError: the files are missing or broken.
    """
    folder = _folder(settings)
    part = "t10k" if split == "test" else "train"
    images, labels = _idx(folder, f"{part}-images-idx3-ubyte", 3), _idx(folder, f"{part}-labels-idx1-ubyte", 1)
    if len(images) != len(labels) or (len(labels) and labels.max() > 9):
        raise UserError(f"{folder}: {part} images and labels do not belong together; get both files again")
    order = hashed_parts(CARD.name, len(images), split, VALIDATION_SHARE)
    order = order[: take(len(order), settings, split, folder)]
    return {"image": _resize(images[order], settings.shape), "label": labels[order].astype(np.int64)}


def _folder(settings: DataSettings) -> Path:
    """The folder with the IDX files, which are downloaded first if that is allowed."""
    download = os.environ.get("MMBENCH_DOWNLOAD") == "1"
    root = data_root(settings, CARD, create=download)
    places = [root / place for place in PLACES if _file(root / place, "t10k-labels-idx1-ubyte") is not None]
    if not places and download:
        from torchvision.datasets import FashionMNIST  # noqa: PLC0415 (slow to import, needed only here)
        from torchvision.datasets.utils import download_url  # noqa: PLC0415

        try:
            for name, md5 in FashionMNIST.resources:
                download_url(f"{SOURCE}/{name}", str(root / PLACES[-1]), name, md5)
        except (RuntimeError, OSError) as error:
            raise UserError(f"{root}: the download failed ({error}); {CARD.download}") from None
        return root / PLACES[-1]
    if not places:
        raise UserError(f"{root}: holds no IDX files; {CARD.download}; put them into {root} ({CARD.layout})")
    return places[0]


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _idx(folder: Path, name: str, axes: int) -> np.ndarray:
    """An IDX file of bytes: two zeros, type 8, number of axes, big-endian lengths, values."""
    path = _file(folder, name)
    if path is None:
        raise UserError(f"{folder / name}: no such file, also not as .gz; {CARD.download}")
    head = 4 + 4 * axes
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            begin = stream.read(head)
            shape = tuple(int.from_bytes(begin[i : i + 4], "big") for i in range(4, head, 4))
            if begin[:4] != bytes((0, 0, 8, axes)) or len(begin) != head:
                raise UserError(f"{path}: not an IDX file of {axes} axes, or cut off; get it again")
            if shape[0] > MOST or shape[1:] != (SIDE, SIDE)[: axes - 1]:
                raise UserError(f"{path}: holds {shape} values, not up to {MOST} of 28 x 28; get it again")
            data = stream.read(math.prod(shape) + 1)  # one more, to see that there is none
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not a whole gzip file ({error}); get it again") from None
    if len(data) != math.prod(shape):
        raise UserError(f"{path}: not an IDX file of {axes} axes, or cut off; get it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _resize(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Grey (n, 28, 28) to colour (n, 3, h, w)."""
    if shape != images.shape[1:]:
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    if shape != images.shape[1:]:
        return np.stack([chw(Image.fromarray(image).convert("RGB"), shape) for image in images])
    return np.repeat(images[:, None], 3, axis=1)
