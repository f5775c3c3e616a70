"""What frozen networks said of images, kept on file: to score the same answers again, no network runs.

An entry is `<folder>/<network>/<key>.npz`. Its key is a hash of all that decides what is in it, so an entry is never
out of date, only unused, and any of them may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mmbench.config.code_hash import code_hash
from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays, save_arrays, sha256_arrays
from mmbench.runs.provenance import version

ROOT = Path(__file__).parents[2]

#: Packages whose version may change what a network says, or what it is shown.
PACKAGES = ("torch", "lpips", "open_clip_torch", "pillow")


@dataclass(frozen=True)
class Network:
    """What decides a network's outputs, beside its inputs.

    Attributes:
        name: of the network, and of its folder.
        weights_sha256: hash of its weights.
        device: type of the device that it computes on.
        code: files, below the checkout or absolute, of the code that prepares its inputs and runs it; what they import
            of the project counts too.
        task: what it is asked, if it can be asked several things.
    """

    name: str
    weights_sha256: str
    device: str
    code: tuple[str, ...]
    task: str = ""

    def key(self, inputs: Arrays) -> str:
        """Hex SHA-256 of the inputs (types, shapes and values), the network, its code and the packages that run it."""
        about = {
            **asdict(self),
            "code": code_hash(ROOT, *self.code),
            "packages": {name: version(name) for name in PACKAGES},
            "inputs": sha256_arrays(inputs),
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class OutputCache:
    """Outputs of networks on file; several processes may share the folder.

    Attributes:
        folder: of the entries; None to keep nothing.
    """

    folder: Path | None = None

    def __call__(self, network: Network, inputs: Arrays, compute: Callable[[], Arrays]) -> Arrays:
        """What `compute` says of `inputs`, from file if it was asked before; a damaged entry is made anew.

        Args:
            network: what `compute` runs.
            inputs: all that it looks at, as stored arrays.
            compute: makes the outputs.
        """
        if self.folder is None:
            return compute()
        path = self.folder / network.name / f"{network.key(inputs)}.npz"
        if path.is_file():
            try:
                return load_arrays(path)
            except UserError as error:
                print(f"{error}; made anew", flush=True)
        outputs = compute()
        save_arrays(path, outputs)
        return outputs
