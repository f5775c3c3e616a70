"""The objective on one batch, in the order of computation: noise it, evaluate the network once, weight the errors.

The terms are those of MT-Diffusion (arXiv:2407.17571), L = L0 + L1 + L2 + L3, as scalars by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.method import Batch
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.aggregation import Aggregation
from mmbench.models.diffusion.model import Output
from mmbench.models.diffusion.parameterisation import snr_weight, to_z0, training_target
from mmbench.models.diffusion.states import States


@dataclass(frozen=True)
class Noised:
    """A training batch of n items, and how it was noised.

    Attributes:
        values: every modality, including the target.
        states: the states of the modalities other than the target.
        z0: the target (n, c, h, w), in [-1, 1].
        eps: the noise, shaped as z0.
        t: steps (n,), 1 to T.
        generates: 1 for the items that carry the generation loss, 0 for those whose t is for the decoders alone (n,).
        signal: sqrt(alpha_bar_t), (n, 1, 1, 1).
        noise: sqrt(1 - alpha_bar_t), (n, 1, 1, 1).
        encodings: E_i(x_i) of the modalities other than the target, each shaped as z0.
        z_t: the noised z0.
    """

    values: Batch
    states: States
    z0: Tensor
    eps: Tensor
    t: Tensor
    generates: Tensor
    signal: Tensor
    noise: Tensor
    encodings: Sequence[Tensor]
    z_t: Tensor


def add_noise(
    aggregation: Aggregation, values: Batch, states: States, z0: Tensor, eps: Tensor, t: Tensor, generates: Tensor
) -> Noised:
    """A batch noised to steps t (n,), sampled from q(z_t | z_0, X); see `Noised` for the arguments."""
    signal, noise = aggregation.process.coefficients(t, z0)
    encodings = aggregation.encode(values, states)
    # z_t = sqrt(alpha_bar_t) z_0 + sum_i omega_t^i E_i(x_i) + sqrt(1 - alpha_bar_t) eps
    z_t = signal * z0 + aggregation.process.drift(encodings, t) + noise * eps
    return Noised(values, states, z0, eps, t, generates, signal, noise, encodings, z_t)


def evaluate(aggregation: Aggregation, noised: Noised) -> Output:
    """One evaluation of the network on a noised batch."""
    return aggregation.evaluate(noised.z_t, noised.t, noised.values, noised.states)


def simple_terms(aggregation: Aggregation, noised: Noised, output: Output, max_weight: float) -> dict[str, Tensor]:
    """L1 as the squared error of the network's prediction, over the items that carry it.

        L1 = 1/n sum_i g_i weight(t_i) |prediction_i - target_i|^2,   g_i = 0 for an item put at an end of t, else 1.

    The mean is over all n items of the batch, as for every recovery: the expected gradient of an item depends neither
    on the other items of its batch nor on how the batch is split into shards, and a batch without any such item has
    the loss 0. A mean over the items that carry the loss would raise the weight of generation relative to the
    recoveries whenever more items are put at the ends.
    """
    prediction, signal, noise = aggregation.prediction, noised.signal, noised.noise
    target = training_target(prediction, noised.z0, noised.eps, signal, noise)
    weight = snr_weight(prediction, signal, noise, max_weight).flatten()
    error = weight * losses.per_item((output.prediction - target) ** 2)
    return {"generate": (noised.generates * error).mean()}


def vlb_terms(aggregation: Aggregation, noised: Noised, output: Output) -> dict[str, Tensor]:
    """L0, L1 and L3 in nats per dimension; L1 and L3 share one uniform sample of t, hence the factor T."""
    process, z0, t = aggregation.process, noised.z0, noised.t
    recovered = aggregation.estimate_encodings(output, noised.values, noised.states)
    # y_t = z_t - sum_i omega_t^i E_i(D_i(z_t)), which is sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps
    y_t = noised.z_t - process.drift(recovered, t)
    z0_hat = to_z0(output.prediction, aggregation.prediction, y_t, noised.signal, noised.noise)
    eps_hat = (y_t - noised.signal * z0_hat) / noised.noise
    prior = losses.prior_kl(process, z0, noised.encodings)  # L0
    step = losses.step_kl(process, noised.eps, eps_hat, noised.encodings, recovered, t.clamp(min=2))  # L1, t >= 2
    last = losses.reconstruction(process, z0, z0_hat)  # L3, t = 1
    first = (t == 1).to(z0)
    dimensions = z0[0].numel()
    return {
        "prior": prior.mean() / dimensions,
        "step": process.steps / dimensions * ((1 - first) * step).mean(),
        "reconstruction": process.steps / dimensions * (first * last).mean(),
    }


def recovery_terms(
    aggregation: Aggregation,
    noised: Noised,
    output: Output,
    weights: Mapping[str, float],
    target: str,
    recover_absent: bool,
) -> dict[str, Tensor]:
    """L2, -log p(x_i | z_t), of each decoder that has a weight, over the items for which recovery is not a copy.

    An aggregated modality is recovered where z_t holds it and the network is not given it; with `recover_absent`,
    wherever the network is not given it. The target is recovered where another modality is given (everywhere, if none
    can be). A modality that an item lacks is not recovered from it. The mean is over all items of the batch.
    """
    terms = {}
    for name, weight in weights.items():
        error = aggregation.model.kinds[name].recovery(output.decoded[name], noised.values[name])
        if name != target:
            counts = noised.states.recoverable(name, recover_absent)
        elif aggregation.model.conditions:
            counts = noised.states.any_known(len(error)).to(error)
        else:
            counts = torch.ones_like(error)
        terms[f"recover_{name}"] = weight * (counts * error).mean()
    return terms
