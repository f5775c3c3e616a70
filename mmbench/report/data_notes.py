"""What was counted when data were prepared, in sentences; cards of earlier versions say nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def data_notes(card: Mapping[str, Any]) -> list[str]:
    """What a reader of card.json should know: files left out, items without a value, pictures in two splits."""
    return [*_other_files(card), *_empty_items(card), *_shared(card)]


def _other_files(card: Mapping[str, Any]) -> Iterator[str]:
    if others := card.get("other_files"):
        counts = ", ".join(f"{count:,} {what}" for what, count in others.items())
        yield f"Beside the pictures were files that are none, by suffix: {counts}."


def _empty_items(card: Mapping[str, Any]) -> Iterator[str]:
    for split, described in card.get("splits", {}).items():
        for name, count in (described.get("without") or {}).items():
            yield f"Items of {split} without any {name}, about which nothing is asked that needs it: {count:,}."


def _shared(card: Mapping[str, Any]) -> Iterator[str]:
    pairs = card.get("shared") or []
    for pair in pairs:
        if pair["exact"] or pair["near"]:
            yield (
                f"Pictures of {pair['split']} that are also in {pair['other']}: {pair['exact']:,}; "
                f"that look nearly like one there (difference hash): {pair['near']:,} more."
            )
    if pairs and not any(pair["exact"] or pair["near"] for pair in pairs):
        yield "No picture is in two splits, and none looks nearly like one of another split (difference hash)."
