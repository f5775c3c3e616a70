"""Three of the four terms of the objective, each as a value per item (n,).

L0 pulls q(z_T | z_0, X) to the prior, L1 matches the reverse step, L2 recovers each modality from the diffused state
(`recovery` of its kind, in `mmbench.modalities`), L3 reconstructs z_0 from z_1 (MT-Diffusion, arXiv:2407.17571).
`simple` training keeps L1 in its noise-prediction form and L2; `vlb` adds the exact weights, the mismatch of the
encodings inside L1, L0 and L3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmbench.models.diffusion.process import Process, w_from_omega


def per_item(x: Tensor) -> Tensor:
    """Mean over everything but the first axis."""
    return x.flatten(1).mean(dim=1)


def prior_kl(process: Process, z0: Tensor, encodings: Sequence[Tensor]) -> Tensor:
    """L0: KL(q(z_T | z_0, X) || N(0, I)) in nats per item, `1/2 sum (mean^2 + variance - 1 - log variance)`."""
    t = torch.full((len(z0),), process.steps, dtype=torch.long)
    signal, noise = process.coefficients(t, z0)
    mean = signal * z0 + process.drift(encodings, t)
    variance = noise**2
    kl = 0.5 * (mean**2 + variance - 1 - variance.log())
    return kl.flatten(1).sum(dim=1)


def step_kl(
    process: Process,
    eps: Tensor,
    eps_hat: Tensor,
    encodings: Sequence[Tensor],
    recovered: Sequence[Tensor],
    t: Tensor,
) -> Tensor:
    """L1 exactly: KL between the forward posterior and the learned reverse step of equal variance, in nats per item.

    The two means, `Process.posterior`, differ by the noise's error and by what the decoders miss of the encodings:

        difference = (1 - a_t) / sqrt((1 - alpha_bar_t) a_t) (eps - eps_hat) + sum_i w_t^i (E_i(x_i) - E_i(D_i(z_t)))
        KL = |difference|^2 / (2 variance)

    t (n,) is at least 2, where the posterior has a variance.
    """
    a, alpha_bar, variance = process.step(t, eps)
    missed = [e - r for e, r in zip(encodings, recovered, strict=True)]
    difference = (1 - a) / ((1 - alpha_bar).sqrt() * a.sqrt()) * (eps - eps_hat)
    difference = difference + process.drift(missed, t, w_from_omega(process.omega(), process.alpha_bar))
    return (difference**2 / (2 * variance)).flatten(1).sum(dim=1)


def reconstruction(process: Process, z0: Tensor, z0_hat: Tensor) -> Tensor:
    """L3: -log p(z_0 | z_1) per item for a Gaussian of variance 1 - alpha_bar_1, without its constant."""
    variance = 1 - process.alpha_bar[1].to(z0)
    return ((z0 - z0_hat) ** 2 / (2 * variance)).flatten(1).sum(dim=1)
