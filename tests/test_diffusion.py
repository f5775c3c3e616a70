"""The forward process against iteration, Bayes' rule and diffusers; samplers against exact solutions; noise."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from mmbench.experiments.experiment import Case
from mmbench.inference.answer import answer_case
from mmbench.method import Batch, Method, Modality, Noise, Sampling, Spec, Task
from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.parameterisation import snr_weight, training_target
from mmbench.models.diffusion.process import Omega, Process, alpha_bars, omega_from_w, w_from_omega
from mmbench.models.diffusion.sampler import (
    Denoiser,
    SamplerName,
    Trace,
    ddim_step,
    estimate_eps,
    noise_like,
    sample,
    snr_steps,
    time_steps,
)
from mmbench.stages import predict

SHAPES = ("zero", "bridge", "persist", "constant", "learned")


def image(seed: int, count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_alpha_bar_falls_from_one_to_almost_zero(schedule: str) -> None:
    alpha_bar = alpha_bars(schedule)
    assert alpha_bar[0] == 1 and len(alpha_bar) == 1001
    assert (alpha_bar.diff() < 0).all() and 0 < alpha_bar[-1] < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_w_and_omega_round_trip(shape: str) -> None:
    alpha_bar = alpha_bars(steps=200)
    omega = Omega(shape, 0.5, 2, alpha_bar)().detach()
    assert (omega[0] == 0).all()
    assert torch.allclose(omega_from_w(w_from_omega(omega, alpha_bar), alpha_bar), omega, atol=1e-10)


def test_omega_shapes_are_what_they_say() -> None:
    alpha_bar = alpha_bars()
    bridge, persist, constant, learned = (
        Omega(s, 0.5, 1, alpha_bar)().detach()[:, 0] for s in ("bridge", "persist", "constant", "learned")
    )
    assert bridge.max() == pytest.approx(0.5, abs=1e-4) and bridge[-1] < 1e-3
    assert persist[-1] == pytest.approx(0.5, abs=1e-4) and (persist.diff() >= 0).all()
    assert constant.max() == pytest.approx(0.5)
    w = w_from_omega(constant[:, None], alpha_bar)[1:, 0]
    assert torch.allclose(w, w[0].expand_as(w), rtol=1e-6)
    assert torch.allclose(learned, bridge, atol=1e-4)


def test_learned_omega_has_gradients() -> None:
    omega = Omega("learned", 0.3, 2, alpha_bars(steps=50))
    omega()[25].sum().backward()
    for parameter in omega.parameters():
        assert torch.isfinite(parameter.grad).all() and (parameter.grad != 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_marginal_is_the_iterated_transition(shape: str) -> None:
    """Iterate mean and variance of q(z_t | z_{t-1}, X) and compare with the closed form."""
    process = Process(2, omega=shape, scale=0.4, steps=100)
    z0, encodings = image(0), [image(1), image(2)]
    w = w_from_omega(process.omega().detach(), process.alpha_bar)
    mean, variance = z0, 0.0
    for t in range(1, 101):
        a = process.alpha_bar[t] / process.alpha_bar[t - 1]
        mean = a.sqrt() * (mean + sum(w[t, i] * e for i, e in enumerate(encodings)))
        variance = a * variance + 1 - a
        if t in (1, 7, 50, 100):
            steps = torch.full((3,), t)
            closed = process.marginal(z0, encodings, steps, torch.zeros_like(z0))
            assert torch.allclose(closed, mean, atol=1e-10)
            assert 1 - process.alpha_bar[t] == pytest.approx(float(variance), abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [2, 30, 99])
def test_posterior_is_bayes_rule(shape: str, t: int) -> None:
    """q(z_{t-1} | z_t, z_0, X) of scalars by multiplying the two Gaussians, in float64 to 1e-10."""
    process = Process(1, omega=shape, scale=0.7, steps=100)
    z0, e, eps = image(3), image(4), image(5)
    step = torch.full((3,), t)
    z_t = process.marginal(z0, [e], step, eps).detach()
    a = process.alpha_bar[t] / process.alpha_bar[t - 1]
    w = w_from_omega(process.omega().detach(), process.alpha_bar)[t, 0]
    prior_mean = process.marginal(z0, [e], step - 1, torch.zeros_like(z0))
    prior_precision = 1 / (1 - process.alpha_bar[t - 1])
    # z_t = sqrt(a) (z_{t-1} + w e) + noise of variance 1 - a, as a likelihood of z_{t-1}
    precision = a / (1 - a)
    like_mean = z_t / a.sqrt() - w * e
    variance = 1 / (prior_precision + precision)
    mean = variance * (prior_precision * prior_mean + precision * like_mean)
    ours, ours_variance = process.posterior(z_t, eps, [e], step)
    assert torch.allclose(ours, mean, atol=1e-10)
    assert torch.allclose(ours_variance.flatten(), variance.expand(3), atol=1e-10)


def test_without_modalities_or_omega_it_is_ddpm_of_diffusers() -> None:
    alpha_bar = alpha_bars("linear")
    betas = (1 - alpha_bar[1:] / alpha_bar[:-1]).numpy()
    ddpm = DDPMScheduler(trained_betas=betas, variance_type="fixed_small", clip_sample=False)
    ddim = DDIMScheduler(trained_betas=betas, clip_sample=False, set_alpha_to_one=True)
    ddim.set_timesteps(1000)
    for scheduler in (ddpm, ddim):  # their float32 tables lose three digits of 1 - alpha_bar at small t
        scheduler.alphas_cumprod = alpha_bar[1:]
        scheduler.alphas = alpha_bar[1:] / alpha_bar[:-1]
        scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    z0, eps, e = image(0), image(1), image(2)
    for process, encodings in ((Process(0, schedule="linear"), []), (Process(1, schedule="linear"), [e])):
        for t in (1, 2, 500, 1000):
            step = torch.full((3,), t)
            z_t = process.marginal(z0, encodings, step, eps)
            assert torch.allclose(z_t, ddpm.add_noise(z0, eps, step - 1), atol=1e-8)
            mean, variance = process.posterior(z_t, eps, encodings, step)
            theirs = ddpm.step(eps, t - 1, z_t, generator=torch.Generator().manual_seed(0))
            if t > 1:
                noise = torch.randn(z_t.shape, generator=torch.Generator().manual_seed(0), dtype=z_t.dtype)
                assert torch.allclose(mean + variance.sqrt() * noise, theirs.prev_sample, atol=1e-8)
            ours = ddim_step(process, z_t, z0, encodings, step, step - 1)
            assert torch.allclose(ours, ddim.step(eps, t - 1, z_t).prev_sample, atol=1e-6)


def test_ddim_with_eta_one_is_the_posterior() -> None:
    process = Process(1, omega="bridge", scale=0.5, steps=100)
    z0, e, eps = image(0), image(1), image(2)
    t = torch.full((3,), 40)
    z_t = process.marginal(z0, [e], t, eps)
    mean, variance = process.posterior(z_t, eps, [e], t)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(z_t.shape, generator=torch.Generator().manual_seed(1)).to(z_t)
    step = ddim_step(process, z_t, z0, [e], t, t - 1, eta=1.0, generator=generator)
    assert torch.allclose(step, mean + variance.sqrt() * noise, atol=1e-8)


def test_exact_step_kl_is_the_kl_of_the_two_gaussians() -> None:
    process = Process(1, omega="bridge", scale=0.5, steps=100)
    z0, e, eps = image(0), image(1), image(2)
    eps_hat, e_hat = eps + 0.1 * image(3), e + 0.1 * image(4)
    t = torch.tensor([2, 50, 99])
    z_t = process.marginal(z0, [e], t, eps)
    mean, variance = process.posterior(z_t, eps, [e], t)
    model_mean, _ = process.posterior(z_t, eps_hat, [e_hat], t)
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(mean, variance.sqrt()), normal(model_mean, variance.sqrt()))
    ours = losses.step_kl(process, eps, eps_hat, [e], [e_hat], t)
    assert torch.allclose(ours, kl.flatten(1).sum(1), rtol=1e-8)


@pytest.mark.parametrize("kind", ["z0", "v", "eps"])
def test_the_weighted_loss_counts_an_error_in_z0_alike_whatever_is_predicted(kind: str) -> None:
    process, z0, eps, wrong = Process(), image(0), image(1), image(2)
    t = torch.tensor([20, 500, 980])
    signal, noise = process.coefficients(t, z0)
    wrong_eps = (signal * z0 + noise * eps - signal * wrong) / noise  # explains the same z_t
    error = training_target(kind, wrong, wrong_eps, signal, noise) - training_target(kind, z0, eps, signal, noise)
    weighted = snr_weight(kind, signal, noise, bound=10.0) * error**2
    counted = ((kind != "eps") + (signal / noise) ** 2).clamp(max=10.0)
    assert (counted.flatten() == 10.0).tolist() == [True, False, False]
    torch.testing.assert_close(weighted, counted * (wrong - z0) ** 2)


@pytest.mark.parametrize("kind", ["v", "eps"])
def test_the_weight_without_a_bound_is_the_plain_loss(kind: str) -> None:
    signal, noise = Process().coefficients(torch.arange(1, 1001), image(0))
    torch.testing.assert_close(snr_weight(kind, signal, noise, bound=1e9), torch.ones_like(noise))


def test_prior_kl_against_torch_distributions() -> None:
    process = Process(1, omega="persist", scale=0.5, steps=100)
    z0, e = image(0), image(1)
    last = torch.full((3,), 100)
    mean = process.marginal(z0, [e], last, torch.zeros_like(z0))
    normal = torch.distributions.Normal
    q = normal(mean, (1 - process.alpha_bar[-1]).sqrt())
    kl = torch.distributions.kl_divergence(q, normal(torch.zeros_like(mean), torch.ones_like(mean)))
    assert torch.allclose(losses.prior_kl(process, z0, [e]), kl.flatten(1).sum(1), rtol=1e-8)


def test_time_steps_and_their_errors() -> None:
    process = Process(0)
    assert time_steps(process, 4) == [1000, 750, 500, 250, 0]
    for nfe in (0, 1001):
        with pytest.raises(ValueError, match="nfe must be between 1 and the first step, at most 1000"):
            time_steps(process, nfe)
    with pytest.raises(ValueError, match="not one of"):
        sample(process, lambda z, t: (z, []), image(0), sampler="euler", nfe=2, generator=torch.Generator())
    with pytest.raises(ValueError, match="not one of"):
        Process(1, omega="wave", scale=1.0)


def test_eps_estimate_inverts_the_marginal() -> None:
    process = Process(1, omega="constant", scale=0.5)
    z0, e, eps = image(0), image(1), image(2)
    t = torch.tensor([1, 400, 1000])
    z_t = process.marginal(z0, [e], t, eps)
    assert torch.allclose(estimate_eps(process, z_t, z0, [e], t), eps, atol=1e-6)


def test_the_nearest_step_of_a_noise_level() -> None:
    process = Process()
    steps = torch.tensor([1, 2, 500, 999, 1000])
    assert torch.equal(process.step_of(process.alpha_bar[steps]), steps)
    assert process.step_of(torch.tensor([1.0, 0.0])).tolist() == [1, 1000]


# Samplers against the exact solution of their equation, which Gaussian data have in closed form


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


# The noise of predictions: each item has its own, whatever batch it is in


SHAPE = (3, 8, 8)


def drawn(count: int, noise: Noise) -> list[torch.Tensor]:
    """What a sampler takes: noise to start from, of a step, and of another shape."""
    return [noise_like(torch.empty(count, *shape), noise) for shape in (SHAPE, SHAPE, (5,))]


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_it_is_the_same_to_the_bit_in_every_batch(size: int, draws: int) -> None:
    whole = drawn(7, Noise(5, draws=draws))
    parts = [drawn(min(size, 7 - first), Noise(5, first, draws)) for first in range(0, 7, size)]
    for all_at_once, in_parts in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(all_at_once, torch.cat(in_parts))


def test_a_draw_of_an_item_does_not_depend_on_how_many_there_are() -> None:
    one, three = (Noise(draws=draws).normal(2 * draws, *SHAPE).view(2, draws, *SHAPE) for draws in (1, 3))
    assert torch.equal(three[:, :1], one)


def test_seeds_items_and_draws_differ() -> None:
    noise = torch.cat([Noise(seed, draws=4).normal(40, 2) for seed in range(3)])
    assert len(noise.unique(dim=0)) == len(noise)


def test_it_is_standard_normal_and_independent_across_items() -> None:
    """Generators of neighbouring seeds: five standard errors."""
    z = Noise().normal(20_000, 4)
    assert z.mean(dim=0).abs().max() < 5 / 20_000**0.5
    assert (z.var(dim=0) - 1).abs().max() < 5 * (2 / 20_000) ** 0.5
    assert (z[1:] * z[:-1]).mean(dim=0).abs().max() < 5 / 20_000**0.5
    assert (z[:, 1:] * z[:, :-1]).mean(dim=0).abs().max() < 5 / 20_000**0.5


def test_what_was_drawn_before_is_not_drawn_again() -> None:
    noise = Noise()
    first, more = noise.normal(2, *SHAPE), noise.normal(3, *SHAPE)
    assert (first[0] != more[0]).all()
    assert torch.equal(more[2], Noise(first=2).normal(1, *SHAPE)[0])


# How a sampled picture came about: recorded beside the answers, which it neither changes nor makes dearer


class Drawing(Method):
    """Samples an image, beside `more` channels, and answers with what `turn` makes of it."""

    def __init__(self, more: int, turn: float) -> None:
        super().__init__(Spec({"image": Modality("image", (3, 4, 4))}))
        self.more, self.turn, self.process, self.asked = more, turn, Process(), 0

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        def denoise(z: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            self.asked += 1
            return torch.sin(z + t[0]), []

        noise = generator.normal(count, 3 + self.more, 4, 4)
        z0 = sample(self.process, denoise, noise, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        return {"image": self.turn * z0[:, :3]}


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm++"])
@pytest.mark.parametrize("more", [0, 2])
def test_how_a_picture_came_about_costs_and_changes_nothing(sampler: str, more: int) -> None:
    method, case = Drawing(more, 1.0), Case("generate", "generate", 5, {}, {}, {}, ("image",))
    task, answers, trace = Task("generate", (), ("image",)), [], Trace()
    for seen in (None, trace):
        asked: dict[str, Any] = {
            "sampling": Sampling(sampler, 20),
            "batch_size": 2,
            "device": torch.device("cpu"),
            "trace": seen,
        }
        answers.append(answer_case(method, task, case, **asked))
    assert method.asked == 2 * 3 * 20
    np.testing.assert_array_equal(answers[0]["generate/image"], answers[1]["generate/image"])
    found = predict.trajectory("generate", trace, answers[1])
    assert found["generate/step"].tolist() == [1000, 1000, 850, 750, 600, 450, 300, 200, 50]
    np.testing.assert_array_equal(found["generate/image"][-1], answers[0]["generate/image"][0])
    assert not predict.trajectory("generate", [], answers[1])
    turned = {"generate/image": 255 - answers[1]["generate/image"]}  # what was sampled is not what was answered
    assert not predict.trajectory("generate", trace, turned)
