"""The judge of segmentation: the shared backbone, trained to name the class of each pixel of a real image."""

from __future__ import annotations

from mmbench.models.diffusion.supervised import Reader

TITLE = "Judge"
TASKS = ("segment",)


class Method(Reader):
    """A classifier of pixels: the same network as the baseline `unet`, trained with another seed."""

    answers = "mask"
