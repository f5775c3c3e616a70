"""Locks that let one process at a time do a job in a folder; a process that a killed run has left is waited for."""

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
    """Hold the lock of `job` in `folder`; yields whether this process had to wait for another one.

    Without the lock, a job that outlives a killed run could overwrite the results of the next run. The kernel releases
    the lock when the process that holds it ends. The process that is waited for is printed once, with how to stop it.

    Raises:
        UserError: the file system has no locks.
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
        path.unlink(missing_ok=True)  # before the release: a process that waits for it then opens a new file
        lock.release()


def _holder(path: Path) -> str:
    """The process that holds the lock, as far as the lock's file names it."""
    try:
        number, _, host = path.read_text(encoding="utf-8", errors="replace").partition(" ")
    except OSError:
        number, host = "", ""
    known = number.isdecimal() and host.isprintable()
    return f"on {host}: kill {number} stops it" if known else "which has just begun"
