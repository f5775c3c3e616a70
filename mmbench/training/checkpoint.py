"""The state of an unfinished training run, and snapshots of its averaged weights.

All are safetensors, written atomically, and ignored if they belong to another training run or were altered. The last
two states are kept: if the newer one is damaged, the older one is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mmbench.files.store import sha256_arrays
from mmbench.files.weights import save_weights
from mmbench.training.adam import Adam

NAME, OLDER, NEW = (f"checkpoint{suffix}.safetensors" for suffix in ("", "-older", "-new"))
#: What the log of a training always has.
LOGGED = {"step", "seconds", "flops_per_step", "curve", "validation_curve", "gradient_cosines"}


def save_checkpoint(
    folder: Path, key: str, module: nn.Module, ema: Mapping[str, Tensor], optimizer: Adam, log: dict
) -> None:
    """Store the state after step `log["step"]`: weights, their average, moments and the curve so far.

    The state that was stored before becomes the older one.
    """
    tensors = _weights(module, ema)
    for index, moments in optimizer.state.items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
    _write(folder / NEW, key, tensors, log)
    if (folder / NAME).exists():
        os.replace(folder / NAME, folder / OLDER)
    os.replace(folder / NEW, folder / NAME)


def load_checkpoint(
    folder: Path, key: str, module: nn.Module, ema: dict[str, Tensor], optimizer: Adam
) -> dict[str, Any] | None:
    """Restore the newest intact state that `save_checkpoint` stored under the same key.

    Returns None and changes nothing if there is no usable state; a file that exists and is not used is reported.
    """
    weights, moments = _weights(module, ema), _moments(optimizer)
    for name in (NAME, OLDER):
        if checkpoint := _read(folder / name, key, weights, moments):
            break
    else:
        return None
    log, tensors = checkpoint
    module.load_state_dict({k.removeprefix("module/"): v for k, v in tensors.items() if k.startswith("module/")})
    for name, average in ema.items():
        average.copy_(tensors[f"ema/{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, like in moments.items():
        if name in tensors:  # in the memory format of its parameter, which the fused step needs
            _, index, moment = name.split("/")
            state.setdefault(int(index), {})[moment] = torch.empty_like(like).copy_(tensors[name])
    optimizer.state = state
    return log


def _weights(module: nn.Module, ema: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights and their average, by their names in a checkpoint."""
    tensors = {f"module/{name}": value for name, value in module.state_dict().items()}
    return tensors | {f"ema/{name}": value for name, value in ema.items()}


def _moments(optimizer: Adam) -> dict[str, Tensor]:
    """The form of the state of an optimizer, by its names in a checkpoint; a parameter without updates has none."""
    likes: dict[str, Tensor] = {}
    for index, parameter in enumerate(optimizer.parameters):
        kinds = {"step": torch.zeros((), device=parameter.device), "exp_avg": parameter, "exp_avg_sq": parameter}
        likes |= {f"optimizer/{index}/{name}": like.detach() for name, like in kinds.items()}
    return likes


def _write(path: Path, key: str, tensors: Mapping[str, Tensor], log: dict) -> None:
    """Write the file that `_read` reads, with a hash of its content."""
    whole, text = {name: value.detach().cpu() for name, value in tensors.items()}, json.dumps(log)
    save_weights(path, whole, {"key": key, "log": text, "sha256": _digest(text, whole)})


def _digest(log: str, tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of a log and of tensors; after a power cut a file may have its full length without its content."""
    raw = {
        f"{name}|{value.dtype}|{tuple(value.shape)}": value.contiguous().reshape(-1).view(torch.uint8).numpy()
        for name, value in tensors.items()
    }
    return hashlib.sha256(f"{log}|{sha256_arrays(raw)}".encode()).hexdigest()


def _read(
    path: Path, key: str, required: Mapping[str, Tensor], allowed: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The log and the tensors of a file with this key that has all required tensors and none that is not allowed.

    Both arguments also set the shapes. None if there is no such file; a damaged or foreign file is reported.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            about = stored.metadata() or {}
            if about.get("key") != key:
                print(f"{path}: of other settings, code or data; not used", flush=True)
                return None
            log = json.loads(about["log"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
        if not isinstance(log, dict) or not log.keys() >= LOGGED or not isinstance(log["step"], int):
            raise ValueError("no log of a training")
        shapes = {name: value.shape for name, value in {**required, **allowed}.items()}
        for name in {**required, **tensors}:
            if name not in tensors or tensors[name].shape != shapes.get(name):
                raise ValueError(f"'{name}' is of another network")
        if about.get("sha256") != _digest(about["log"], tensors):
            raise ValueError("its content is not what was written")
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError, RecursionError) as error:
        print(f"{path}: damaged ({' '.join(str(error).split())}); not used", flush=True)
        return None
    return log, tensors


def snapshot_path(folder: Path, step: int) -> Path:
    """The file of the snapshot after step `step`."""
    return folder / f"at{step}.safetensors"


def save_snapshot(folder: Path, key: str, ema: Mapping[str, Tensor], log: dict) -> None:
    """Keep the averaged weights after step `log["step"]` and the curve so far."""
    _write(snapshot_path(folder, log["step"]), key, ema, log)


def load_snapshot(folder: Path, key: str, step: int, ema: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Fill `ema` with the snapshot of a step; returns None and changes nothing if there is no usable snapshot."""
    if (snapshot := _read(snapshot_path(folder, step), key, ema, {})) is None:
        return None
    log, tensors = snapshot
    for name, average in ema.items():
        average.copy_(tensors[name])
    return log


def remove_snapshots(folder: Path) -> None:
    """Delete all snapshots."""
    for path in folder.glob("at*.safetensors"):
        path.unlink()


def remove_checkpoint(folder: Path) -> None:
    """Delete the checkpoint."""
    for name in (NAME, OLDER, NEW):
        (folder / name).unlink(missing_ok=True)
