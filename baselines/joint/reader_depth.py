"""The depth of an image in one pass, by the absolute error of its logarithm: the single-task model of depth."""

from __future__ import annotations

from mmbench.models.diffusion.supervised import Reader

TITLE = "Reader of depth"
TASKS = ("from_image",)
ANSWERS = ("depth",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Reader):
    """Settings as for `Reader`."""

    answers = "depth"
