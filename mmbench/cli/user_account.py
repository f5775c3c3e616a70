"""A home and a name for a user who has none, as in a container that runs under a number that no one has there.

Snakemake does not start without a home that it may write to, and other programs ask for the name.
"""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def stand_in() -> Path:
    """The folder that serves as a home; that of a user, for all commands of his, and nobody else's."""
    return Path(tempfile.gettempdir(), f"mmbench-home-{os.getuid()}")


def is_home(folder: str | Path) -> bool:
    """Whether a folder, by its whole path, is there and can be written to."""
    return os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set HOME and USER where they, and the list of users, name nobody; for this process and all that it starts.

    Args:
        environment: whose HOME it is.
    """
    if not is_home(os.path.expanduser("~")):
        environment["HOME"] = str(_made(stand_in()))
    try:
        getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        environment["USER"] = f"uid{os.getuid()}"


def _made(folder: Path) -> Path:
    """The folder, made if need be; another of a new name if that one is not this user's alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid == os.getuid() and stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
