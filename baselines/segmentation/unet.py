"""Supervised segmentation in one pass, trained with cross-entropy (Ronneberger et al. 2015)."""

from __future__ import annotations

from mmbench.models.diffusion.supervised import Reader

TITLE = "U-Net"
TASKS = ("segment",)


class Method(Reader):
    """The shared backbone as a classifier of pixels; settings as for `Reader`."""

    answers = "mask"
