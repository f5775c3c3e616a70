"""The files of a network's weights: safetensors, written atomically and loaded only if every tensor matches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.files.atomic import atomic_path


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, atomically."""
    whole = {k: v.detach().contiguous().cpu() for k, v in tensors.items()}
    with atomic_path(path) as temporary:
        # An empty header of metadata without tensors makes a file that cannot be read (safetensors issue 466).
        # save_file is not used, since it hides a full disk in another error, and leaves temporary files when killed.
        temporary.write_bytes(save(whole, dict(metadata) if metadata else None))


def load_weights(path: Path, module: nn.Module) -> None:
    """Load the weights of a file into `module`; UserError if it is missing, damaged, or of another network."""
    try:
        module.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights; train the method first") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable as safetensors ({error}); delete it and train again") from None
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(f"{path}: weights of another network ({reason}); delete them and train again") from None
