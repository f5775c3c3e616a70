"""The mask of an image in one pass, trained with cross-entropy: the single-task model of segmentation."""

from __future__ import annotations

from mmbench.models.diffusion.supervised import Reader

TITLE = "Segmenter"
TASKS = ("from_image",)
ANSWERS = ("mask",)
SIZE_DIFFERS = "it has no encoders and decoders of other modalities; the backbone is the same"


class Method(Reader):
    """Settings as for `Reader`."""

    answers = "mask"
