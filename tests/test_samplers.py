"""Samplers against the exact solution of their equation, which Gaussian data have in closed form."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import get_args

import pytest
import torch

from mmbench.models.diffusion.process import Process
from mmbench.models.diffusion.sampler import Denoiser, SamplerName, sample, snr_steps, time_steps

STEPS = 20_000  # so fine that a step's place is as wanted
#: Deviations of z_0 from pixel to pixel, and of the encoding, and their correlation.
DEVIATIONS = torch.tensor([0.1, 0.25, 0.5, 0.8], dtype=torch.float64).reshape(1, 1, 2, 2)
ENCODING, CORRELATION = 0.5, 0.6
MEAN, ENCODING_MEAN = 0.3, 0.2


def moments(process: Process, t: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of z_t at steps t (n,): its mean and variance, and its covariances with z_0 and with the encoding."""
    signal, noise = process.coefficients(t, DEVIATIONS)
    omega = process.omega().detach()[t, 0].reshape(-1, 1, 1, 1)
    both = CORRELATION * DEVIATIONS * ENCODING
    mean = signal * MEAN + omega * ENCODING_MEAN
    variance = (signal * DEVIATIONS) ** 2 + (omega * ENCODING) ** 2 + 2 * signal * omega * both + noise**2
    return mean, variance, signal * DEVIATIONS**2 + omega * both, signal * both + omega * ENCODING**2


def denoiser(process: Process) -> Denoiser:
    """The posterior means of z_0 and of the encoding given z_t: what a perfect network says."""

    def denoise(z_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        mean, variance, with_z0, with_encoding = moments(process, t)
        off = (z_t - mean) / variance
        return MEAN + with_z0 * off, [ENCODING_MEAN + with_encoding * off]

    return denoise


def error(process: Process, z: torch.Tensor, sampler: str, nfe: int) -> float:
    """Mean distance of the samples from the exact solution, which keeps every item's quantile."""
    mean, variance, *_ = moments(process, torch.tensor([process.steps]))
    exact = MEAN + DEVIATIONS * (z - mean) / variance.sqrt()
    found = sample(process, denoiser(process), z, sampler=sampler, nfe=nfe, generator=torch.Generator())
    return float((found - exact).abs().mean())


def order(process: Process, sampler: str) -> float:
    """The exponent with which the error falls, from 20 to 80 evaluations."""
    z = torch.randn(50, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    return math.log(error(process, z, sampler, 20) / error(process, z, sampler, 80), 4)


@pytest.mark.parametrize("shape", ["zero", "bridge", "persist"])
def test_the_order_of_a_sampler_where_the_encoding_has_to_be_estimated(shape: str) -> None:
    process = Process(1, omega=shape, scale=0.5, steps=STEPS)
    orders = {sampler: order(process, sampler) for sampler in ("ddim", "dpm++", "dpm++snr")}
    assert 0.9 < orders["ddim"] < 1.1
    assert orders["dpm++snr"] > 1.9
    assert orders["dpm++"] > (1.7 if shape != "bridge" else 1.5)  # of second order in z_0 alone


def spread_error(process: Process, sampler: str, nfe: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Distance of the samples' deviation from that of z_0: exact, since samples are linear in every noise there is.

    Item 0 has no noise, item 1 a unit of the first, each other a unit of that of one step.
    """
    mean, variance, *_ = moments(process, torch.tensor([process.steps]))
    z = mean.expand_as(DEVIATIONS).repeat(nfe + 2, 1, 1, 1)
    z[1] += variance[0].sqrt()
    drawn = iter(range(2, nfe + 2))

    def unit(z: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
        noise = torch.zeros_like(z)
        noise[next(drawn)] = 1
        return noise

    monkeypatch.setattr("mmbench.models.diffusion.sampler.noise_like", unit)
    found = sample(process, denoiser(process), z, sampler=sampler, nfe=nfe, generator=torch.Generator())
    deviation = (found[1:] - found[0]).square().sum(dim=0).sqrt()
    return float((deviation - DEVIATIONS[0]).abs().mean())


@pytest.mark.parametrize("shape", ["zero", "bridge", "persist"])
def test_the_stochastic_sampler_draws_from_the_right_distribution(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(1, omega=shape, scale=0.5, steps=STEPS)
    few, many = (spread_error(process, "dpm++sde", nfe, monkeypatch) for nfe in (20, 80))
    assert math.log(few / many, 4) > 1.7
    ancestral = spread_error(process, "ancestral", 20, monkeypatch)
    assert few < 0.3 * ancestral


def test_steps_even_in_the_log_snr_are_nearer_to_the_exact_solution() -> None:
    process = Process(1, omega="bridge", scale=0.25)
    z = torch.randn(50, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    for nfe in (10, 20):
        assert error(process, z, "dpm++snr", nfe) < 0.7 * error(process, z, "dpm++", nfe)


def test_an_encoding_that_is_known_makes_no_difference_to_the_order() -> None:
    """The drift of a constant is integrated exactly, so that extrapolating it changes nothing but rounding."""
    process, plain = Process(1, omega="bridge", scale=0.5), Process()
    z = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    encoding = torch.full_like(z, 0.7)

    def known(z_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return z_t - process.drift([encoding], t), [encoding]

    def none(z_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return z_t, []

    drifted = z + process.drift([encoding], torch.full((5,), process.steps))
    for name in get_args(SamplerName):
        found, other = (
            sample(p, d, start, sampler=name, nfe=10, generator=torch.Generator().manual_seed(1))
            for p, d, start in ((process, known, drifted), (plain, none, z))
        )
        torch.testing.assert_close(found, other)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize(
    ("nfe", "start"), [(1, None), (2, None), (20, None), (250, None), (1000, None), (7, 7), (9, 400)]
)
def test_steps_in_the_log_snr_differ_and_end_at_0(schedule: str, nfe: int, start: int | None) -> None:
    process = Process(schedule=schedule)
    steps = snr_steps(process, nfe, start)
    assert len(steps) == nfe + 1 and steps[0] == (start or 1000) and steps[-1] == 0
    assert all(now > later for now, later in pairwise(steps))


def test_steps_in_the_log_snr_are_even_where_there_is_room() -> None:
    process = Process(steps=STEPS)
    half = 0.5 * (process.alpha_bar / (1 - process.alpha_bar)).log()
    gaps = half[snr_steps(process, 20)[1:-1]].diff()
    assert gaps.min() > 0.9 * gaps.max()
    with pytest.raises(ValueError, match="nfe must be between 1 and the first step"):
        snr_steps(process, 5, 4)
    assert time_steps(Process(), 4) == [1000, 750, 500, 250, 0]
