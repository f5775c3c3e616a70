"""A small model of all modalities with random weights, as training leaves it, for tests of what asks a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbench.files.store import write_json
from mmbench.files.weights import save_weights
from mmbench.method import Modality, Spec, load_method

ROOT = Path(__file__).parents[1]
SIZE, DIM = 16, 6
CLASSES, PALETTE = ["sky", "road", "tree"], [[120, 180, 255], [90, 90, 90], [20, 120, 30]]
LABELS = ["day, clear", "day, fog", "night, clear"]
CARD = {"name": "toy", "title": "Toy", "classes": CLASSES, "palette": PALETTE, "labels": LABELS, "embedding": None}
MODALITIES = {
    "image": Modality("image", (3, SIZE, SIZE)),
    "mask": Modality("class_map", (SIZE, SIZE), 3),
    "label": Modality("label", (), 3),
    "embedding": Modality("vector", (DIM,)),
    "depth": Modality("depth", (SIZE, SIZE)),
    "masked_image": Modality("masked_image", (4, SIZE, SIZE)),
}
NETWORK = {"width": 8, "channel_mult": [1, 2], "layers": 1, "patch": 2, "attention": False}
WEIGHTS = {"mask": 0.1, "label": 0.1, "embedding": 0.1, "depth": 0.1}
SETTINGS = {
    "experiment": "joint",
    "method": "mt_diffusion",
    "network": NETWORK,
    "method_settings": {"weights": WEIGHTS},
}
FREE = ("image", "mask", "label", "embedding", "depth")


def write_model(folder: Path, *names: str, experiment: str = "joint", method: str = "mt_diffusion", **own: Any) -> Path:
    """A folder as training leaves it, with random weights (at first, heads are zero and answer the same to all)."""
    torch.manual_seed(0)
    modalities = {name: MODALITIES[name] for name in names}
    if method == "mt_diffusion":
        own = {"weights": {name: w for name, w in WEIGHTS.items() if name in names}, **own}
    base = method.partition("@")[0]
    file = ROOT / ("mmbench/models/mt_diffusion.py" if base == "mt_diffusion" else f"baselines/{experiment}/{base}.py")
    built = load_method(file, Spec(modalities, NETWORK, own))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_weights(folder / "weights.safetensors", built.state_dict())
    settings = {"experiment": experiment, "method": method, "network": NETWORK, "method_settings": own}
    described = {name: asdict(modality) for name, modality in modalities.items()}
    write_json(folder / "training.json", {"settings": settings, "modalities": described, "card": CARD, "seed": 0})
    return folder


def values(n: int = 2) -> dict[str, np.ndarray]:
    """Made-up items of every modality, as stored."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (n, 3, SIZE, SIZE), dtype=np.uint8)
    seen = rng.integers(0, 2, (n, 1, SIZE, SIZE), dtype=np.uint8)
    return {
        "image": image,
        "mask": rng.integers(0, 3, (n, SIZE, SIZE), dtype=np.uint8),
        "label": rng.integers(0, 3, n),
        "embedding": rng.normal(size=(n, DIM)).astype(np.float32),
        "depth": rng.uniform(1, 100, (n, SIZE, SIZE)).astype(np.float32),
        "masked_image": np.concatenate([image * seen, seen * 255], axis=1),
    }
