"""A home folder and a name for a user who has none, as in a container that runs under an unknown user number.

Snakemake does not start without a home folder that it may write to, and other programs need the name.
"""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def stand_in() -> Path:
    """The folder that serves as a home; it is the same for all commands of a user, and of no other user."""
    return Path(tempfile.gettempdir(), f"mmbench-home-{os.getuid()}")


def is_home(folder: str | Path) -> bool:
    """Whether a path is absolute and names a folder that can be written to."""
    return os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set HOME and USER in `environment` if the user has neither; they hold for this process and all that it starts."""
    if not is_home(os.path.expanduser("~")):
        environment["HOME"] = str(_made(stand_in()))
    try:
        getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        environment["USER"] = f"uid{os.getuid()}"


def _made(folder: Path) -> Path:
    """The folder, made if needed; a folder of a new name if others have access to it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid == os.getuid() and stat.S_ISDIR(status.st_mode) and not stat.S_IMODE(status.st_mode) & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
