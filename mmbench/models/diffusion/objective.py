"""The objective on one noised batch: the terms of `mmbench.models.diffusion.loss`, as scalars by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.method import Batch
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.aggregation import Aggregation
from mmbench.models.diffusion.model import Output
from mmbench.models.diffusion.parameterisation import snr_weight, training_target
from mmbench.models.diffusion.sampler import estimate_eps
from mmbench.models.diffusion.states import States


@dataclass(frozen=True)
class Noised:
    """A training batch of n items, how it was noised, and what the network made of it.

    Attributes:
        values: every modality beside the target, and the target.
        states: of the modalities beside the target.
        z0: the target (n, c, h, w), in [-1, 1].
        eps: the noise, shaped as z0.
        t: steps (n,), 1 to T.
        generates: 1 for the items that carry the generation loss, 0 for those whose t is for the decoders alone (n,).
        encodings: of the modalities beside the target, each shaped as z0.
        z_t: the noised z0.
        output: of the network at z_t.
    """

    values: Batch
    states: States
    z0: Tensor
    eps: Tensor
    t: Tensor
    generates: Tensor
    encodings: Sequence[Tensor]
    z_t: Tensor
    output: Output


def simple_terms(around: Aggregation, noised: Noised, max_weight: float) -> dict[str, Tensor]:
    """L1 as the squared error of the network's prediction, over the items that carry it.

        L1 = 1/n sum_i g_i weight(t_i) |prediction_i - target_i|^2,   g_i = 0 for an item put at an end of t, else 1.

    The mean is over all n items of the batch, as that of every recovery is: the expected gradient of an item does not
    depend on which others are in its batch, nor on how the batch is split into shards, and a batch without any such
    item has the loss 0. A mean over the items that carry it would raise the weight of generation beside the recoveries
    whenever more items were put at the ends.
    """
    signal, noise = around.process.coefficients(noised.t, noised.z0)
    target = training_target(around.prediction, noised.z0, noised.eps, signal, noise)
    weight = snr_weight(around.prediction, signal, noise, max_weight).flatten()
    error = weight * losses.simple(noised.output.prediction, target)
    return {"generate": (noised.generates * error).mean()}


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
        value = around.model.kinds[name].recovery(noised.output.decoded[name], noised.values[name])
        if name != target:
            where = noised.states.recoverable(name, recover_absent)
        elif around.model.conditions:
            where = noised.states.any_known(len(value)).to(value)
        else:
            where = torch.ones_like(value)
        terms[f"recover_{name}"] = weight * (where * value).mean()
    return terms
