"""A network in the process that aggregates modalities: the encodings that z_t holds, and the estimates from z_t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.method import Batch, Noise
from mmbench.models.diffusion.model import Known, MultimodalDenoiser, Output
from mmbench.models.diffusion.parameterisation import Prediction, to_z0
from mmbench.models.diffusion.process import Process
from mmbench.models.diffusion.sampler import noise_like
from mmbench.models.diffusion.states import States


@dataclass(frozen=True)
class Aggregation:
    """The network, its diffusion process, and what the network predicts about z_0."""

    model: MultimodalDenoiser
    process: Process
    prediction: Prediction

    def evaluate(self, z_t: Tensor, t: Tensor, values: Batch, states: States) -> Output:
        """One evaluation of the network at z_t (n, c, h, w) and steps t (n,), given the known values."""
        return self.model(z_t, t, Known(values, states.known), states.present)

    def hide(self, encodings: Sequence[Tensor], states: States) -> list[Tensor]:
        """Encodings with those of absent modalities set to zero."""
        names = self.model.aggregated
        return [e * states.present[name][:, None, None, None] for name, e in zip(names, encodings, strict=True)]

    def encode(self, values: Batch, states: States) -> list[Tensor]:
        """E_i(x_i): the encodings (n, c, h, w) that z_t holds of the data."""
        return self.hide(self.model.encode(values), states)

    def estimate_encodings(self, output: Output, values: Batch, states: States) -> list[Tensor]:
        """E_i(x_i) of the data where a modality is known, E_i(D_i(z_t)) of its decoder's prediction where it is not."""
        encodings = []
        for name in self.model.aggregated:
            guess = self.model.encoders[name](self.model.kinds[name].value(output.decoded[name]))
            if states.known[name].any():
                known = states.known[name][:, None, None, None]
                guess = known * self.model.encoders[name](values[name]) + (1 - known) * guess
            encodings.append(guess)
        return self.hide(encodings, states)

    def estimate_z0(self, output: Output, z_t: Tensor, t: Tensor, encodings: Sequence[Tensor]) -> Tensor:
        """The network's estimate of z_0, after the drift of `encodings` is subtracted from z_t."""
        signal, noise = self.process.coefficients(t, z_t)
        return to_z0(output.prediction, self.prediction, z_t - self.process.drift(encodings, t), signal, noise)

    def start(self, states: States, values: Batch, like: Tensor, generator: Noise) -> Tensor:
        """z_T, shaped as `like`: noise plus the drift that the modalities present have added up to step T."""
        noise = noise_like(like, generator)
        t = torch.full((len(like),), self.process.steps, dtype=torch.long)
        return noise + self.process.drift(self.encode(values, states), t)
