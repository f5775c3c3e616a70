"""Masked reconstruction: an image and its masked copy, reconstructed from the copy or generated from noise."""

from __future__ import annotations

from mmbench.modalities import Task

MADE = {"masked_image": "masked_image"}
TASKS = {
    "reconstruct": Task("reconstruct", given=("masked_image",), want=("image",)),
    "generate": Task("generate", given=(), want=("image",)),
}
