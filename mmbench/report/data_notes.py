"""The counts of data preparation, in sentences; cards of earlier versions lack them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def data_notes(card: Mapping[str, Any]) -> list[str]:
    """Notes on card.json: files left out, items without a value, images in two splits."""
    notes = []
    if others := card.get("other_files"):
        counts = ", ".join(f"{count:,} {what}" for what, count in others.items())
        notes.append(f"Files that are not images were left out, by suffix: {counts}.")
    for split, described in card.get("splits", {}).items():
        for name, count in (described.get("without") or {}).items():
            notes.append(f"Items of {split} without any {name}, which are left out where it is needed: {count:,}.")
    pairs = card.get("shared") or []
    shared = [pair for pair in pairs if pair["exact"] or pair["near"]]
    for pair in shared:
        notes.append(
            f"Images of {pair['split']} that are also in {pair['other']}: {pair['exact']:,}; "
            f"near duplicates of an image there (by difference hash): {pair['near']:,} more."
        )
    if pairs and not shared:
        notes.append(
            "No image is in two splits, and none is a near duplicate of one in another split (by difference hash)."
        )
    return notes
