"""The state of an unfinished training, and the averaged weights it had on its way, until they are asked for.

All are safetensors, written atomically, and ignored when they are not this training's or not as they were written. The
last two states are kept: if the newer one is damaged, the older one serves.
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
    """Keep everything that step `log["step"]` leaves behind: weights, their average, moments and the curve so far.

    What was kept before is the older state from then on.
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
    """Restore the newest state that `save_checkpoint` kept under the same key and that is whole.

    None, and nothing touched, if there is nothing usable; that a file is there and is not used is printed.
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
        if name in tensors:  # in the memory order of its parameter, as the fused step reads it
            _, index, moment = name.split("/")
            state.setdefault(int(index), {})[moment] = torch.empty_like(like).copy_(tensors[name])
    optimizer.state = state
    return log


def _weights(module: nn.Module, ema: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights and their average, by their names in a checkpoint."""
    tensors = {f"module/{name}": value for name, value in module.state_dict().items()}
    return tensors | {f"ema/{name}": value for name, value in ema.items()}


def _moments(optimizer: Adam) -> dict[str, Tensor]:
    """What the state of an optimizer looks like, by its names in a checkpoint; of a parameter at rest there is none."""
    likes: dict[str, Tensor] = {}
    for index, parameter in enumerate(optimizer.parameters):
        kinds = {"step": torch.zeros((), device=parameter.device), "exp_avg": parameter, "exp_avg_sq": parameter}
        likes |= {f"optimizer/{index}/{name}": like.detach() for name, like in kinds.items()}
    return likes


def _write(path: Path, key: str, tensors: Mapping[str, Tensor], log: dict) -> None:
    """Write what `_read` reads, with a hash of all of it."""
    whole, text = {name: value.detach().cpu() for name, value in tensors.items()}, json.dumps(log)
    save_weights(path, whole, {"key": key, "log": text, "sha256": _digest(text, whole)})


def _digest(log: str, tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of a log and of tensors; a file may have its length and not its content after a power cut."""
    raw = {
        f"{name}|{value.dtype}|{tuple(value.shape)}": value.contiguous().reshape(-1).view(torch.uint8).numpy()
        for name, value in tensors.items()
    }
    return hashlib.sha256(f"{log}|{sha256_arrays(raw)}".encode()).hexdigest()


def _read(
    path: Path, key: str, required: Mapping[str, Tensor], allowed: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The log and the tensors of a file with this key that has all that are required, and no others than are allowed.

    Both say the shapes, too. None if there is no such file; if it is damaged or another's, that is printed.
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
    """Where `save_snapshot` keeps what step `step` leaves behind."""
    return folder / f"at{step}.safetensors"


def save_snapshot(folder: Path, key: str, ema: Mapping[str, Tensor], log: dict) -> None:
    """Keep the averaged weights after step `log["step"]` and the curve so far."""
    _write(snapshot_path(folder, log["step"]), key, ema, log)


def load_snapshot(folder: Path, key: str, step: int, ema: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Fill `ema` with what `save_snapshot` kept of a step; None, and nothing touched, if there is nothing usable."""
    if (snapshot := _read(snapshot_path(folder, step), key, ema, {})) is None:
        return None
    log, tensors = snapshot
    for name, average in ema.items():
        average.copy_(tensors[name])
    return log


def remove_snapshots(folder: Path) -> None:
    """Forget all that `save_snapshot` kept."""
    for path in folder.glob("at*.safetensors"):
        path.unlink()


def remove_checkpoint(folder: Path) -> None:
    """Forget what `save_checkpoint` kept."""
    for name in (NAME, OLDER, NEW):
        (folder / name).unlink(missing_ok=True)
