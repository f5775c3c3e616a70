"""The provenance of a result: code, settings, inputs, packages and machine."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import mmbench
from mmbench.files.store import sha256_file

PACKAGES = ("torch", "torchvision", "lpips", "torchmetrics", "numpy", "scipy", "scikit-image", "snakemake")


def git(*arguments: str) -> str | None:
    """The output of a git command about this checkout; None without git or outside a checkout."""
    folder = Path(mmbench.__file__).parent
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """The processor's name, or its architecture if the system does not know the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def lock_sha256() -> str | None:
    """Hash of the checkout's requirements.lock, which need not be installed; None outside a checkout."""
    path = Path(mmbench.__file__).parents[1] / "requirements.lock"
    return sha256_file(path) if path.is_file() else None


def version(package: str) -> str | None:
    """A package's installed version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def provenance(settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Everything that may distinguish how two results were made.

    Args:
        settings: the settings of the stage, of which the hash is recorded.
        inputs: the files that the stage read, of which the hashes are recorded.
    """
    status = git("status", "--porcelain", "--untracked-files=no")
    return {
        "mmbench": mmbench.__version__,
        "git_sha": git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "lock_sha256": lock_sha256(),
        "settings_sha256": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        "inputs_sha256": {name: sha256_file(path) for name, path in inputs.items()},
        "packages": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
