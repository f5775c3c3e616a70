"""One process at a time for each job of a folder: one that a killed run has left behind is waited for."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        _write_holder(held, path)
        yield waited
    finally:
        path.unlink(missing_ok=True)
        os.close(held)


def _acquired(path: Path) -> int | None:
    """The open file, locked; None while another process has the lock, or has just removed the file."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(handle), path.stat())
    except (BlockingIOError, FileNotFoundError):
        same = False
    except OSError as error:
        os.close(handle)
        raise UserError(
            f"{path}: cannot be locked ({error.strerror}); put the results on a file system that has locks"
        ) from None
    if not same:
        os.close(handle)
        return None
    return handle


def _write_holder(handle: int, path: Path) -> None:
    """Say in the lock's file who has it."""
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()} {socket.gethostname()}".encode())
    except OSError as error:  # the disk is full
        error.filename = str(path)
        raise


def _holder(path: Path) -> str:
    """Who has the lock, as far as its file says."""
    try:
        number, _, host = path.read_text(encoding="utf-8", errors="replace").partition(" ")
    except OSError:
        number, host = "", ""
    known = number.isdecimal() and host.isprintable()
    return f"on {host}: kill {number} stops it" if known else "which has just begun"
