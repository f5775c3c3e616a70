"""Conditional diffusion of the image given an embedding: the single-task model of images from embeddings."""

from __future__ import annotations

from mmbench.models.diffusion.painter import Painter

TITLE = "Painter from embeddings"
TASKS = ("from_embedding",)
SAMPLES = True
ANSWERS = ("image",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Painter):
    """Settings as for `Painter`."""

    condition = "embedding"
