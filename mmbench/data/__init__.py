"""Datasets, each a module of this package with `CARD` and `load(split, settings)`; a new file is a new dataset.

`load` returns arrays with one row per item: `image` uint8 (n, 3, h, w), `mask` uint8 (n, h, w) with 255 to ignore,
`label` int64 (n,), `factors` float32 (n, k), `depth` float32 (n, h, w) in metres along the camera's axis with NaN where
there is none; which of them is written in the card.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mmbench.data._settings import IGNORED, SPLITS, Card, DataSettings, check_split, did_you_mean
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays, sha256_arrays
from mmbench.runs.records import read_card

__all__ = ["SPLITS", "Card", "DataSettings", "card", "load", "names", "read_card", "read_prepared"]


def names() -> list[str]:
    """Names of the datasets there are, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not (m.ispkg or m.name.startswith("_")))


def _module(name: str) -> ModuleType:
    known = names()
    if name not in known:
        raise UserError(f"data.name: unknown dataset {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}")


def load(split: str, settings: DataSettings) -> Arrays:
    """Read or draw a split.

    Args:
        split: `train`, `validation` or `test`.
        settings: which dataset, how large, how many items.

    Raises:
        UserError: the dataset or split is unknown, or its files are missing or broken.
    """
    check_split(split)
    arrays: Arrays = _module(settings.name).load(split, settings)
    return arrays


def card(settings: DataSettings) -> Card:
    """What the dataset says about itself; a module whose card depends on the files has a function `card`."""
    module = _module(settings.name)
    found = module.card(settings) if hasattr(module, "card") else module.CARD
    assert isinstance(found, Card)
    return found


def read_prepared(folder: str | Path, split: str) -> Arrays:
    """A split that `prepare_data` wrote, checked against the hash and the shapes in its card.

    Raises:
        UserError: the split or the card is missing, or the arrays are not those that the card describes.
    """
    check_split(split)
    path = Path(folder) / f"{split}.npz"
    arrays, described = load_arrays(path), read_card(folder)
    expected = described.get("splits", {}).get(split, {}).get("sha256")
    if sha256_arrays(arrays) != expected:
        raise UserError(f"{path}: not the arrays that card.json describes; delete {folder} and prepare the data again")
    if reason := _fault(arrays, described):
        raise UserError(f"{path}: {reason}; delete {folder} and prepare the data again")
    return arrays


def _fault(arrays: Arrays, card: Mapping[str, Any]) -> str | None:
    """What is wrong with a split's arrays, whatever their hash: types, sizes, and numbers that cannot be."""
    count, (height, width) = arrays["image"].shape[:1] if "image" in arrays else (), card["size"]
    if not any(count):
        return "has no images"
    wanted = {
        "image": ("u1", (*count, 3, height, width)),
        "mask": ("u1", (*count, height, width)),
        "label": ("i8", count),
        "depth": ("f4", (*count, height, width)),
    }
    for name, array in arrays.items():
        kind, shape = wanted.get(name, (None, None))
        if kind and (array.dtype != kind or array.shape != shape):
            return f"{name} is {array.dtype} {array.shape}, not {np.dtype(kind)} {shape}"
        if not kind and (array.ndim != 2 or array.shape[:1] != count or array.dtype.kind != "f"):
            return f"{name} is {array.dtype} {array.shape}, not a row of floats for each of {count[0]} images"
        if not kind and not np.isfinite(array).all():
            return f"{name} holds NaN or infinity"
    return _impossible(arrays, card)


def _impossible(arrays: Arrays, card: Mapping[str, Any]) -> str | None:
    """Which number of a split's arrays is no class, no label or no distance."""
    depth = arrays.get("depth", np.empty(0))
    if (wrong := depth[(depth <= 0) | np.isinf(depth)]).size:
        return f"depth has {wrong[0]}, which is no distance; a pixel without one has NaN"
    for name, names in (("mask", card.get("classes")), ("label", card.get("labels"))):
        if names and name in arrays:
            array = arrays[name][arrays[name] != IGNORED] if name == "mask" else arrays[name]
            if (wrong := array[(array < 0) | (array >= len(names))]).size:
                return f"{name} has {wrong[0]}, and there are 0 to {len(names) - 1}"
    return None
