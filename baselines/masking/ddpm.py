"""The unconditional diffusion model (DDPM, Ho et al. 2020): the quality of generation without a second task.

Schedule, prediction and loss weighting are those of the multitask model, so that only the tasks differ.
"""

from __future__ import annotations

from mmbench.models.diffusion.painter import Painter

TITLE = "DDPM"
TASKS = ("generate",)
SAMPLES = True


class Method(Painter):
    """An unconditional denoiser of images; settings as for `Painter`."""
