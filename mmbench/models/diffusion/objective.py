"""The objective on one noised batch: the terms of `mmbench.models.diffusion.loss`, as scalars by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.method import Batch
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.aggregation import Aggregation
from mmbench.models.diffusion.model import Output, training_target
from mmbench.models.diffusion.sampler import estimate_eps
from mmbench.models.diffusion.states import States


@dataclass(frozen=True)
class Noised:
    """A training batch, how it was noised, and what the network made of it."""

    values: Batch
    states: States
    z0: Tensor
    eps: Tensor
    t: Tensor
    encodings: Sequence[Tensor]
    z_t: Tensor
    output: Output


def simple_terms(around: Aggregation, noised: Noised, max_weight: float) -> dict[str, Tensor]:
    """L1 as the squared error of the network's prediction."""
    signal, noise = around.process.coefficients(noised.t, noised.z0)
    target = training_target(around.prediction, noised.z0, noised.eps, signal, noise)
    weight = losses.snr_weight(around.prediction, signal, noise, max_weight).flatten()
    return {"generate": (weight * losses.simple(noised.output.prediction, target)).mean()}


def vlb_terms(around: Aggregation, noised: Noised) -> dict[str, Tensor]:
    """L0, L1 and L3 in nats per dimension; L1 and L3 share the uniform draw of t, hence the factor T."""
    process, z0, t = around.process, noised.z0, noised.t
    size, first = z0[0].numel(), (t == 1).to(z0)
    recovered = around.estimate_encodings(noised.output, noised.values, noised.states)
    z0_hat = around.estimate_z0(noised.output, noised.z_t, t, recovered)
    eps_hat = estimate_eps(process, noised.z_t, z0_hat, recovered, t)
    step = losses.step_kl(process, noised.eps, eps_hat, noised.encodings, recovered, t.clamp(min=2))
    last = losses.reconstruction(process, z0, z0_hat)
    scale = process.steps / size
    return {
        "prior": losses.prior_kl(process, z0, noised.encodings).mean() / size,
        "step": scale * ((1 - first) * step).mean(),
        "reconstruction": scale * (first * last).mean(),
    }


def recovery_terms(
    around: Aggregation, noised: Noised, weights: Mapping[str, float], target: str, recover_absent: bool
) -> dict[str, Tensor]:
    """L2 of each decoder that has a weight, over the items for which recovery is not a copy.

    An aggregated modality is recovered where it is in z_t without being given, with `recover_absent` wherever it is
    not given; the target where something is given (everywhere, when nothing can be). What an item lacks is not
    recovered from it; the mean is over all items of the batch.
    """
    terms = {}
    for name, weight in weights.items():
        value = losses.recovery(around.model.modalities[name], noised.output.decoded[name], noised.values[name])
        if name != target:
            where = noised.states.recoverable(name, recover_absent)
        elif around.model.conditions:
            where = noised.states.any_known(len(value)).to(value)
        else:
            where = torch.ones_like(value)
        terms[f"recover_{name}"] = weight * (where * value).mean()
    return terms
