"""U-Net regression of the hidden pixels by the absolute error: the single-task model of masked reconstruction."""

from __future__ import annotations

from mmbench.models.diffusion.supervised import HoleFiller

TITLE = "Inpainter"
TASKS = ("reconstruct",)
ANSWERS = ("image",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(HoleFiller):
    """Settings as for `HoleFiller`."""
