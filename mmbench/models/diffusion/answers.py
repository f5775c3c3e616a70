"""Answers of a trained network: z_0 sampled given any modalities, or the others decoded from a given z_0."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling
from mmbench.models.diffusion.aggregation import Aggregation
from mmbench.models.diffusion.model import Output
from mmbench.models.diffusion.sampler import noise_like, sample
from mmbench.models.diffusion.states import States, fill, given_states


@dataclass(frozen=True)
class Answers:
    """How a trained network answers a task.

    Attributes:
        aggregation: the network in its process.
        absent: modalities that were also trained in the state absent.
        joint: whether modalities that are neither inputs nor outputs are unknown rather than absent.
        impose: whether visible pixels replace those of the estimate of z_0.
        guidance: strength of guidance where `Sampling` sets none.
    """

    aggregation: Aggregation
    absent: Collection[str]
    joint: bool
    impose: bool
    guidance: float

    def question(self, given: Batch, want: Sequence[str], like: Tensor) -> tuple[Batch, States]:
        """Values for every modality, and the states: inputs are known, outputs are unknown."""
        model = self.aggregation.model
        names = model.aggregated
        values = fill(given, {name: model.kinds[name].modality for name in names}, like)
        return values, given_states(names, given, names if self.joint else want, like)

    def draw(
        self, like: Tensor, given: Batch, want: Sequence[str], sampling: Sampling, generator: Noise
    ) -> tuple[Batch, Batch, Tensor]:
        """The decoders' outputs at the last evaluation, the committed values, and the sampled z_0, shaped as `like`.

        With `Sampling.commit`, the outputs other than z_0 are estimated again at each evaluation up to that share of
        the evaluations. From then on they are known, and z_0 is sampled as an image conditioned on them.

        Raises:
            UserError: guidance takes two evaluations per step, and the number of evaluations is 1.
        """
        values, states = self.question(given, want, like)
        unknown = [name for name in self.aggregation.model.aggregated if name in want and name not in given]
        commits = sampling.commit is not None and bool(unknown)
        guidance = self.guidance if sampling.guidance is None else sampling.guidance
        guided, nfe = bool(guidance and (given or commits)), sampling.nfe
        if guided and (nfe := nfe // 2) < 1:
            says = f"{guidance} takes two evaluations a step; raise sample.nfe to 2"
            raise UserError(f"mt_diffusion: guidance: {says}")
        decoded: Batch = {}
        committed: Batch = {}
        step, last = 0, math.floor((sampling.commit or 0.0) * nfe)

        def denoise(z_t: Tensor, t: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
            nonlocal values, states, step
            output = self.aggregation.evaluate(z_t, t, values, states)
            decoded.update(output.decoded)
            if commits and step == last:
                committed.update(self.settle(output, unknown, generator))
                values = {**values, **committed}
                states = replace(states, known={**states.known, **{name: states.present[name] for name in unknown}})
            encodings = self.aggregation.estimate_encodings(output, values, states)
            if guided and (given or step > last):
                output = self.guide(output, guidance, z_t, t, values, states)
            step += 1
            z0 = self.aggregation.estimate_z0(output, z_t, t, encodings).clamp(-1, 1)
            return self.constrain(z0, given), encodings

        z_t = self.aggregation.start(replace(states, present=states.known), values, like, generator)
        process = self.aggregation.process
        z0 = sample(process, denoise, z_t, sampler=sampling.sampler, nfe=nfe, generator=generator)
        return decoded, committed, z0

    def settle(self, output: Output, names: Sequence[str], generator: Noise) -> Batch:
        """The decoders' outputs for some modalities, each turned into one value of a batch."""
        decoded, kinds = output.decoded, self.aggregation.model.kinds
        return {name: kinds[name].settle(decoded[name], noise_like(decoded[name], generator)) for name in names}

    def guide(self, output: Output, guidance: float, z_t: Tensor, t: Tensor, values: Batch, states: States) -> Output:
        """`output` moved away from the network's output at the same z_t without inputs.

        Classifier-free guidance (Ho and Salimans 2022), `(1 + guidance) known - guidance unknown`, is applied to what
        the network predicts, in which z_0 is affine. For the second evaluation an input is absent, and its drift is
        subtracted from z_t, if the network was trained with it absent; else it is unknown, and its drift stays.
        """
        gone = {name: flag * (name in self.absent) for name, flag in states.known.items()}
        z_t = z_t - self.aggregation.process.drift(self.aggregation.encode(values, replace(states, present=gone)), t)
        free = replace(
            states,
            present={name: flag - gone[name] for name, flag in states.present.items()},
            known={name: torch.zeros_like(flag) for name, flag in states.known.items()},
        )
        unknown = self.aggregation.evaluate(z_t, t, values, free).prediction
        return replace(output, prediction=output.prediction + guidance * (output.prediction - unknown))

    def constrain(self, z0: Tensor, given: Batch) -> Tensor:
        """The estimate of z_0, with `impose` after its visible pixels are replaced by those of the masked image."""
        for name, value in given.items() if self.impose else ():
            z0 = self.aggregation.model.kinds[name].impose(z0, value)
        return z0

    def read(self, z0: Tensor, given: Batch, want: Sequence[str], generator: Noise) -> Batch:
        """The decoders' outputs for a given z_0 in one evaluation at t = 1, where z_1 holds almost no encoding."""
        t = torch.ones(len(z0), dtype=torch.long)
        z_t = self.aggregation.process.marginal(z0, [], t, noise_like(z0, generator))
        return self.evaluate(z_t, t, *self.question(given, want, z0))

    def read_noised(self, z_t: Tensor, t: Tensor, given: Batch) -> Batch:
        """The decoders' outputs for a noised z_0 at its own step: it holds no encoding, so the outputs are absent."""
        return self.evaluate(z_t, t, *replace(self, joint=False).question(given, (), z_t))

    @torch.no_grad()
    def evaluate(self, z_t: Tensor, t: Tensor, values: Batch, states: States) -> Batch:
        """The decoders' outputs at z_t, after the known modalities are aggregated into it."""
        encodings = self.aggregation.encode(values, replace(states, present=states.known))
        z_t = z_t + self.aggregation.process.drift(encodings, t)
        return self.aggregation.evaluate(z_t, t, values, states).decoded

    def at_once(self, like: Tensor, given: Batch, generator: Noise) -> Batch:
        """The decoders' outputs at t = T, given other modalities: one evaluation, no sampling."""
        values, states = self.question(given, (), like)
        t = torch.full((len(like),), self.aggregation.process.steps, dtype=torch.long)
        z_t = self.aggregation.start(states, values, like, generator)
        return self.aggregation.evaluate(z_t, t, values, states).decoded
