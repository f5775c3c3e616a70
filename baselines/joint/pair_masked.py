"""MT-Diffusion of image and masked image only, which shows the cost of learning the other modalities as well."""

from __future__ import annotations

from _pair import Pair

TITLE = "MT-Diffusion, image and masked image"
TASKS = ("generate", "reconstruct")
SAMPLES = True
ANSWERS = ("image",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Pair):
    """Settings as for `MT-Diffusion`."""

    other = "masked_image"
