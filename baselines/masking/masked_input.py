"""The masked image itself, without any model: its distance from the source is the worst that a method should have."""

from __future__ import annotations

from mmbench.method import Batch, Noise, Sampling, Task
from mmbench.method import Method as BaseMethod

TITLE = "Masked input"
TASKS = ("reconstruct",)
TRAINED = False


class Method(BaseMethod):
    """Leaves hidden pixels unchanged at 0, the middle of the range of colours."""

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Visible pixels unchanged, hidden ones grey."""
        return {"image": given["masked_image"][:, :3]}
