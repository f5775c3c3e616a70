"""The cases of masked reconstruction: test images with different shares of their pixels hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mmbench.experiments.experiment import Case
from mmbench.files.store import Arrays
from mmbench.modalities import Modality
from mmbench.modalities.masked_image import hide_stored


def cases(test: Arrays, modalities: Mapping[str, Modality], settings: Mapping[str, Any]) -> list[Case]:
    """One case per masked share, over the same test images, and one of generation from noise."""
    evaluate = settings["evaluate"]
    image = test["image"][: evaluate["reconstructions"]]
    generator = torch.Generator().manual_seed(0)  # the masks are part of the benchmark, not of a run
    asked = []
    for share in settings["shares"]:
        given = hide_stored(image, share, generator)
        name = f"reconstruct-{round(100 * share)}"
        asked.append(Case(name, "reconstruct", len(image), {"masked_image": given}, {"image": image}, {"share": share}))
    return [*asked, Case("generate", "generate", evaluate["samples"])]
