"""The unconditional diffusion model of images (DDPM, Ho et al. 2020): the single-task model of generation."""

from __future__ import annotations

from mmbench.models.diffusion.painter import Painter

TITLE = "DDPM"
TASKS = ("generate",)
SAMPLES = True
ANSWERS = ("image",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Painter):
    """Settings as for `Painter`."""
