"""What a run has made, in a form in which two runs of the same are equal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbench.files.store import load_arrays, sha256_arrays, sha256_file

#: Keys of records that say how long something took, on what and when: these differ between any two runs.
MEASURED = {
    "seconds", "train_seconds", "predict_seconds", "evaluate_seconds", "images_per_second", "peak_memory_bytes",
    "hardware", "provenance",
}  # fmt: skip
#: Lines of a card that say the same.
MEASURED_LINES = re.compile(r"(\| (time|peak memory) \||- finished: ).*")
SNAKEMAKES_OWN = ".snakemake_timestamp"  # in a folder that is an output
#: What is no result, and what shows the measured values again. Cached outputs of networks are compared.
LEFT_OUT = {"log", "state", "tables", "figures", "index.html", "manifest.json"}


def without_measured(value: Any) -> Any:
    """A record without what is measured."""
    if isinstance(value, dict):
        return {key: without_measured(inner) for key, inner in value.items() if key not in MEASURED}
    return [without_measured(inner) for inner in value] if isinstance(value, list) else value


def digest(path: Path) -> str:
    """Hash of a file: of a record's values, of the bits of arrays, of a card's lines, else of the bytes."""
    if path.suffix == ".npz":
        return sha256_arrays(load_arrays(path))
    if path.suffix == ".json":
        record = without_measured(json.loads(path.read_text()))
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    if path.name == "README.md":
        lines = [line for line in path.read_text().splitlines() if not MEASURED_LINES.fullmatch(line)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return sha256_file(path)


def results(folder: Path) -> dict[str, str]:
    """Every result below a folder and its hash; "unreadable" where it is not whole."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if LEFT_OUT & set(parts) or path.name.startswith(".") or not path.is_file():
            continue
        try:
            found["/".join(parts)] = digest(path)
        except Exception:  # what is compared is never to be damaged, in whatever way
            found["/".join(parts)] = "unreadable"
    return found


def litter(folder: Path) -> Iterator[str]:
    """What a finished run should not have left: temporary files, locks, states of trainings."""
    for path in folder.rglob("*"):
        hidden = path.name.startswith(".") and path.name != SNAKEMAKES_OWN
        if path.is_file() and (hidden or path.parent.name == "state"):
            yield str(path.relative_to(folder))
