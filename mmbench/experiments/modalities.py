"""What each modality of a data set looks like, as its card says; the same in every experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmbench.method import Modality


def of_card(card: Mapping[str, Any]) -> dict[str, Modality]:
    """The modalities of the data set that `card` describes, and the masked image, which is made of the image.

    Masks without classes, labels of fewer than two classes and embeddings of no extractor are left out.
    """
    height, width = card["size"]
    there, classes, labels = card.get("modalities", ()), card.get("classes") or (), card.get("labels") or ()
    found = {"image": Modality("image", (3, height, width))}
    if "mask" in there and classes:
        found["mask"] = Modality("mask", (height, width), classes=len(classes))
    if "label" in there and len(labels) > 1:
        found["label"] = Modality("label", (), classes=len(labels))
    if "embedding" in there and card.get("embedding"):
        found["embedding"] = Modality("embedding", (card["embedding"]["size"],))
    return found | {"masked_image": Modality("masked_image", (4, height, width))}


def picked(found: Mapping[str, Modality], *names: str) -> dict[str, Modality]:
    """Those of the modalities that are named, in this order."""
    return {name: found[name] for name in names}
