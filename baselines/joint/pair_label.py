"""MT-Diffusion of image and label only, which shows the cost of learning the other modalities as well."""

from __future__ import annotations

from _pair import Pair

TITLE = "MT-Diffusion, image and label"
TASKS = ("generate", "from_image", "from_label")
SAMPLES = True
ANSWERS = ("image", "label")
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Pair):
    """Settings as for `MT-Diffusion`."""

    other = "label"
