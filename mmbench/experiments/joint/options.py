"""The keys that only the experiment `joint` has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mmbench.config.schema import distinct
from mmbench.experiments.embedding.options import Options as EmbeddingOptions

Modality = Literal["image", "mask", "label", "embedding", "masked_image"]


def with_image(names: list[str]) -> list[str]:
    """`names` if they are the image and others."""
    if "image" not in names or len(names) < 2:
        raise ValueError("name image and at least one other")
    return names


class Options(EmbeddingOptions):
    """Which network makes the embeddings, how much of a masked image is hidden, and the modalities that are used."""

    share: Annotated[float, Field(gt=0, lt=1)]
    modalities: Annotated[list[Modality], AfterValidator(distinct), AfterValidator(with_image)] | None = None
