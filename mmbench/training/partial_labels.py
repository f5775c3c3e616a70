"""A training set in which only a share of the items keeps a modality, by the key `labelled` of a method.

The items that keep it are the first in an order that depends only on the hash of their number. The order is the same
for every method, seed and modality, so the items of a smaller share are among those of a larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmbench.errors import UserError, near
from mmbench.files.store import Arrays
from mmbench.method import Method
from mmbench.modalities import MIRRORED, Modality, kind_of


def kept(count: int, share: float) -> np.ndarray:
    """Which of `count` items keep a modality for a share of them, at least one item: bool (count,)."""
    order = sorted(range(count), key=lambda i: hashlib.sha256(f"labelled/{i}".encode()).digest())
    labelled = np.zeros(count, bool)
    labelled[order[: max(1, round(share * count))]] = True
    return labelled


def training_set(arrays: Arrays, settings: Mapping[str, Any], method: Method) -> Arrays:
    """The stored training set of a method, without the values that `labelled` removes.

    Raises:
        UserError: a modality cannot be missing, or the method does not accept missing values.
    """
    shares = settings["train"].get("labelled", {})
    where = f"config/experiments/{settings['experiment']}.yaml: {settings['method']}: labelled"
    if shares and not method.handles_missing:
        raise UserError(
            f"{where}: the method does not learn from items that lack a modality; take the key out, or let its loss "
            "use mmbench.method.available and set handles_missing = True in its class"
        )
    return keep_labelled(arrays, shares, method.spec.modalities, where)


def keep_labelled(
    arrays: Arrays, shares: Mapping[str, float], modalities: Mapping[str, Modality], where: str
) -> Arrays:
    """The stored arrays of a training set, with the values of other items marked as missing.

    Args:
        arrays: one row per item; the values for mirrored images, `<modality>_mirrored`, follow their modality.
        shares: share of the items, in (0, 1], that keep a modality; modalities not named stay complete.
        where: the setting of the shares, for errors.

    Raises:
        UserError: the experiment has no such modality, or the modality cannot be missing.
    """
    changed = dict(arrays)
    for name, share in shares.items():
        optional = [other for other, modality in modalities.items() if kind_of(modality).missing is not None]
        if name not in optional:
            others = f"those that can are {', '.join(optional) or 'none'}"
            raise UserError(f"{where}: '{name}' cannot be missing in this experiment{near(name, optional)}; {others}")
        labelled = kept(len(arrays[name]), share)
        for key in {name, f"{name}{MIRRORED}"} & arrays.keys():
            shape = (-1, *[1] * (arrays[key].ndim - 1))
            missing = np.asarray(kind_of(modalities[name]).missing, arrays[key].dtype)
            changed[key] = np.where(labelled.reshape(shape), arrays[key], missing)
    return changed
