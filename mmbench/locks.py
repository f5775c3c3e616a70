"""One process at a time for each job of a folder: one that a killed run has left behind is waited for."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mmbench.errors import UserError

POLL_SECONDS = 0.5


@contextmanager
def alone(folder: Path, job: str) -> Iterator[bool]:
    """Be the only process at `job` in `folder`; yields whether another one had to be waited for.

    Without it, a job that outlives a killed run could write over the results of the next. The lock ends with the
    process that holds it, however that ends; who is waited for, and how to stop it, is printed once.

    Raises:
        UserError: the file system knows no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, waited = folder / f".{job}.lock", False
    while (held := _acquired(path)) is None:
        if not waited:
            print(f"{folder}: another process is at this {job}, {_holder(path)}; waiting for it to end", flush=True)
        waited = True
        time.sleep(POLL_SECONDS)
    try:
        held.write(f"{os.getpid()} {socket.gethostname()}")
        held.flush()
        yield waited
    finally:
        path.unlink(missing_ok=True)
        held.close()


def _acquired(path: Path) -> TextIO | None:
    """The open file, locked; None while another process has the lock, or has just removed the file."""
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        same = False
    except OSError as error:
        file.close()
        raise UserError(
            f"{path}: cannot be locked ({error.strerror}); put the results on a file system that has locks"
        ) from None
    if not same:
        file.close()
        return None
    file.truncate(0)
    return file


def _holder(path: Path) -> str:
    """Who has the lock, as far as its file says."""
    try:
        number, _, host = path.read_text(encoding="utf-8").partition(" ")
    except OSError:
        number, host = "", ""
    return f"on {host}: kill {number} stops it" if number.isdecimal() else "which has just begun"
