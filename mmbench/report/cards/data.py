"""The card of a folder of prepared data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmbench.report.cards.render import render
from mmbench.report.data_notes import data_notes
from mmbench.runs.records import read_card

#: The size categories of hubs, by their upper limit.
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}

#: Entries that a card.json from elsewhere may lack.
UNSAID: dict[str, Any] = {
    "name": "",
    "title": "Prepared data",
    "provenance": "of unknown origin",
    "licence": "unknown",
    "citation": "",
    "download": "",
    "version": 1,
    "notes": (),
    "dependence": "",
    "embedding": None,
}


def data_card(folder: Path) -> str:
    """Markdown that describes a folder written by `mmbench.stages.data` or `mmbench.stages.embed`.

    Raises:
        UserError: its card.json is missing or damaged.
    """
    card = UNSAID | read_card(folder)
    splits: dict[str, dict[str, Any]] = card["splits"]
    total = sum(split["count"] for split in splits.values())
    metadata = {
        "pretty_name": card["title"],
        "license": "other",
        "size_categories": [next((name for limit, name in SIZES.items() if total < limit), "n>10M")],
        "tags": ["mmbench", *card["modalities"]],
    }
    rows = {"classes": class_rows(card), "labels": label_rows(card), "counted": data_notes(card)}
    return render("data.md.j2", metadata, card=card, splits=splits, **rows)


def class_rows(card: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Each class of the masks and its share of the pixels of every split."""
    shares = [split.get("class_share", []) for split in card["splits"].values()]
    return [(name, [share[i] for share in shares if share]) for i, name in enumerate(card.get("classes") or ())]


def label_rows(card: dict[str, Any]) -> list[tuple[str, list[int]]]:
    """Each label and its number of images in every split; the last labels may occur in no split."""
    counts = [split.get("label_counts", []) for split in card["splits"].values()]
    names = card.get("labels") or [str(i) for i in range(max(map(len, counts), default=0))]
    return [(name, [count[i] if i < len(count) else 0 for count in counts]) for i, name in enumerate(names)]
