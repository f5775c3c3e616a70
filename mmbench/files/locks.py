"""One process at a time for each job of a folder: one that a killed run has left behind is waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmbench.errors import UserError

POLL_SECONDS = 0.5


@contextmanager
def alone(folder: Path, job: str) -> Iterator[bool]:
    """Be the only process at `job` in `folder`; yields whether another one had to be waited for.

    Without it, a job that outlives a killed run could write over the results of the next. The lock is the kernel's and
    ends with the process that holds it, however that ends; who is waited for, and how to stop it, is printed once.

    Raises:
        UserError: the file system knows no locks.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, waited = folder / f".{job}.lock", False
    lock = FileLock(path, poll_interval=POLL_SECONDS, fallback_to_soft=False)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            waited = True
            print(f"{folder}: another process is at this {job}, {_holder(path)}; waiting for it to end", flush=True)
            lock.acquire()
    except OSError as error:
        if error.filename:
            raise
        raise UserError(
            f"{path}: cannot be locked ({error.strerror}); put the results on a file system that has locks"
        ) from None
    try:
        path.write_text(f"{os.getpid()} {socket.gethostname()}", encoding="utf-8")
        yield waited
    finally:
        path.unlink(missing_ok=True)  # before the release: who waits for a file without a name opens a new one
        lock.release()


def _holder(path: Path) -> str:
    """Who has the lock, as far as its file says."""
    try:
        number, _, host = path.read_text(encoding="utf-8", errors="replace").partition(" ")
    except OSError:
        number, host = "", ""
    known = number.isdecimal() and host.isprintable()
    return f"on {host}: kill {number} stops it" if known else "which has just begun"
