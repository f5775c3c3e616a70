"""Emoji: each symbol in two styles, with its outline as a mask and its category.

Whole symbols are assigned to the splits, since the variants of a symbol, such as its skin tones, are nearly the same
image. Training has all variants; validation and test have only the plain image of each symbol, so each counts once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.data._pictures import chw
from mmbench.data._settings import Card, DataSettings, data_root, hashed_order, name_hash, take
from mmbench.errors import UserError
from mmbench.files.pictures import as_colour, open_picture
from mmbench.files.store import Arrays, read_json

VERSION = "16.0.0"
#: The designers of the drawings `image` and `style`.
STYLES = {"image": "google", "style": "twitter"}
#: Categories of emoji.json; its `Component` holds five swatches of skin and no symbol.
LABELS = ("Activities", "Animals & Nature", "Flags", "Food & Drink", "Objects", "People & Body", "Smileys & Emotion",
          "Symbols", "Travel & Places")  # fmt: skip
NO_SYMBOL = "Component"
#: The splits of ten symbols.
TENTHS = ("validation", "test", "test", *["train"] * 7)
#: The least alpha of a pixel of the symbol, 0 to 255.
OPAQUE = 128
FILE = re.compile(r"[0-9a-f]+(-[0-9a-f]+)*\.png")

CARD = Card(
    name="emoji",
    title="Emoji",
    provenance="images of 64 x 64 pixels of the npm packages emoji-datasource-google and emoji-datasource-twitter "
    f"{VERSION} by Cal Henderson",
    licence="Google's drawings Apache-2.0, Twitter's CC-BY 4.0, the list of symbols MIT; none is part of this project",
    citation="Noto Emoji (Google), Twemoji (Twitter and contributors), emoji-data (Cal Henderson)",
    modalities={"image": "image", "style": "image", "mask": "class_map", "label": "label"},
    classes=("background", "symbol"),
    palette=((255, 255, 255), (40, 90, 160)),
    labels=LABELS,
    download=(
        f"`npm pack emoji-datasource-google@{VERSION} emoji-datasource-twitter@{VERSION}` fetches two archives "
        "(136 MB); `tar xzf ARCHIVE --strip-components 1 -C FOLDER` unpacks each, into the folders google and twitter"
    ),
    layout="folders google and twitter, each with emoji.json, package.json and img/STYLE/64/*.png",
    notes=(
        "image and style are the drawings of Google and Twitter, on white; mask is where Google's drawing is opaque",
        "split by symbol; variants, as skin tones, are in training alone",
    ),
    dependence="variants of one symbol are nearly the same image (in training alone)",
)


@dataclass(frozen=True)
class Symbol:
    """A symbol: its code points, its category, and the files of its plain image and of its variants."""

    code: str
    category: str
    files: tuple[str, ...]


def load(split: str, settings: DataSettings) -> Arrays:
    """Read a split; fewer items than there are means the first in an order fixed by the hash of the file names.

    Returns:
        `image` and `style` uint8 (n, 3, h, w), `mask` uint8 (n, h, w), `label` int64 (n,).

    Raises:
        UserError: a file is missing, broken or of another version.
    """
    root = data_root(settings, CARD)
    items = [
        (file, LABELS.index(symbol.category))
        for symbol in symbols(root)
        if split_of(symbol) == split
        for file in (symbol.files if split == "train" else symbol.files[:1])
    ]
    order = hashed_order([file for file, _ in items])[: take(len(items), settings, split, root)]
    arrays = {
        name: np.stack([_drawing(_path(root, style, items[i][0]), settings.shape) for i in order])
        for name, style in STYLES.items()
    }
    arrays["mask"] = np.stack([_outline(_path(root, STYLES["image"], items[i][0]), settings.shape) for i in order])
    return arrays | {"label": np.array([items[i][1] for i in order], dtype=np.int64)}


def other_files(settings: DataSettings) -> Counter[str]:
    """The numbers of entries of emoji.json that are left out: they are not symbols, or lack one of the two drawings."""
    left_out: Counter[str] = Counter()
    for entry in _entries(data_root(settings, CARD)):
        if entry["category"] == NO_SYMBOL:
            left_out["(no symbol)"] += 1
        else:
            left_out["(not in both styles)"] += sum(not _drawn(picture) for picture in _pictures(entry))
    return +left_out


def symbols(root: Path) -> list[Symbol]:
    """The symbols with the files of their images that exist in both styles, the plain one first.

    Raises:
        UserError: emoji.json is missing, broken or of another version.
    """
    drawn = []
    for entry in _entries(root):
        files = tuple(picture["image"] for picture in _pictures(entry) if _drawn(picture))
        if files and entry["category"] != NO_SYMBOL:
            drawn.append(Symbol(entry["unified"], entry["category"], files))
    return drawn


def split_of(symbol: Symbol) -> str:
    """The split of a symbol with all its variants, by the hash of its code points."""
    return TENTHS[int.from_bytes(name_hash(symbol.code)[:4]) % len(TENTHS)]


def _entries(root: Path) -> Iterator[dict[str, Any]]:
    """The entries of emoji.json, each checked."""
    for style in STYLES.values():
        package = root / style / "package.json"
        version = read_json(_existing(package)).get("version")
        if version != VERSION:
            raise UserError(f"{package}: version {version}, but {CARD.name} is {VERSION}; {CARD.download}")
    path = _existing(root / STYLES["image"] / "emoji.json")
    for number, entry in enumerate(read_json(path)):
        try:
            known = entry["category"] in (*LABELS, NO_SYMBOL) and isinstance(entry["unified"], str)
            sound = known and all(FILE.fullmatch(picture["image"]) for picture in _pictures(entry))
        except (KeyError, TypeError, AttributeError):
            sound = False
        if not sound:
            raise UserError(f"{path}: entry {number} is no symbol of version {VERSION}; {CARD.download}")
        yield entry


def _pictures(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of the plain image of a symbol and of its variants."""
    return [entry, *entry.get("skin_variations", {}).values()]


def _drawn(picture: dict[str, Any]) -> bool:
    return all(picture.get(f"has_img_{style}") for style in STYLES.values())


def _path(root: Path, style: str, file: str) -> Path:
    return root / style / "img" / style / "64" / file


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {CARD.name} needs {CARD.layout} below data.root; {CARD.download}")
    return path


def _drawing(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A drawing on white, uint8 (3, height, width)."""
    return chw(as_colour(open_picture(path), str(path)), shape)


def _outline(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Where a drawing is opaque, uint8 (height, width): 1, elsewhere 0."""
    alpha = open_picture(path).convert("RGBA").getchannel("A")
    height, width = shape
    return (np.asarray(alpha.resize((width, height))) >= OPAQUE).astype(np.uint8)
