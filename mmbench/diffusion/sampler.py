"""Samplers of the multimodal process: ancestral, DDIM and DPM-Solver++(2M), all on the drifted marginal.

Each asks a denoiser for an estimate of z_0 and of every encoding; the encodings' drift is taken off z_t, the plain
update of the diffusion literature is made, and the drift of the next step is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from mmbench.diffusion.process import Process

SamplerName = Literal["ancestral", "ddim", "dpm++"]
#: z_t (n, c, h, w) and steps (n,) to the estimates of z_0 and of each encoding.
Denoiser = Callable[[Tensor, Tensor], tuple[Tensor, Sequence[Tensor]]]
#: The first item on its way from noise: z at the first step, then the estimate of z_0 at every step, each (step, z).
Trace = list[tuple[int, Tensor]]
_watched: ContextVar[Trace | None] = ContextVar("watched", default=None)


@contextmanager
def watch(trace: Trace) -> Iterator[None]:
    """Put into `trace` how the first item of every `sample` in this block came about, of several the last.

    Nothing is evaluated or drawn for it, so the answers are the same.
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


def noise_like(z: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise of z's shape from a CPU generator, so that devices agree."""
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
    generator: torch.Generator | None = None,
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
    generator: torch.Generator,
) -> Tensor:
    """Draw z_0 from z (n, c, h, w) at step `start` with `nfe` evaluations of the denoiser.

    Without `start`, z is noise, at step T.

    Raises:
        ValueError: unknown sampler, or `nfe` or `start` outside 1..T, or fewer steps than evaluations.
    """
    if sampler not in get_args(SamplerName):
        raise ValueError(f"sampler '{sampler}' is not one of {get_args(SamplerName)}")
    steps = time_steps(process, nfe, start)
    previous: tuple[Tensor, Tensor] | None = None
    if (trace := _watched.get()) is not None:
        trace[:] = [(steps[0], z[0].clone())]
    for now, later in pairwise(steps):
        t, s = (torch.full((len(z),), i, dtype=torch.long) for i in (now, later))
        z0, encodings = denoiser(z, t)
        if trace is not None:
            trace.append((now, z0[0].clone()))
        if sampler == "dpm++" and later > 0:
            z, previous = _dpm_step(process, z, z0, encodings, t, s, previous)
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
    previous: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One multistep step (Lu et al. 2022, DPM-Solver++(2M)); `previous` is the last (log-SNR half, z_0 estimate)."""
    (signal_t, noise_t), (signal_s, noise_s) = (process.coefficients(i, z_t) for i in (t, s))
    half_t, half_s = (signal_t / noise_t).log(), (signal_s / noise_s).log()
    h = half_s - half_t
    data = z0
    # The first step leaves T, where the log-SNR is about -10: extrapolating across it overshoots.
    if previous is not None and t[0] < process.steps * 0.98:
        r = (half_t - previous[0]) / h
        data = z0 + (z0 - previous[1]) / (2 * r)
    y_t = z_t - process.drift(encodings, t)
    y_s = noise_s / noise_t * y_t - signal_s * torch.expm1(-h) * data
    return y_s + process.drift(encodings, s), (half_t, z0)
