"""RePaint (Lugmayr et al. 2022): inpainting by the unconditional DDPM, which is not trained with masks.

Each ancestral step replaces the known pixels by a noised copy of them; at intervals the result is diffused back a few
steps and denoised again, so that the hidden region fits its surroundings.

Departure: the paper uses 250 steps with 10 resamplings of length 10 (2,410 evaluations). Here the number of
steps is the largest whose evaluations stay within the budget of every method.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.painter import Painter
from mmbench.models.diffusion.sampler import ddim_step, noise_like
from mmbench.models.diffusion.single import DiffusionSettings

TITLE = "RePaint"
TASKS = ("reconstruct",)
SAMPLES = True
WEIGHTS_FROM = "ddpm"


def walk(steps: int, jump_length: int, resample: int) -> list[int]:
    """Levels visited on a grid of `steps`, from `steps` (noise) to 0 (image), jumps back included.

    At level 1 and every `jump_length` above it, the walk goes back up by `jump_length` and down again,
    `resample - 1` times (algorithm 1 and appendix B of the paper).
    """
    jumps = dict.fromkeys(range(1, steps - jump_length + 1, jump_length), resample - 1)
    levels = [steps]
    while levels[-1] > 0:
        levels.append(levels[-1] - 1)
        if jumps.get(levels[-1], 0):
            jumps[levels[-1]] -= 1
            levels.append(levels[-1] + jump_length)
    return levels


def evaluations(levels: list[int]) -> int:
    """Evaluations of the network that a walk needs: one for each step down."""
    return sum(later < now for now, later in pairwise(levels))


class Method(Painter):
    """The network of `ddpm`, sampled with the known pixels replaced.

    Args:
        spec: modalities and network.
        jump_length: steps of one jump back, on the grid of sampling steps.
        resample: how often each stretch is denoised; 1 means no jumps back.
        settings: as for `ddpm`.
    """

    def __init__(
        self, spec: Spec, *, jump_length: int = 1, resample: int = 2, **settings: Unpack[DiffusionSettings]
    ) -> None:
        super().__init__(spec, **settings)
        for name, value in (("jump_length", jump_length), ("resample", resample)):
            if value < 1:
                raise UserError(f"repaint: {name}: {value} is less than 1; give a whole number from 1")
        self.jump_length, self.resample = jump_length, resample

    def levels(self, nfe: int) -> list[int]:
        """Diffusion steps visited: the walk with the most levels that needs at most `nfe` evaluations."""
        fitting = (walk(n, self.jump_length, self.resample) for n in range(min(nfe, self.process.steps), 0, -1))
        levels = next(levels for levels in fitting if evaluations(levels) <= nfe)
        return [round(self.process.steps * level / levels[0]) for level in levels]

    def step_down(self, z_t: Tensor, t: Tensor, s: Tensor, masked: Tensor, generator: Noise) -> Tensor:
        """z_s from z_t, s < t: the model's where the image is hidden, the noised image where it is visible (eq. 8)."""
        z0 = self.estimate(self(z_t, t, {}), z_t, t).clamp(-1, 1)
        unknown = ddim_step(self.process, z_t, z0, [], t, s, eta=1.0, generator=generator)
        known = self.process.marginal(masked[:, :-1], [], s, noise_like(z_t, generator))
        return masked[:, -1:] * known + (1 - masked[:, -1:]) * unknown

    def step_up(self, z_s: Tensor, s: Tensor, t: Tensor, generator: Noise) -> Tensor:
        """z_t from z_s, s < t, by the forward process."""
        (signal_s, _), (signal_t, _) = (self.process.coefficients(i, z_s) for i in (s, t))
        keep = signal_t / signal_s
        return keep * z_s + (1 - keep**2).sqrt() * noise_like(z_s, generator)

    def heeds(self, task: Task) -> frozenset[str]:
        """The number of evaluations: the method has its own steps."""
        return frozenset({"nfe"})

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Walk from noise to the image, down and up again; `sampling.sampler` is not used."""
        masked = given["masked_image"]
        z = noise_like(masked[:, :-1], generator)
        for now, later in pairwise(self.levels(sampling.nfe)):
            t, s = (torch.full((count,), i, dtype=torch.long) for i in (now, later))
            down = later < now
            z = self.step_down(z, t, s, masked, generator) if down else self.step_up(z, t, s, generator)
        return {"image": z}
