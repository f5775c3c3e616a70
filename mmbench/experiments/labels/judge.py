"""The judge of labels: the shared backbone, trained to name the class of a real image."""

from __future__ import annotations

from mmbench.models.diffusion.supervised import Reader

TITLE = "Judge"
TASKS = ("classify",)


class Method(Reader):
    """A classifier of images: the same network as the baseline `classifier`, trained with another seed."""

    answers = "label"
