"""MT-Diffusion of image and embedding only, which shows the cost of learning the other modalities as well."""

from __future__ import annotations

from _pair import Pair

TITLE = "MT-Diffusion, image and embedding"
TASKS = ("generate", "from_image", "from_embedding")
SAMPLES = True
ANSWERS = ("image", "embedding")


class Method(Pair):
    """Settings as for `MT-Diffusion`."""

    other = "embedding"
