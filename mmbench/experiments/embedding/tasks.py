"""Embedding: an image and its embedding, each predicted from the other, or both generated from noise."""

from __future__ import annotations

from mmbench.modalities import Task

TASKS = {
    "embed": Task("embed", given=("image",), want=("embedding",)),
    "paint": Task("paint", given=("embedding",), want=("image",)),
    "generate": Task("generate", given=(), want=("image", "embedding")),
}
