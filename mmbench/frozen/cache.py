"""A cache of the outputs of frozen networks on images: no network runs to score the same answers again.

An entry is `<folder>/<network>/<key>.npz`. Its key is a hash of all that determines its content, so an entry is never
out of date, only unused, and any entry may be deleted at any time.
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

#: Packages whose version may change the outputs or the inputs of a network.
PACKAGES = ("torch", "lpips", "open_clip_torch", "pillow")


@dataclass(frozen=True)
class Network:
    """What determines a network's outputs, apart from its inputs.

    Attributes:
        name: the name of the network and of its folder.
        weights_sha256: hash of its weights.
        device: type of the device that it computes on.
        code: files, below the checkout or absolute, of the code that prepares its inputs and runs it; what they import
            of the project counts too.
        task: the task, if the network has several.
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
        folder: the folder of the entries; None for no cache.
    """

    folder: Path | None = None

    def __call__(self, network: Network, inputs: Arrays, compute: Callable[[], Arrays]) -> Arrays:
        """The outputs of `compute` for `inputs`, from the cache if it has them undamaged."""
        if self.folder is None:
            return compute()
        path = self.folder / network.name / f"{network.key(inputs)}.npz"
        if path.is_file():
            try:
                return load_arrays(path)
            except UserError as error:
                print(f"{error}; computed again", flush=True)
        outputs = compute()
        save_arrays(path, outputs)
        return outputs
