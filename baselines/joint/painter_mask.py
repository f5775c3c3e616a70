"""Conditional diffusion of the image given a mask: the single-task model of images from masks."""

from __future__ import annotations

from mmbench.models.diffusion.painter import Painter

TITLE = "Painter from masks"
TASKS = ("from_mask",)
SAMPLES = True
ANSWERS = ("image",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Painter):
    """Settings as for `Painter`."""

    condition = "mask"
