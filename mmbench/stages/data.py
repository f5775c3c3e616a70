"""Write a dataset's splits and its card: `python -m mmbench.stages.data --settings S.json --out DIR`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmbench import data
from mmbench.data import DataSettings
from mmbench.errors import Parser, UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, read_json, save_arrays, sha256_arrays, write_json


def prepare(settings: DataSettings, out: str | Path) -> dict[str, Any]:
    """Write `{train,validation,test}.npz` and, last, `card.json` into `out`; return the card.

    The card holds what the dataset says about itself (see `mmbench.data.Card`) and, for each split, the number of
    items, the SHA-256 of its arrays (`files.sha256_arrays`), and their shapes.
    """
    splits: dict[str, Any] = {}
    card = data.card(settings)
    for split in data.SPLITS:
        arrays = data.load(split, settings)
        save_arrays(Path(out) / f"{split}.npz", arrays)
        splits[split] = _describe(arrays, len(card.classes))
        print(f"{settings.name} {split}: {splits[split]['count']} items", flush=True)
    height, width = settings.shape
    written = {**card.as_dict(), "size": [height, width], "splits": splits}
    write_json(Path(out) / "card.json", written)
    return written


def _describe(arrays: Arrays, classes: int) -> dict[str, Any]:
    """Count, hash and shapes of a split, and how often each class and label occurs."""
    described: dict[str, Any] = {
        "count": len(arrays["image"]),
        "sha256": sha256_arrays(arrays),
        "arrays": {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()},
    }
    if "mask" in arrays:
        pixels = np.bincount(arrays["mask"].ravel(), minlength=256)
        described["class_share"] = [round(float(pixels[k] / max(pixels[:255].sum(), 1)), 5) for k in range(classes)]
        described["ignored_share"] = round(float(pixels[255] / pixels.sum()), 5)
    if "label" in arrays:
        described["label_counts"] = np.bincount(arrays["label"]).tolist()
    return described


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON file whose section `data` says which dataset")
    parser.add_argument("--out", required=True, help="folder to write the splits and card.json into")
    arguments = parser.parse_args(argv)
    settings = read_json(arguments.settings)
    if not isinstance(settings, dict) or not isinstance(settings.get("data"), dict):
        raise UserError(f'{arguments.settings}: has no section `data`; add e.g. {{"data": {{"name": "toy_streets"}}}}')
    with alone(Path(arguments.out), "data set"):
        prepare(DataSettings.from_mapping(settings["data"]), arguments.out)


if __name__ == "__main__":
    run_command(main)
