"""Embedding: an image and what a frozen network says of it, each made from the other, or both drawn from noise."""

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
    "embed": Task("embed", given=("image",), want=("embedding",)),
    "paint": Task("paint", given=("embedding",), want=("image",)),
    "generate": Task("generate", given=(), want=("image", "embedding")),
}


def modalities(card: Mapping[str, Any]) -> dict[str, Modality]:
    """The image and its embedding.

    Raises:
        UserError: the data folder has no embeddings.
    """
    found = of_card(card)
    if "embedding" not in found:
        name = card.get("name", "the data set")
        raise UserError(
            f"card.json: {name} has no embeddings here, which the experiment embedding needs; write them with "
            "`python -m mmbench.stages.embed` and name its folder as --data"
        )
    return picked(found, "image", "embedding")


def training_batch(batch: Batch, generator: torch.Generator) -> Batch:
    """The image and its embedding, as the data folder has them."""
    return {"image": batch["image"], "embedding": batch["embedding"]}


def cases(test: Arrays, settings: Mapping[str, Any]) -> list[Case]:
    """One case of each task, over the first test items.

    `embed` has `evaluate.reconstructions` items. `paint` and `generate` have `evaluate.samples`, because what they
    give is compared as a set; `paint` has no more than there are test embeddings.

    Raises:
        UserError: the data folder has no embeddings.
    """
    if "embedding" not in test:
        raise UserError("test.npz: has no embeddings; give the folder that the stage embed wrote as --data")
    evaluate = settings["evaluate"]
    image, embedding = (test[name][: evaluate["reconstructions"]] for name in ("image", "embedding"))
    painted, given = (test[name][: evaluate["samples"]] for name in ("image", "embedding"))
    return [
        Case("embed", "embed", len(image), {"image": image}, {"embedding": embedding}),
        Case("paint", "paint", len(given), {"embedding": given}, {"image": painted}),
        Case("generate", "generate", evaluate["samples"]),
    ]
