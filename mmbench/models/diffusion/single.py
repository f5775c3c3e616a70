"""The common part of the diffusion methods of fewer tasks: a z_0 that is noised without aggregation, and sampled.

Schedule, prediction and loss weighting are those of the multitask model, so that only the tasks differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor

from mmbench.method import Method, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.parameterisation import Prediction, snr_weight, to_z0, training_target
from mmbench.models.diffusion.process import Process, Schedule
from mmbench.models.diffusion.sampler import noise_like, sample


class DiffusionSettings(TypedDict, total=False):
    """The settings of every `DiffusionMethod`, which a subclass passes on in addition to its own."""

    schedule: Schedule
    prediction: Prediction
    max_weight: float


class DiffusionMethod(Method):
    """A denoiser of some z_0: an image, a map or a vector. The subclass chooses z_0 and has the network.

    Args:
        prediction: what the network predicts about z_0.
        max_weight: bound of the loss's weight on an error in z_0 (see `parameterisation.snr_weight`).
    """

    def __init__(
        self, spec: Spec, *, schedule: Schedule = "cosine", prediction: Prediction = "z0", max_weight: float = 10.0
    ) -> None:
        super().__init__(spec)
        self.process = Process(schedule=schedule)
        self.prediction, self.max_weight = prediction, max_weight

    def heeds(self, task: Task) -> frozenset[str]:
        """Sampler and evaluations."""
        return frozenset({"sampler", "nfe"})

    def draw_steps(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniform steps (count,) of 1..T."""
        return torch.randint(1, self.process.steps + 1, (count,), generator=generator)

    def noised(self, z0: Tensor, t: Tensor, generator: torch.Generator | Noise) -> tuple[Tensor, Tensor]:
        """z_t at steps t (n,), `sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps`, and its eps, shaped as z_0."""
        eps = noise_like(z0, generator)
        return self.process.marginal(z0, [], t, eps), eps

    def errors(self, output: Tensor, z0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error of a network's output at steps t (n,), shaped as z_0, and its weight (n, 1, ...)."""
        signal, noise = self.process.coefficients(t, z0)
        target = training_target(self.prediction, z0, eps, signal, noise)
        return (output - target) ** 2, snr_weight(self.prediction, signal, noise, self.max_weight)

    def error(self, output: Tensor, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Weighted squared error (n,) of a network's output at steps t (n,)."""
        squared, weight = self.errors(output, z0, eps, t)
        return weight.flatten() * squared.flatten(1).mean(dim=1)

    def estimate(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of z_0 that a network's output at z_t and steps t (n,) is."""
        signal, noise = self.process.coefficients(t, z_t)
        return to_z0(output, self.prediction, z_t, signal, noise)

    def pure_noise(self, count: int, shape: tuple[int, ...], generator: Noise) -> Tensor:
        """z_T (count, *shape) to sample from, on the method's device."""
        return noise_like(torch.empty(count, *shape, device=next(self.parameters()).device), generator)

    def draw(
        self,
        estimate: Callable[[Tensor, Tensor], Tensor],
        z: Tensor,
        sampling: Sampling,
        generator: Noise,
        *,
        nfe: int | None = None,
        start: int | None = None,
    ) -> Tensor:
        """z_0 sampled from z.

        Args:
            estimate: maps z_t and steps t (n,) to an estimate of z_0 with one or more evaluations of the network.
            z: noise, or z_t at the step `start`.
            sampling: the sampler, and the number of steps unless `nfe` sets another.
            generator: the source of the noise that the sampler adds.
            start: the step of z, T unless given.
        """
        return sample(
            self.process,
            lambda z_t, t: (estimate(z_t, t), []),
            z,
            sampler=sampling.sampler,
            nfe=sampling.nfe if nfe is None else nfe,
            start=start,
            generator=generator,
        )
