"""Write a data set's splits and its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from mmbench import data
from mmbench.command import stage_main
from mmbench.data import DataSettings
from mmbench.data._duplicates import Fingerprints, fingerprints, shared
from mmbench.errors import UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, read_record, save_arrays, sha256_arrays, write_json
from mmbench.modalities import class_of, facts_of, kind_of, kinds_of_card, of_card


def prepare(settings: DataSettings, out: str | Path) -> dict[str, Any]:
    """Write `{train,validation,test}.npz` and, last, `card.json` into `out`; return the card.

    The card holds the data set's description (see `mmbench.data.Card`) and, for each split, the number of items, the
    SHA-256 of its arrays (`files.sha256_arrays`), and their shapes; `other_files` counts the files that are not items,
    `shared` the images that are in two splits.
    """
    splits: dict[str, Any] = {}
    prints: dict[str, Fingerprints] = {}
    card = {**data.card(settings).as_dict(), "size": list(settings.shape), "splits": splits}
    card["other_files"] = data.other_files(settings)
    for split in data.SPLITS:
        arrays = _read(split, settings, card)
        save_arrays(Path(out) / f"{split}.npz", arrays)
        splits[split], prints[split] = _describe(arrays, card), fingerprints(arrays["image"])
        print(f"{settings.name} {split}: {splits[split]['count']} items", flush=True)
    card["shared"] = shared(prints)
    for line in _counted(card):
        print(f"{settings.name}: {line}", flush=True)
    write_json(Path(out) / "card.json", card)
    return card


def _counted(card: Mapping[str, Any]) -> Iterator[str]:
    """Remarks on the data that were read, one line each."""
    if others := card["other_files"]:
        yield f"files that are no pictures: {', '.join(f'{count} {what}' for what, count in others.items())}"
    for split, described in card["splits"].items():
        for name, count in described.get("without", {}).items():
            yield f"{split}: {count} items have no {name} at all"
    for pair in card["shared"]:
        if pair["exact"] or pair["near"]:
            exact, near = f"{pair['exact']} pictures are in {pair['other']}, too", f"{pair['near']} more nearly are"
            yield f"{pair['split']}: {exact}, and {near}"


def _read(split: str, settings: DataSettings, card: Mapping[str, Any]) -> Arrays:
    """A split of a data set, checked and in the stored types.

    Raises:
        UserError: also if the data set's module returns other arrays than its card lists.
    """
    arrays = data.load(split, settings)
    shapes = {name: {"shape": list(array.shape)} for name, array in arrays.items()}
    try:
        return data.converted(arrays, {**card, "splits": {"train": {"arrays": shapes}, **card["splits"]}})
    except UserError as error:
        raise UserError(f"data.name: {settings.name}: {split}: {error}; correct its module in mmbench/data") from None


def _describe(arrays: Arrays, card: Mapping[str, Any]) -> dict[str, Any]:
    """Count, hash and shapes of a split, and the entries of its modalities' kinds on their arrays.

    `without` counts the items that lack a modality altogether, if there are any.
    """
    described: dict[str, Any] = {
        "count": len(arrays["image"]),
        "sha256": sha256_arrays(arrays),
        "arrays": {name: {"dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()},
    }
    for name, kind in kinds_of_card(card).items():
        for key, value in class_of(kind).describe(arrays[name], facts_of(card, name)).items():
            described[f"{name}_{key}" if key in described else key] = value  # the first of a kind has the plain key
    absent = {name: int(kind_of(m).absent(arrays[name]).sum()) for name, m in of_card(card).items()}
    if without := {name: count for name, count in absent.items() if count}:
        described["without"] = without
    return described


def read_data_settings(path: Path) -> DataSettings:
    """The section `data` of a JSON file.

    Raises:
        UserError: there is none, or one of its keys is unknown or has a wrong value.
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
