"""An extractor of a user: a Python file with `build()`, and its weights, which are loaded without running code."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mmbench.config.extractors import Described
from mmbench.errors import UserError


def load_network(about: Described, code: Path) -> nn.Module:
    """The network of a file of one's own with its weights: images (n, 3, h, w) in [0, 1] to features (n, d).

    Raises:
        UserError: the file needs a package that is not there, has no `build()` that returns a network, or the weights
            are not all of that network's and no more.
    """
    build = getattr(run_file(code), "build", None)
    net = build() if callable(build) else None
    if not isinstance(net, nn.Module):
        raise UserError(f"{code}: build: not a function that returns a torch.nn.Module; add one")
    state = read_state(about.weights)
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        wrong = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{code}: WEIGHTS: {about.weights} does not fit build(): {wrong}; correct one of them"
        ) from None
    return net


def run_file(path: Path) -> ModuleType:
    """Run a Python file as a module; UserError if it imports what is not installed."""
    name = f"mmbench_extractor_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise UserError(f"{path}: {error}; install it") from None
    return module


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a PyTorch file that holds tensors and nothing else.

    Raises:
        UserError: it is neither.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path}: holds more than tensors, or is damaged ({reason}); save its state_dict again"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: not a state_dict, names and tensors; save the state_dict of the network alone")
    return state
