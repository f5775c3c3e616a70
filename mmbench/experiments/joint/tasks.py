"""Joint: image, mask, label and embedding at once, any of them made from any others, and masked images filled in.

The data set says which of the four there are; with one more or fewer, the tasks are the same with more or less wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mmbench.experiments.experiment import Case
from mmbench.experiments.masking import tasks as masking
from mmbench.experiments.modalities import of_card
from mmbench.files.store import Arrays
from mmbench.method import Batch, Modality, Task

#: What can be given or drawn, and the masked image. A model of all learns each: to generate the image, and to recover
#: or be told every other.
MODALITIES = ("image", "mask", "label", "embedding", "masked_image")

TASKS = {
    "generate": Task("generate", given=(), want=("image", "mask", "label", "embedding")),
    "from_image": Task("from_image", given=("image",), want=("mask", "label", "embedding")),
    "from_mask": Task("from_mask", given=("mask",), want=("image", "label", "embedding")),
    "from_label": Task("from_label", given=("label",), want=("image", "mask", "embedding")),
    "from_embedding": Task("from_embedding", given=("embedding",), want=("image", "mask", "label")),
    "from_image_mask": Task("from_image_mask", given=("image", "mask"), want=("label", "embedding")),
    "from_image_label": Task("from_image_label", given=("image", "label"), want=("mask", "embedding")),
    "from_image_embedding": Task("from_image_embedding", given=("image", "embedding"), want=("mask", "label")),
    "from_mask_label": Task("from_mask_label", given=("mask", "label"), want=("image", "embedding")),
    "from_mask_embedding": Task("from_mask_embedding", given=("mask", "embedding"), want=("image", "label")),
    "from_label_embedding": Task("from_label_embedding", given=("label", "embedding"), want=("image", "mask")),
    "from_image_mask_label": Task("from_image_mask_label", given=("image", "mask", "label"), want=("embedding",)),
    "from_image_mask_embedding": Task(
        "from_image_mask_embedding", given=("image", "mask", "embedding"), want=("label",)
    ),
    "from_image_label_embedding": Task(
        "from_image_label_embedding", given=("image", "label", "embedding"), want=("mask",)
    ),
    "from_mask_label_embedding": Task(
        "from_mask_label_embedding", given=("mask", "label", "embedding"), want=("image",)
    ),
    "reconstruct": Task("reconstruct", given=("masked_image",), want=("image", "mask", "label", "embedding")),
}


def modalities(card: Mapping[str, Any]) -> dict[str, Modality]:
    """Those of the four that the data set has, and the masked image."""
    return of_card(card)


def training_batch(batch: Batch, generator: torch.Generator) -> Batch:
    """What the data set has of the four, and a masked image with a fresh mask for each item."""
    own = {name: batch[name] for name in MODALITIES if name in batch}
    return own | masking.training_batch(batch, generator)


def cases(test: Arrays, settings: Mapping[str, Any]) -> list[Case]:
    """One case for each task whose given modalities there are, over the first test items; it wants what there is.

    Those given the image, or its masked copy, have `evaluate.reconstructions` items. Those that draw it have
    `evaluate.samples`, because images are compared as a set: if anything is given, no more than there are.

    Args:
        test: the test split.
        settings: `evaluate`; `share`, how much of a masked image is hidden; `modalities`, those to use, without which
            all are used that the split has.
    """
    used = settings.get("modalities") or [*test, "masked_image"]
    counts = settings["evaluate"]
    found = []
    for name, task in TASKS.items():
        want = tuple(other for other in task.want if other in used)
        if not want or not set(task.given) <= set(used):
            continue
        if not task.given:
            found.append(Case(name, name, counts["samples"], want=want))
            continue
        draws = "image" in want and "masked_image" not in task.given
        items = {other: array[: counts["samples" if draws else "reconstructions"]] for other, array in test.items()}
        truth = {other: items[other] for other in want}
        given = {other: items[other] for other in task.given if other in items}
        detail = {}
        if "masked_image" in task.given:
            generator = torch.Generator().manual_seed(0)  # the masks are part of the benchmark, not of a run
            given = {"masked_image": masking.hide_stored(items["image"], settings["share"], generator)}
            detail = {"share": settings["share"]}
        found.append(Case(name, name, len(items["image"]), given, truth, detail, want))
    return found
