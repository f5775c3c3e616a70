"""mmbench: a reproducible benchmark for multimodal, multitask diffusion models."""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "1.0.0"


def load(folder: str | os.PathLike[str], device: str = "auto") -> Any:
    """A trained model that answers in Python, see `mmbench.inference.model.Model` and docs/any-to-any.md.

    Args:
        folder: of one training, e.g. `results/quick/joint/mt_diffusion/seed0`.
        device: `auto` (a GPU if there is one), `cpu` or `cuda`.

    Raises:
        mmbench.errors.UserError: a file is missing or belongs to another version.
    """
    # Named by a text, so that importing the package stays cheap and no stage depends on the code behind it.
    return importlib.import_module("mmbench.inference.model").load(folder, device)
