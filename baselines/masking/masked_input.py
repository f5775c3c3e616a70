"""The masked image itself: how far it is from its source without any model. No method should be farther."""

from __future__ import annotations

from mmbench.method import Batch, Noise, Sampling, Task
from mmbench.method import Method as BaseMethod

TITLE = "Masked input"
TASKS = ("reconstruct",)
TRAINED = False


class Method(BaseMethod):
    """Leaves hidden pixels as they are given: at 0, the middle of the colours' range."""

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Seen pixels as they are, hidden ones grey."""
        return {"image": given["masked_image"][:, :3]}
