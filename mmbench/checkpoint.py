"""The state of an unfinished training, and the averaged weights it had on its way, until they are asked for.

All are safetensors, written atomically, and ignored when they are not this training's.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.tensors import save_weights

NAME = "checkpoint.safetensors"


def save_checkpoint(
    folder: Path, key: str, module: nn.Module, ema: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, log: dict
) -> None:
    """Keep everything that step `log["step"]` leaves behind: weights, their average, moments and the curve so far."""
    tensors = {f"module/{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"ema/{k}": v for k, v in ema.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": v for k, v in moments.items()}
    save_weights(folder / NAME, tensors, {"key": key, "log": json.dumps(log)})


def load_checkpoint(
    folder: Path, key: str, module: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore what `save_checkpoint` kept under the same key; None, and nothing touched, if there is nothing usable."""
    if (found := _read(folder / NAME, key)) is None:
        return None
    log, tensors = found
    module.load_state_dict({k.removeprefix("module/"): v for k, v in tensors.items() if k.startswith("module/")})
    for name, average in ema.items():
        average.copy_(tensors[f"ema/{name}"])
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, moment = name.split("/")
            if value.dim():  # the fused step reads moments in the memory order of their parameter
                value = torch.empty_like(parameters[int(index)]).copy_(value)  # noqa: PLW2901
            state.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return log


def _read(path: Path, key: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The log and the tensors of a file with this key; None if there is no such file or it is damaged."""
    try:
        with safe_open(path, framework="pt") as stored:
            if (stored.metadata() or {}).get("key") != key:
                return None
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
            return json.loads(stored.metadata()["log"]), tensors
    except (OSError, SafetensorError):
        return None


def snapshot_path(folder: Path, step: int) -> Path:
    """Where `save_snapshot` keeps what step `step` leaves behind."""
    return folder / f"at{step}.safetensors"


def save_snapshot(folder: Path, key: str, ema: Mapping[str, Tensor], log: dict) -> None:
    """Keep the averaged weights after step `log["step"]` and the curve so far."""
    save_weights(snapshot_path(folder, log["step"]), ema, {"key": key, "log": json.dumps(log)})


def load_snapshot(folder: Path, key: str, step: int, ema: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Fill `ema` with what `save_snapshot` kept of a step; None, and nothing touched, if there is nothing usable."""
    if (found := _read(snapshot_path(folder, step), key)) is None:
        return None
    log, tensors = found
    for name, average in ema.items():
        average.copy_(tensors[name])
    return log


def remove_snapshots(folder: Path) -> None:
    """Forget all that `save_snapshot` kept."""
    for path in folder.glob("at*.safetensors"):
        path.unlink()


def remove_checkpoint(folder: Path) -> None:
    """Forget what `save_checkpoint` kept."""
    (folder / NAME).unlink(missing_ok=True)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Be the only process at this training, so that one left over from a killed run cannot overwrite a newer one's.

    Raises:
        UserError: another process holds the lock. It ends with the process that holds it, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            raise UserError(
                f"{folder}: another process is at this training; wait for it or stop it (kill {held.read()})"
            ) from None
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield
