"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends, and is removed when the block fails.

    A reader therefore sees the old file or the complete new one, even after a full disk, a kill or a power cut. The
    temporary files of killed processes are removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _sweep(path)
        temporary, held = _claim(path)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        yield temporary
        _sync(temporary)  # otherwise a power cut may leave an empty file of this name
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(held)


def _claim(path: Path) -> tuple[Path, int]:
    """A new file beside `path`, locked while its writer lives, so that no other process removes it."""
    while True:
        temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        try:  # with the usual mode of new files, so that others may read it
            held = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        with suppress(OSError):  # some network file systems have no locks, and then nothing is swept
            fcntl.flock(held, fcntl.LOCK_EX)
        if os.fstat(held).st_nlink:  # not swept before it was locked
            return temporary, held
        os.close(held)


def _sweep(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` have left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"):
        with suppress(OSError), left.open("r+b") as stream:  # another process may be sweeping too
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do this to a folder
            raise
    finally:
        os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically; bytes of a file's name that are not UTF-8 are written as `\\udcff`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
