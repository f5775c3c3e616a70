"""Samplers of the multimodal process: ancestral, DDIM and (SDE-)DPM-Solver++(2M), all on the drifted marginal.

Each calls a denoiser for an estimate of z_0 and of every encoding, subtracts the encodings' drift from z_t, makes the
usual update of the diffusion literature, and adds the drift of the next step.

`dpm++` is of second order in z_0. `dpm++snr` is of second order in the encodings too, and its steps are evenly spaced
in the log-SNR rather than in t. `dpm++sde` is `dpm++snr` for the stochastic differential equation: like the ancestral
sampler it adds fresh noise at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from mmbench.method import Noise
from mmbench.models.diffusion.process import Process

SamplerName = Literal["ancestral", "ddim", "dpm++", "dpm++snr", "dpm++sde"]
#: Samplers whose steps are evenly spaced in the log-SNR, and that extrapolate the encodings as well as z_0.
EVEN_IN_SNR = ("dpm++snr", "dpm++sde")
#: Maps z_t (n, c, h, w) and steps (n,) to the estimates of z_0 and of each encoding.
Denoiser = Callable[[Tensor, Tensor], tuple[Tensor, Sequence[Tensor]]]
#: The trajectory of the first item: z at the first step, then the estimate of z_0 at every step, each as (step, z).
Trace = list[tuple[int, Tensor]]
#: Half the log-SNR below which an image is so noisy that the samplers of `EVEN_IN_SNR` take a single step there.
LOWEST = -4.0
#: What a multistep sampler keeps of its last step: half its log-SNR, and the estimates of z_0 and of each encoding.
Last = tuple[Tensor, Tensor, Sequence[Tensor]]
_watched: ContextVar[Trace | None] = ContextVar("watched", default=None)


@contextmanager
def watch(trace: Trace) -> Iterator[None]:
    """Record in `trace` the trajectory of the first item of the last `sample` in this block.

    Recording evaluates nothing and uses no randomness, so the answers stay the same.
    """
    token = _watched.set(trace)
    try:
        yield
    finally:
        _watched.reset(token)


def time_steps(process: Process, nfe: int, start: int | None = None) -> list[int]:
    """The `nfe + 1` steps from `start`, T unless given, down to 0 that a sampler visits, evenly spaced."""
    start = process.steps if start is None else start
    if not 1 <= nfe <= start <= process.steps:
        raise ValueError(f"nfe must be between 1 and the first step, at most {process.steps}: not {nfe} and {start}")
    return [round(start * (nfe - i) / nfe) for i in range(nfe + 1)]


def snr_steps(process: Process, nfe: int, start: int | None = None) -> list[int]:
    """Like `time_steps`, but the steps from 1 up to `LOWEST` are evenly spaced in the log-SNR (Lu et al. 2022), as far
    as distinct integer steps allow.
    """
    start = time_steps(process, nfe, start)[0]
    half = 0.5 * (process.alpha_bar / (1 - process.alpha_bar)).log()
    wanted = torch.linspace(max(LOWEST, float(half[start])), float(half[1]), nfe, dtype=half.dtype)
    steps = [start, *(1 + (half[1:] - wanted[1:, None]).abs().argmin(dim=1)).tolist()]
    for i in range(1, nfe):
        steps[i] = max(1, min(steps[i], steps[i - 1] - 1))
    for i in reversed(range(nfe - 1)):
        steps[i] = max(steps[i], steps[i + 1] + 1)
    return [*steps, 0]


def noise_like(z: Tensor, generator: torch.Generator | Noise) -> Tensor:
    """Standard normal noise of z's shape (n, ...), sampled on the CPU so that devices agree.

    Args:
        z: the tensor that the noise is added to.
        generator: one generator for a whole training batch, or `Noise`, in which each item has its own.
    """
    if isinstance(generator, Noise):
        return generator.normal(*z.shape).to(z)
    return torch.randn(z.shape, generator=generator).to(z)


def estimate_eps(process: Process, z_t: Tensor, z0: Tensor, encodings: Sequence[Tensor], t: Tensor) -> Tensor:
    """The noise that explains z_t, given estimates of z_0 and of the encodings."""
    signal, noise = process.coefficients(t, z_t)
    return (z_t - process.drift(encodings, t) - signal * z0) / noise


def ddim_step(
    process: Process,
    z_t: Tensor,
    z0: Tensor,
    encodings: Sequence[Tensor],
    t: Tensor,
    s: Tensor,
    *,
    eta: float = 0.0,
    generator: torch.Generator | Noise | None = None,
) -> Tensor:
    """From z_t to z_s, s < t (Song et al. 2021, eq. 12, with drift); eta = 1 and s = t - 1 is the ancestral step."""
    now, later = (process.alpha_bar[i.cpu()].reshape(-1, 1, 1, 1).to(z_t) for i in (t, s))
    sigma = eta * ((1 - later) / (1 - now) * (1 - now / later)).clamp(min=0).sqrt()
    eps = estimate_eps(process, z_t, z0, encodings, t)
    mean = later.sqrt() * z0 + process.drift(encodings, s) + (1 - later - sigma**2).clamp(min=0).sqrt() * eps
    if not eta:
        return mean
    if generator is None:
        raise ValueError("eta > 0 draws noise: give a generator")
    return mean + sigma * noise_like(z_t, generator)


@torch.no_grad()
def sample(
    process: Process,
    denoiser: Denoiser,
    z: Tensor,
    *,
    sampler: str = "ddim",
    nfe: int = 50,
    start: int | None = None,
    generator: torch.Generator | Noise,
) -> Tensor:
    """Sample z_0 from z (n, c, h, w) at step `start` with `nfe` evaluations of the denoiser.

    Without `start`, z is noise, at step T.

    Raises:
        ValueError: the sampler is unknown, `nfe` or `start` is outside 1..T, or there are fewer steps than evaluations.
    """
    if sampler not in get_args(SamplerName):
        raise ValueError(f"sampler '{sampler}' is not one of {get_args(SamplerName)}")
    steps = (snr_steps if sampler in EVEN_IN_SNR else time_steps)(process, nfe, start)
    previous: Last | None = None
    if (trace := _watched.get()) is not None:
        trace[:] = [(steps[0], z[0].clone())]
    for now, later in pairwise(steps):
        t, s = (torch.full((len(z),), i, dtype=torch.long) for i in (now, later))
        z0, encodings = denoiser(z, t)
        if trace is not None:
            trace.append((now, z0[0].clone()))
        if sampler.startswith("dpm++") and later > 0:
            xi = noise_like(z, generator) if sampler == "dpm++sde" else None
            z, previous = _dpm_step(process, z, z0, encodings, t, s, previous, whole=sampler in EVEN_IN_SNR, xi=xi)
        else:
            eta = 1.0 if sampler == "ancestral" else 0.0
            z = ddim_step(process, z, z0, encodings, t, s, eta=eta, generator=generator)
    return z


def _dpm_step(
    process: Process,
    z_t: Tensor,
    z0: Tensor,
    encodings: Sequence[Tensor],
    t: Tensor,
    s: Tensor,
    previous: Last | None,
    *,
    whole: bool,
    xi: Tensor | None = None,
) -> tuple[Tensor, Last]:
    """One step of the multistep solver (Lu et al. 2022: DPM-Solver++(2M); with fresh noise `xi`, SDE-DPM-Solver++(2M)).

    Between two evaluations z_0 is extrapolated, and with `whole` the encodings too; their drift is integrated likewise:
    `(z / noise)' = (signal / noise)' z_0 + sum_i (omega_i / noise)' E_i`.
    """
    (signal_t, noise_t), (signal_s, noise_s) = (process.coefficients(i, z_t) for i in (t, s))
    half_t, half_s = (signal_t / noise_t).log(), (signal_s / noise_s).log()
    h = half_s - half_t
    data, drifting = z0, encodings
    # The first step leaves T, where the log-SNR is about -10: extrapolating across it overshoots.
    if previous is not None and t[0] < process.steps * 0.98:
        r = (half_t - previous[0]) / h
        data = z0 + (z0 - previous[1]) / (2 * r)
        if whole:
            drifting = [e + (e - last) / (2 * r) for e, last in zip(encodings, previous[2], strict=True)]
    y_t = z_t - process.drift(drifting, t)
    if xi is None:
        y_s = noise_s / noise_t * y_t - signal_s * torch.expm1(-h) * data
    else:
        gone = -torch.expm1(-2 * h)  # the share of the old noise's variance that fresh noise replaces
        y_s = noise_s / noise_t * torch.exp(-h) * y_t + signal_s * gone * data + noise_s * gone.sqrt() * xi
    return y_s + process.drift(drifting, s), (half_t, z0, encodings)
