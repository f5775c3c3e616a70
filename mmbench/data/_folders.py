"""The listing of a data set's folders, the same for all loaders, so that no image is left out without notice.

Files that operating systems create (`HIDDEN`, and names that begin with a dot) are ignored. An image in a place where
none is read, or a folder among images, is an error; files that are not images are counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmbench.errors import UserError
from mmbench.files.pictures import SUFFIXES

#: The files and folders that operating systems create, in lower case.
HIDDEN = ("@eadir", "#recycle", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini")


def entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder, without hidden ones, in the system's order; UserError if the folder cannot be read.

    They are yielded one by one, since there may be too many to hold.
    """
    try:
        with os.scandir(folder) as listed:
            yield from (e for e in listed if not e.name.startswith(".") and e.name.lower() not in HIDDEN)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; make it a folder that can be read") from None


def is_picture(name: str) -> bool:
    """Whether a file has the suffix of an image, in upper or lower case."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def folders(folder: Path) -> Iterator[str]:
    """The names of the folders in a folder; UserError if an image lies beside them."""
    for entry in entries(folder):
        if entry.is_dir():
            yield entry.name
        elif is_picture(entry.name):
            raise UserError(f"{folder / entry.name}: an image beside the folders of images; put it into one of them")


def pictures(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> Iterator[str]:
    """The names of the images in a folder, all of which must have one of the suffixes, in upper or lower case.

    Raises:
        UserError: there is a folder among them, or an image with another suffix.
    """
    for entry in entries(folder):
        if entry.is_dir():
            raise UserError(f"{folder / entry.name}: a folder among images; move what it holds to {folder} or away")
        if entry.name.lower().endswith(tuple(suffix.lower() for suffix in suffixes)):
            yield entry.name
        elif is_picture(entry.name):
            raise UserError(f"{folder / entry.name}: does not end in {suffixes[0]}; convert it or move it away")


def pairs(frames: Path, maps: Path, ending: str, map_endings: Sequence[str]) -> list[tuple[Path, Path]]:
    """The images and their class maps, matched by the names of the frames; a class map may be missing.

    Args:
        frames: folder of the images.
        maps: folder of the class maps.
        ending: the end of the images' names, in any case, after the name of the frame.
        map_endings: the end of the class maps' names, then those of other images in their folder.

    Raises:
        UserError: see `pictures`; or a frame has two images or maps, or a class map has no image.
    """
    pictured, mapped = _by_frame(frames, (ending,)), _by_frame(maps, map_endings)
    for frame in sorted(mapped.keys() - pictured.keys())[:1]:
        missing = frames / f"{frame}{ending}"
        raise UserError(f"{mapped[frame]}: class map without its image {missing}; restore or remove it")
    return [(pictured[frame], mapped.get(frame, maps / f"{frame}{map_endings[0]}")) for frame in sorted(pictured)]


def _by_frame(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """The images whose names have the first of the endings, by the part of the name before it."""
    paths: dict[str, Path] = {}
    for name in sorted(pictures(folder, endings)):
        frame = name[: -len(endings[0])]
        if name.lower().endswith(endings[0].lower()) and paths.setdefault(frame, folder / name) != folder / name:
            raise UserError(f"{folder / name}: exists beside {paths[frame]}; remove one of them")
    return paths


def count_others(folder: Path) -> Counter[str]:
    """The numbers of files in a folder that are not images, by suffix."""
    names = (entry.name for entry in entries(folder) if not entry.is_dir() and not is_picture(entry.name))
    return Counter(os.path.splitext(name)[1].lower() or "(no suffix)" for name in names)
