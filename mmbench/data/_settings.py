"""The settings and the card that every dataset has, and common functions of the loaders."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmbench.errors import UserError, closest

SPLITS = ("train", "validation", "test")
#: The number of a mask's pixel that has no class.
IGNORED = 255
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class DataSettings:
    """The `data` section of a profile.

    Attributes:
        name: the name of a module of `mmbench.data`.
        size: height and width in pixels; one number for a square.
        train: number of training items, None for all; likewise `validation` and `test`.
        root: folder of the files; None for `$MMBENCH_DATA/<name>`.
    """

    name: str = "toy_streets"
    size: int | tuple[int, int] = 32
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        for side in self.shape:
            if isinstance(side, bool) or not isinstance(side, int) or not 8 <= side <= 1024:
                raise UserError(f"data.size: {self.size!r} is not a side in pixels from 8 to 1024, nor [height, width]")
        for split in SPLITS:
            count = getattr(self, split)
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise UserError(f"data.{split}: {count!r} is not a number of items; write 1 or more, or null for all")

    @classmethod
    def from_mapping(cls, section: Mapping[str, Any]) -> DataSettings:
        """Read a `data` section; UserError names a key that is unknown or has a wrong value."""
        known = [f.name for f in fields(cls)]
        for key in section:
            if key not in known:
                raise UserError(f"data.{key}: unknown key{did_you_mean(key, known)}; known are {', '.join(known)}")
        values = dict(section)
        size = values.get("size")
        if isinstance(size, Sequence) and not isinstance(size, str):
            if len(size) != 2:
                raise UserError(f"data.size: {list(size)} must be one number or [height, width]")
            values["size"] = (size[0], size[1])
        return cls(**values)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def count(self, split: str) -> int | None:
        """The requested number of items, None for all."""
        check_split(split)
        count: int | None = getattr(self, split)
        return count


@dataclass(frozen=True)
class Card:
    """The description of a dataset, which is shown in the report and written to `card.json`.

    Attributes:
        name: the module's name.
        title: the name for readers.
        provenance: the origin of the data, and how they were processed.
        citation: the publication of the data's authors, empty for generated data.
        modalities: the names of the arrays that `load` returns, or a mapping of these names to their kinds (files of
            `mmbench.modalities`), or to mappings with `kind` and the array's own `classes`, `palette` or `labels`.
        classes: the names of the mask's classes by value; empty without masks.
        palette: the colour of each class, 0 to 255.
        labels: the names of the scene or object labels by value; empty if only the files have them.
        factors: the names of the columns of `factors`.
        download: the files to fetch, their source and size; empty for generated data.
        layout: the files that must be below the root.
        version: the version of the generator or of the reading rules; it is part of the arrays' identity.
        notes: further remarks for readers.
        dependence: the reason for which the items of a split are not independent, as intervals over images assume;
            empty if they are independent.
    """

    name: str
    title: str
    provenance: str
    licence: str
    citation: str = ""
    modalities: tuple[str, ...] | Mapping[str, Any] = ("image",)
    classes: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()
    labels: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    download: str = ""
    layout: str = ""
    version: int = 1
    notes: tuple[str, ...] = field(default=())
    dependence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The card as plain values for JSON."""
        return asdict(self)


def check_split(split: str) -> None:
    """Raise UserError unless `split` is train, validation or test."""
    if split not in SPLITS:
        raise UserError(f"split {split!r}: unknown{did_you_mean(split, SPLITS)}; known are {', '.join(SPLITS)}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` if a known word is close, else an empty text."""
    close = closest(str(word), known)
    return f"; did you mean {close!r}?" if close else ""


def data_root(settings: DataSettings, card: Card, create: bool = False) -> Path:
    """The folder of a dataset's files: `data.root`, or else `$MMBENCH_DATA/<name>`; it is made if `create` is true.

    Raises:
        UserError: there is no such folder; the message says what to download and where to put it.
    """
    base = os.environ.get("MMBENCH_DATA")
    root = settings.root or (os.path.join(base, card.name) if base else None)
    if root is not None and create:
        Path(root).expanduser().mkdir(parents=True, exist_ok=True)
    if root is not None and Path(root).expanduser().is_dir():
        return Path(root).expanduser()
    where = f"{root}: no such folder" if root else f"data.root: not set, and neither is MMBENCH_DATA, for {card.name}"
    place = root or f"a folder that data.root names, or <folder>/{card.name} with MMBENCH_DATA=<folder>"
    raise UserError(f"{where}; {card.download}; put it into {place} ({card.layout})")


def name_hash(name: str) -> bytes:
    """SHA-256 of a name; a file's name may have bytes that are not UTF-8."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).digest()


def hashed_order(names: Sequence[str]) -> list[int]:
    """Indices of `names` in the order of their SHA-256, which is fixed and unrelated to how the files were made."""
    return sorted(range(len(names)), key=lambda i: (name_hash(names[i]), names[i]))


def hashed_first(names: Iterable[str], count: int | None) -> tuple[list[str], int]:
    """The first `count` of different `names` (None: all) in the order of `hashed_order`, and the number of all names.

    At most `count` names are held in memory.
    """
    seen = 0

    def hashed() -> Iterator[tuple[bytes, str]]:
        nonlocal seen
        for name in names:
            seen += 1
            yield name_hash(name), name

    first = sorted(hashed()) if count is None else heapq.nsmallest(count, hashed())
    return [name for _, name in first], seen


def hashed_parts(name: str, available: int, split: str, share: int) -> list[int]:
    """The items of a split, where `validation` is one `share`-th of the training file and `test` is a separate file.

    The order is fixed by the hash of the item's number; the validation items are the last ones.
    """
    order = hashed_order([f"{name}/{i}" for i in range(available)])
    held = available // share
    return (
        order if split == "test" else order[available - held :] if split == "validation" else order[: available - held]
    )


def take(available: int, settings: DataSettings, split: str, where: object) -> int:
    """The number of items of a split to use; UserError if there are fewer than requested, or none at all."""
    wanted = settings.count(split)
    if available == 0 or (wanted is not None and wanted > available):
        raise UserError(f"data.{split}: {wanted or 'all'} items wanted but {where} has {available}; lower data.{split}")
    return available if wanted is None else wanted
