"""Conditional diffusion of the image given a label: the single-task model of images from labels."""

from __future__ import annotations

from mmbench.models.diffusion.painter import Painter

TITLE = "Painter from labels"
TASKS = ("from_label",)
SAMPLES = True
ANSWERS = ("image",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Painter):
    """Settings as for `Painter`."""

    condition = "label"
