"""Biharmonic inpainting (Damelin and Hoang 2018, "On surface completion and image inpainting by biharmonic functions").

The hidden region is filled with the smoothest surface through the visible pixels, as implemented in scikit-image.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.restoration import inpaint_biharmonic

from mmbench.method import Batch, Noise, Sampling, Task
from mmbench.method import Method as BaseMethod

TITLE = "Biharmonic"
TASKS = ("reconstruct",)
TRAINED = False


def fill(colours: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """One image (h, w, 3) in [-1, 1] with its hidden pixels (h, w) filled; mid-grey if no pixel is visible."""
    if hidden.all() or not hidden.any():
        return colours
    return inpaint_biharmonic(colours, hidden, channel_axis=-1)


class Method(BaseMethod):
    """One linear system per image and channel, on the CPU."""

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Solve for the hidden pixels of each image."""
        stack = given["masked_image"].permute(0, 2, 3, 1).double().cpu().numpy()
        images = np.stack([fill(x[..., :3], x[..., 3] == 0) for x in stack])
        image = torch.from_numpy(images).permute(0, 3, 1, 2).to(given["masked_image"])
        return {"image": image.clamp(-1, 1)}
