"""Segmentation: an image and its class map, each predicted from the other, or both generated from noise."""

from __future__ import annotations

from mmbench.modalities import Task

TASKS = {
    "segment": Task("segment", given=("image",), want=("mask",)),
    "paint": Task("paint", given=("mask",), want=("image",)),
    "generate": Task("generate", given=(), want=("image", "mask")),
}
