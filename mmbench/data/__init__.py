"""Datasets, each a module of this package with `CARD` and `load(split, settings)`; a new file is a new dataset.

`load` returns arrays with one row per item: `image` uint8 (n, 3, h, w), `mask` uint8 (n, h, w) with 255 to ignore,
`label` int64 (n,), `factors` float32 (n, k); which of them is written in the card.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from mmbench.data._settings import SPLITS, Card, DataSettings, check_split, did_you_mean
from mmbench.errors import UserError
from mmbench.files import Arrays, load_arrays, read_json, sha256_arrays

__all__ = ["SPLITS", "Card", "DataSettings", "card", "load", "names", "read_card", "read_prepared"]


def names() -> list[str]:
    """Names of the datasets there are, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


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


def read_card(folder: str | Path) -> dict:
    """The `card.json` that `prepare_data` wrote into `folder`."""
    found = read_json(Path(folder) / "card.json")
    assert isinstance(found, dict)
    return found


def read_prepared(folder: str | Path, split: str) -> Arrays:
    """A split that `prepare_data` wrote, checked against the hash in its card.

    Raises:
        UserError: the split or the card is missing, or the arrays are not those that the card describes.
    """
    check_split(split)
    path = Path(folder) / f"{split}.npz"
    arrays = load_arrays(path)
    expected = read_card(folder).get("splits", {}).get(split, {}).get("sha256")
    if sha256_arrays(arrays) != expected:
        raise UserError(f"{path}: not the arrays that card.json describes; delete {folder} and prepare the data again")
    return arrays
