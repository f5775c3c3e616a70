"""The unconditional diffusion model on its own (DDPM, Ho et al. 2020): what generation costs without a second task.

Schedule, prediction and loss weighting are those of the multitask model, so that only the tasks differ.
"""

from __future__ import annotations

from mmbench.models.diffusion.painter import Painter

TITLE = "DDPM"
TASKS = ("generate",)
SAMPLES = True


class Method(Painter):
    """A denoiser of images that is told nothing; settings as for `Painter`."""
