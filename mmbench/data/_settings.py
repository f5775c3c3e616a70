"""What every dataset is asked with, and what every dataset says about itself."""

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
#: The class of a mask's pixel that has none.
IGNORED = 255
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class DataSettings:
    """The `data` section of a profile.

    Attributes:
        name: a module of `mmbench.data`.
        size: height and width in pixels; one number means square.
        train: number of training items, None for all there are; likewise `validation` and `test`.
        root: folder of the files; None means `$MMBENCH_DATA/<name>`.
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
        """Read a `data` section.

        Raises:
            UserError: a key is unknown or a value makes no sense; the message names it.
        """
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
        """Number of items asked for, None for all."""
        check_split(split)
        count: int | None = getattr(self, split)
        return count


@dataclass(frozen=True)
class Card:
    """What a dataset is: shown in the report and written to `card.json`.

    Attributes:
        name: the module's name.
        title: for a reader.
        provenance: where the data come from and how they got here.
        licence: of the data.
        citation: of the data's authors, empty for generated data.
        modalities: names of the arrays that `load` returns, or a mapping of them to their kinds, files of
            `mmbench.modalities`; or of its `kind` and `classes`, `palette`, `labels` of its own.
        classes: names of the mask's classes by value; empty without masks.
        palette: a colour for each of them, 0 to 255.
        labels: names of the scene or object labels by value; empty if only the files tell.
        factors: names of the columns of `factors`.
        download: what to fetch, from where, how large; empty for generated data.
        layout: which files must lie below the root.
        version: of the generator or of the reading rules; part of the identity of the arrays.
        notes: what else a reader must know.
        dependence: why the items of a split are not independent, as intervals over images take them to be; empty if
            they are.
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
        """Plain values for JSON."""
        return asdict(self)


def check_split(split: str) -> None:
    """Raise UserError unless `split` is train, validation or test."""
    if split not in SPLITS:
        raise UserError(f"split {split!r}: unknown{did_you_mean(split, SPLITS)}; known are {', '.join(SPLITS)}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` if something known is close, else nothing."""
    close = closest(str(word), known)
    return f"; did you mean {close!r}?" if close else ""


def data_root(settings: DataSettings, card: Card, create: bool = False) -> Path:
    """Folder of a dataset's files: `data.root`, else `$MMBENCH_DATA/<name>`; made if `create`.

    Raises:
        UserError: neither is there; says what to download, from where, how large, and where to put it.
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
    """SHA-256 of a name, which may be a file's whose bytes are no UTF-8."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).digest()


def hashed_order(names: Sequence[str]) -> list[int]:
    """Indices of `names` in the order of their SHA-256: fixed, and unrelated to how the files were made."""
    return sorted(range(len(names)), key=lambda i: (name_hash(names[i]), names[i]))


def hashed_first(names: Iterable[str], count: int | None) -> tuple[list[str], int]:
    """The first `count` of different `names` (None: all) in the order of `hashed_order`, and how many names there are.

    No more than `count` names are held.
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
    """Items of a split where `validation` is one `share`-th of the training file and `test` a file of its own.

    The order is fixed by the hash of the item's number; validation is its last part.
    """
    order = hashed_order([f"{name}/{i}" for i in range(available)])
    held = available // share
    return (
        order if split == "test" else order[available - held :] if split == "validation" else order[: available - held]
    )


def take(available: int, settings: DataSettings, split: str, where: object) -> int:
    """Number of items of a split to use; UserError if there are fewer than asked for, or none at all."""
    wanted = settings.count(split)
    if available == 0 or (wanted is not None and wanted > available):
        raise UserError(f"data.{split}: {wanted or 'all'} items wanted but {where} has {available}; lower data.{split}")
    return available if wanted is None else wanted
