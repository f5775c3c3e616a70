"""Segmentation: an image and its class map, each made from the other, or both drawn from noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case
from mmbench.experiments.modalities import of_card, picked
from mmbench.files.store import Arrays
from mmbench.method import Batch, Modality, Task

TASKS = {
    "segment": Task("segment", given=("image",), want=("mask",)),
    "paint": Task("paint", given=("mask",), want=("image",)),
    "generate": Task("generate", given=(), want=("image", "mask")),
}


def modalities(card: Mapping[str, Any]) -> dict[str, Modality]:
    """The image and its class map.

    Raises:
        UserError: the data set has no class maps.
    """
    found = of_card(card)
    if "mask" not in found:
        name = card.get("name", "the data set")
        raise UserError(
            f"data.name: {name} has no masks, which the experiment segmentation needs; choose a data set that has "
            "(docs/data.md), or take segmentation out of the profile's experiments"
        )
    return picked(found, "image", "mask")


def training_batch(batch: Batch, generator: torch.Generator) -> Batch:
    """The image and its mask, as the data set has them."""
    return {"image": batch["image"], "mask": batch["mask"]}


def cases(test: Arrays, settings: Mapping[str, Any]) -> list[Case]:
    """One case of each task, over the first test items.

    `segment` has `evaluate.reconstructions` items. `paint` and `generate` have `evaluate.samples`, because what they
    give is compared as a set; `paint` has no more than there are test masks.

    Raises:
        UserError: the data set has no class maps.
    """
    if "mask" not in test:
        raise UserError("data.name: the test split has no masks, which the experiment segmentation needs")
    evaluate = settings["evaluate"]
    image, mask = (test[name][: evaluate["reconstructions"]] for name in ("image", "mask"))
    painted, given = (test[name][: evaluate["samples"]] for name in ("image", "mask"))
    return [
        Case("segment", "segment", len(image), {"image": image}, {"mask": mask}),
        Case("paint", "paint", len(given), {"mask": given}, {"image": painted}),
        Case("generate", "generate", evaluate["samples"]),
    ]
