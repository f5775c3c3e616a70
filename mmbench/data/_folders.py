"""What lies in the folders of a data set: one way for all loaders, by which nothing is left out in silence.

What systems put beside pictures (`HIDDEN`, and all that begins with a dot) is nobody's data and is passed over. A
picture where none is read, or a folder among pictures, stops the run; files that are no pictures are counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmbench.errors import UserError
from mmbench.files.pictures import SUFFIXES

#: Files and folders that systems make, in lower case.
HIDDEN = ("@eadir", "#recycle", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini")


def entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder, as the system lists it, without what is hidden: there may be too many to hold.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as listed:
            yield from (e for e in listed if not e.name.startswith(".") and e.name.lower() not in HIDDEN)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; make it a folder that can be read") from None


def is_picture(name: str) -> bool:
    """Whether a file's suffix, in any case, is one of a picture."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def folders(folder: Path) -> Iterator[str]:
    """Names of the folders in a folder of folders; UserError if a picture lies beside them."""
    for entry in entries(folder):
        if entry.is_dir():
            yield entry.name
        elif is_picture(entry.name):
            raise UserError(f"{folder / entry.name}: a picture beside the folders of pictures; put it into one of them")


def pictures(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> Iterator[str]:
    """Names of the pictures in a folder, all of which must end so, in any case.

    Raises:
        UserError: there is a folder among them, or a picture whose name ends otherwise.
    """
    for entry in entries(folder):
        if entry.is_dir():
            raise UserError(f"{folder / entry.name}: a folder among pictures; move what it holds to {folder} or away")
        if entry.name.lower().endswith(tuple(suffix.lower() for suffix in suffixes)):
            yield entry.name
        elif is_picture(entry.name):
            raise UserError(f"{folder / entry.name}: does not end in {suffixes[0]}; convert it or move it away")


def pairs(frames: Path, maps: Path, ending: str, map_endings: Sequence[str]) -> list[tuple[Path, Path]]:
    """Pictures and their class maps, by the names of the frames; a map need not be there.

    Args:
        frames: folder of the pictures.
        maps: folder of the class maps.
        ending: of the pictures' names, in any case, after the name of the frame.
        map_endings: of the class maps' names, and of other pictures in their folder.

    Raises:
        UserError: as `pictures`, or a frame has two pictures or maps, or a class map has no picture.
    """
    pictured, mapped = _by_frame(frames, (ending,)), _by_frame(maps, map_endings)
    for frame in sorted(mapped.keys() - pictured.keys())[:1]:
        missing = frames / f"{frame}{ending}"
        raise UserError(f"{mapped[frame]}: class map without its picture {missing}; restore or remove it")
    return [(pictured[frame], mapped.get(frame, maps / f"{frame}{map_endings[0]}")) for frame in sorted(pictured)]


def _by_frame(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Pictures whose names have the first of the endings, by what stands before it."""
    paths: dict[str, Path] = {}
    for name in sorted(pictures(folder, endings)):
        frame = name[: -len(endings[0])]
        if name.lower().endswith(endings[0].lower()) and paths.setdefault(frame, folder / name) != folder / name:
            raise UserError(f"{folder / name}: is there beside {paths[frame]}; remove one of them")
    return paths


def count_others(folder: Path) -> Counter[str]:
    """How many files in a folder of pictures are none, by their suffixes."""
    names = (entry.name for entry in entries(folder) if not entry.is_dir() and not is_picture(entry.name))
    return Counter(os.path.splitext(name)[1].lower() or "(no suffix)" for name in names)
