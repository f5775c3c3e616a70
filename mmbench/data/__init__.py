"""Datasets, each a module of this package with `CARD` and `load(split, settings)`; a new file is a new dataset.

`load` returns arrays with one row per item: `image` uint8 (n, 3, h, w), others as the card says, e.g. `mask` uint8
(n, h, w) with 255 for ignored pixels, `label` int64 (n,); `factors` float32 (n, k) are not a modality. A module may
also have `other_files(settings)`: the numbers of files among the items' files that are not items, by suffix.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.data._settings import SPLITS, Card, DataSettings, check_split, did_you_mean
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays, sha256_arrays
from mmbench.modalities import MIRRORED, class_of, default_kind, facts_of, kind_of, kinds_of_card
from mmbench.runs.records import read_card

if TYPE_CHECKING:
    from mmbench.modalities._kind import Kind

FACTORS = "factors"

__all__ = ["SPLITS", "Card", "DataSettings", "card", "load", "names", "other_files", "read_card", "read_prepared"]


def names() -> list[str]:
    """The names of all datasets, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not (m.ispkg or m.name.startswith("_")))


def _module(name: str) -> ModuleType:
    known = names()
    if name not in known:
        raise UserError(f"data.name: unknown dataset {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}")


def load(split: str, settings: DataSettings) -> Arrays:
    """Read or draw a split: `train`, `validation` or `test`.

    Raises:
        UserError: the dataset or the split is unknown, or its files are missing or broken.
    """
    check_split(split)
    arrays: Arrays = _module(settings.name).load(split, settings)
    return arrays


def card(settings: DataSettings) -> Card:
    """The card of a dataset; a module whose card depends on the files has a function `card`.

    Raises:
        UserError: the card lists a modality without a kind, or the dataset or its files are missing.
    """
    module = _module(settings.name)
    described = module.card(settings) if hasattr(module, "card") else module.CARD
    assert isinstance(described, Card)
    for name in set(described.modalities) - kinds_of_card({"modalities": described.modalities}).keys() - {FACTORS}:
        raise UserError(f"{module.__file__}: modalities: '{name}' has no kind; write them as a mapping to kinds")
    return described


def other_files(settings: DataSettings) -> dict[str, int]:
    """The numbers of files among the items' files that are not items, by suffix; empty without `other_files`."""
    module = _module(settings.name)
    return dict(sorted(module.other_files(settings).items())) if hasattr(module, "other_files") else {}


def read_prepared(folder: str | Path, split: str) -> Arrays:
    """A split that the stage data wrote, checked by the hash and the shapes in its card.

    Raises:
        UserError: the split or the card is missing, or the arrays are not those that the card describes.
    """
    check_split(split)
    path = Path(folder) / f"{split}.npz"
    arrays, described = load_arrays(path), read_card(folder)
    expected = described.get("splits", {}).get(split, {}).get("sha256")
    if sha256_arrays(arrays) != expected:
        raise UserError(f"{path}: not the arrays that card.json describes; delete {folder} and prepare the data again")
    try:
        return converted(arrays, described)
    except UserError as error:
        raise UserError(f"{path}: {error}; delete {folder} and prepare the data again") from None


def converted(arrays: Arrays, card: Mapping[str, Any]) -> Arrays:
    """A split's arrays, each in the type in which its kind is stored; an array that is not a modality as float32.

    Args:
        arrays: arrays of any types that the kinds accept.
        card: the content of card.json, with `size`.

    Raises:
        UserError: an array has another type or shape, or values that its kind does not have.
    """
    images = arrays.get("image")
    if images is None or not images.shape or not len(images):
        raise UserError("has no images")
    kinds = {"image": "image", **kinds_of_card(card)}
    if missing := [name for name in card.get("modalities") or () if name not in arrays]:
        raise UserError(f"{missing[0]} is missing, which the card lists")
    typed = {}
    for name, array in arrays.items():
        base = name.removesuffix(MIRRORED)
        kind = kinds.get(base) or default_kind(base)
        modality = class_of(kind).from_card(facts_of(card, base), tuple(card["size"])) if kind else None
        try:
            typed[name] = (
                _of_kind(array, kind_of(modality), len(images)) if modality else _row_of_floats(array, len(images))
            )
        except UserError as error:
            raise UserError(f"{name} {error}") from None
    return typed


def _of_kind(array: np.ndarray, kind: Kind, count: int) -> np.ndarray:
    """Items of a kind, checked and converted to their stored type."""
    wanted = (count, *kind.stored.shape)
    if not kind.stored.fits(array.dtype) or array.shape != wanted:
        raise UserError(f"is {array.dtype} {array.shape}, not {kind.stored.dtype} {wanted}")
    return kind.stored.converted(array, kind.stored_fault)


def _row_of_floats(array: np.ndarray, count: int) -> np.ndarray:
    """An array that is not a modality, as float32 (n, k)."""
    if array.ndim != 2 or len(array) != count or not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"is {array.dtype} {array.shape}, not a row of floats for each of {count} images")
    with np.errstate(over="ignore"):
        rows = array.astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise UserError("holds NaN or infinity")
    return rows
