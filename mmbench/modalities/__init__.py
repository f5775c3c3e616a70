"""The kinds of modality, one file each: adding a file `<kind>.py` adds a kind, and the file holds all of its code.

A kind's file has a class `Kind`, derived from `mmbench.modalities._kind.Kind`, and a constant `MISSING` if an item may
lack such a modality. The *name* of a modality is free: a data set's card gives the kind of each name; a name without
one has the kind of the same name. No other code of the project depends on a kind or on a name.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.errors import UserError, near

if TYPE_CHECKING:
    from mmbench.modalities._kind import Kind

FOLDER = Path(__file__).parent
#: Kinds by their names in files of earlier versions, which are also the usual names of such modalities.
FORMER = {"mask": "class_map", "embedding": "vector"}
MIRRORED = (
    "_mirrored"  # <modality>_mirrored: the values of mirrored images in a modality that cannot be mirrored itself
)


@dataclass(frozen=True)
class Modality:
    """The kind and shape of one modality's tensor.

    Attributes:
        kind: a file of `mmbench.modalities`, whose class has the code of the kind (`kind_of`).
        shape: shape of one item, as stored, without the first axis.
        classes: number of classes, where the kind has them.

    Raises:
        UserError: there is no such kind.
    """

    kind: str
    shape: tuple[int, ...]
    classes: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (known := names()):
            raise UserError(f"kind '{self.kind}' does not exist{near(self.kind, known)}; there are {', '.join(known)}")


@dataclass(frozen=True)
class Task:
    """A task: which modalities are inputs (`given`) and which are outputs (`want`)."""

    name: str
    given: tuple[str, ...]
    want: tuple[str, ...]


def names() -> list[str]:
    """The names of all kinds, sorted."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


@cache
def kind_of(modality: Modality) -> Kind:
    """The object of the kind of a modality, for that modality."""
    kind: Kind = class_of(modality.kind)(modality)
    return kind


def class_of(kind: str) -> type[Kind]:
    """The class of a kind."""
    kind_class: type[Kind] = importlib.import_module(f"{__name__}.{kind}").Kind
    return kind_class


def default_kind(name: str) -> str | None:
    """The kind of a modality of which only the name is known; None if no kind has that name."""
    kind = FORMER.get(name, name)
    return kind if kind in names() else None


def can_be_missing(kind: str, folder: Path = FOLDER) -> bool:
    """Whether an item may lack a modality of this kind, read from its file in a folder of kinds without running it."""
    return bool(re.search(r"^MISSING\b", (folder / f"{kind}.py").read_text(encoding="utf-8"), flags=re.MULTILINE))


def of_record(entry: Mapping[str, Any]) -> Modality:
    """The modality that an entry of a training.json describes, which may be of an earlier version."""
    return Modality(FORMER.get(entry["kind"], entry["kind"]), tuple(entry["shape"]), entry["classes"])


def facts_of(card: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entries of a data set's card on one modality, added to those on all: classes, palette, labels, size."""
    listed = card.get("modalities")
    sources = [card.get(name), listed.get(name) if isinstance(listed, Mapping) else None]
    entries = {key: value for entry in sources if isinstance(entry, Mapping) for key, value in entry.items()}
    arrays = card.get("splits", {}).get("train", {}).get("arrays", {})
    shape = {"shape": arrays[name]["shape"][1:]} if name in arrays else {}
    return {**{key: value for key, value in card.items() if key != "size"}, **shape, **entries}


def of_card(card: Mapping[str, Any]) -> dict[str, Modality]:
    """The learnable modalities of the data set that `card` describes, the image first."""
    modalities = {}
    for name, kind in {"image": "image", **kinds_of_card(card)}.items():
        modality = class_of(kind).from_card(facts_of(card, name), tuple(card["size"]))
        if modality and kind_of(modality).learnable:
            modalities[name] = modality
    return modalities


def kinds_of_card(card: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each modality that a card names; a name without a kind belongs to an array that is not a modality.

    Raises:
        UserError: there is no such kind.
    """
    listed = card.get("modalities") or ()
    by_name = listed if isinstance(listed, Mapping) else dict.fromkeys(listed)
    kinds = {}
    for name, entry in by_name.items():
        kind = (entry.get("kind") if isinstance(entry, Mapping) else entry) or default_kind(name)
        if kind is not None and kind not in names():
            known = ", ".join(names())
            raise UserError(f"card.json: modalities.{name}: kind '{kind}' does not exist; there are {known}")
        if kind is not None:
            kinds[name] = kind
    return kinds
