"""Embedding: an image and what a frozen network says of it, each made from the other, or both drawn from noise."""

from __future__ import annotations

from mmbench.modalities import Task

TASKS = {
    "embed": Task("embed", given=("image",), want=("embedding",)),
    "paint": Task("paint", given=("embedding",), want=("image",)),
    "generate": Task("generate", given=(), want=("image", "embedding")),
}
