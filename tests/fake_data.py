"""What tests of the stages and of methods are made of: a data folder, settings of a training, a seeded generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbench.files.store import Arrays, save_arrays, sha256_arrays, write_json

#: The section `train` of a training of seconds, and a network of it.
TRAIN = {"steps": 6, "batch_size": 8, "learning_rate": 1e-3, "warmup": 2, "ema": 0.9, "precision": "fp32",
         "checkpoint_every": 2, "flip": False}  # fmt: skip
NETWORK = {"width": 8, "channel_mult": [1, 2], "patch": 2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coarse_images(count: int, seed: int, side: int = 32) -> np.ndarray:
    """Random images of 4 x 4 squares, uint8 (count, 3, side, side)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    return coarse.repeat(side // 4, axis=2).repeat(side // 4, axis=3)


def write_splits(folder: Path, splits: Mapping[str, Arrays], **card: Any) -> Path:
    """Write a prepared data folder of these arrays by split, with what its card says, and return it."""
    described = {}
    for split, arrays in splits.items():
        save_arrays(folder / f"{split}.npz", arrays)
        described[split] = {"count": len(next(iter(arrays.values()))), "sha256": sha256_arrays(arrays)}
    write_json(folder / "card.json", {**card, "splits": described})
    return folder
