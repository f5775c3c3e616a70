"""Write a data set's splits and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from typer import Option

from mmbench import data
from mmbench.command import stage_main
from mmbench.data import DataSettings
from mmbench.errors import UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, read_record, save_arrays, sha256_arrays, write_json


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


def read_data_settings(path: Path) -> DataSettings:
    """The section `data` of a JSON file.

    Raises:
        UserError: there is none, or a key of it is unknown or has a wrong value.
    """
    section = read_record(path).get("data")
    if not isinstance(section, dict):
        raise UserError(f'{path}: has no section `data`; add e.g. {{"data": {{"name": "toy_streets"}}}}')
    return DataSettings.from_mapping(section)


def command(
    settings: Annotated[Path, Option(help="JSON file whose section `data` says which data set.")],
    out: Annotated[Path, Option(help="Folder for the splits and card.json.")],
) -> None:
    """Write a data set's splits and its card."""
    values = read_data_settings(settings)
    with alone(out, "data set"):
        prepare(values, out)


main = stage_main(command, "data")

if __name__ == "__main__":
    run_command(main)
