"""The forward process against iteration, Bayes' rule and diffusers."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.parameterisation import snr_weight, training_target
from mmbench.models.diffusion.process import Omega, Process, alpha_bars, omega_from_w, w_from_omega
from mmbench.models.diffusion.sampler import ddim_step, estimate_eps, sample, time_steps

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


@pytest.mark.parametrize("shape", SHAPES)
def test_exact_step_kl_of_a_perfect_predictor_is_zero(shape: str) -> None:
    process = Process(1, omega=shape, scale=0.5, steps=100)
    eps, e = image(0), image(1)
    t = torch.tensor([2, 50, 100])
    assert losses.step_kl(process, eps, eps, [e], [e], t).abs().max() == 0
    worse = losses.step_kl(process, eps, eps + 0.1, [e], [e], t)
    assert (worse > 0).all()
    if shape != "zero":
        assert (losses.step_kl(process, eps, eps, [e], [e + 0.1], t) > 0).all()


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


def gaussian_denoiser(process: Process, mean: float, sd: float, encoding: torch.Tensor):
    """E[z_0 | z_t] when z_0 ~ N(mean, sd^2) and the encoding is a constant: the optimal denoiser, linear in z_t."""

    def denoise(z_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        signal, noise = process.coefficients(t, z_t)
        encodings = [encoding.expand_as(z_t)]
        y = z_t - process.drift(encodings, t)
        gain = signal * sd**2 / (signal**2 * sd**2 + noise**2)
        return mean + gain * (y - signal * mean), encodings

    return denoise


@pytest.mark.parametrize(("sampler", "nfe"), [("ancestral", 1000), ("ddim", 200), ("dpm++", 25)])
@pytest.mark.parametrize("shape", ["zero", "bridge"])
def test_samplers_give_the_moments_of_a_known_gaussian(sampler: str, nfe: int, shape: str) -> None:
    process = Process(1, omega=shape, scale=0.5)
    encoding = torch.full((1, 1, 1, 1), 0.8, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 1, 1, 1, generator=generator).double()
    denoise = gaussian_denoiser(process, 0.3, 0.5, encoding)
    z0 = sample(process, denoise, z, sampler=sampler, nfe=nfe, generator=generator)
    assert z0.mean().item() == pytest.approx(0.3, abs=0.03)
    assert z0.std().item() == pytest.approx(0.5, abs=0.03)


def test_dpm_solver_converges_faster_than_ddim() -> None:
    process = Process(1, omega="bridge", scale=0.5)
    denoise = gaussian_denoiser(process, 0.3, 0.5, torch.full((1, 1, 1, 1), 0.8, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(500, 1, 1, 1, generator=generator).double()
    exact = sample(process, denoise, z, sampler="ddim", nfe=1000, generator=generator)
    error = {
        name: (sample(process, denoise, z, sampler=name, nfe=20, generator=generator) - exact).abs().mean()
        for name in ("ddim", "dpm++")
    }
    assert error["dpm++"] < 0.5 * error["ddim"]


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
