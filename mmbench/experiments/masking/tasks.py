"""Masked reconstruction: an image and its masked copy, reconstructed from the copy or drawn from noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmbench.experiments.experiment import Case
from mmbench.experiments.modalities import of_card, picked
from mmbench.files.store import Arrays
from mmbench.method import Batch, Modality, Task

TASKS = {
    "reconstruct": Task("reconstruct", given=("masked_image",), want=("image",)),
    "generate": Task("generate", given=(), want=("image",)),
}

#: Patch masks hide cells of a grid this many cells wide, as in masked autoencoders (He et al. 2022).
GRID = 8


def modalities(card: Mapping[str, Any]) -> dict[str, Modality]:
    """The image and its masked copy."""
    return picked(of_card(card), "image", "masked_image")


def patch_mask(share: float, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Visibility (h, w) of 0/1 with `share` of the cells of a grid hidden; the count of cells is rounded."""
    cells = torch.ones(GRID * GRID)
    cells[torch.randperm(GRID * GRID, generator=generator)[: round(share * GRID * GRID)]] = 0
    return F.interpolate(cells.view(1, 1, GRID, GRID), size=(height, width), mode="nearest")[0, 0]


def box_mask(share: float, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Visibility (h, w) of 0/1 with one rectangle of area `share` hidden, its place and aspect drawn."""
    low = max(share, 0.5)  # height of the box as a share of the image's: both sides must fit
    tall = min(1.0, max(share, low + (1 - low) * float(torch.rand((), generator=generator))))
    tall = tall if torch.rand((), generator=generator) < 0.5 else share / tall
    h = min(height, max(1, round(tall * height)))
    w = min(width, max(1, round(share * height * width / h)))
    top = int(torch.randint(0, height - h + 1, (), generator=generator))
    left = int(torch.randint(0, width - w + 1, (), generator=generator))
    seen = torch.ones(height, width)
    seen[top : top + h, left : left + w] = 0
    return seen


def draw_masks(shares: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Visibility (n, 1, h, w): alternately patches and one box, each hiding its share (n,) of the pixels."""
    kinds = (patch_mask, box_mask)
    masks = [kinds[i % 2](float(share), height, width, generator) for i, share in enumerate(shares)]
    return torch.stack(masks)[:, None]


def hide(image: Tensor, seen: Tensor) -> Tensor:
    """The masked image (n, 4, h, w) of an image in [-1, 1] and its visibility (n, 1, h, w)."""
    return torch.cat([image * seen, seen], dim=1)


def hide_stored(image: np.ndarray, share: float, generator: torch.Generator) -> np.ndarray:
    """Masked images, uint8 (n, 4, h, w), of stored images, uint8 (n, 3, h, w), each with `share` of it hidden."""
    seen = draw_masks(torch.full((len(image),), share), image.shape[2], image.shape[3], generator)
    visible = seen.numpy().astype(np.uint8)
    return np.concatenate([image * visible, visible * 255], axis=1)


def training_batch(batch: Batch, generator: torch.Generator) -> Batch:
    """The image with a fresh mask for each item, hiding between 5 and 95 % of it."""
    image = batch["image"]
    shares = 0.05 + 0.9 * torch.rand(len(image), generator=generator)
    seen = draw_masks(shares, image.shape[2], image.shape[3], generator).to(image)
    return {"image": image, "masked_image": hide(image, seen)}


def cases(test: Arrays, settings: Mapping[str, Any]) -> list[Case]:
    """One case per masked share, over the same test images, and one of drawing from noise."""
    evaluate = settings["evaluate"]
    image = test["image"][: evaluate["reconstructions"]]
    generator = torch.Generator().manual_seed(0)  # the masks are part of the benchmark, not of a run
    found = []
    for share in settings["shares"]:
        given = hide_stored(image, share, generator)
        name = f"reconstruct-{round(100 * share)}"
        found.append(Case(name, "reconstruct", len(image), {"masked_image": given}, {"image": image}, {"share": share}))
    return [*found, Case("generate", "generate", evaluate["samples"])]
