"""The baselines of labels on cases whose answer is known; their contract is in test_baselines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_data import NETWORK, generator
from oracle import Oracle, Truth
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.experiments.experiment import load_experiment
from mmbench.experiments.labels.tasks import TASKS
from mmbench.method import Batch, Method, Noise, Sampling, Spec, load_method

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CLASSES = 3
SPEC = load_experiment("labels").modalities({"size": [16, 16], "modalities": ["image", "label"], "labels": list("abc")})
COLOURS = torch.tensor([[-0.7, 0.1, 0.6], [0.7, -0.5, 0.0], [0.1, 0.7, -0.7]])
DRAWING = ["cfg_ddpm", "classifier_guidance", "joint_diffusion"]


def build(name: str, **settings: object) -> Method:
    torch.manual_seed(0)
    return load_method(ROOT / "baselines" / "labels" / f"{name}.py", Spec(SPEC, NETWORK, settings)).eval()


def world(count: int, seed: int = 0) -> Batch:
    """Images in the colour of their label, with a little grain."""
    label = torch.arange(count) % CLASSES
    grain = 0.05 * torch.randn(count, 3, 16, 16, generator=generator(seed))
    return {"image": COLOURS[label][:, :, None, None] + grain, "label": label}


def with_oracle(name: str, truth: Truth, **settings: object) -> Method:
    method = build(name, **settings)
    method.backbone, method.head = Oracle(method, truth), nn.Identity()
    if name == "joint_diffusion":
        method.reader = nn.Linear(3, CLASSES)
    return method


def trained(method: Method, batch: Batch, steps: int) -> Method:
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for step in range(steps):
        optimizer.zero_grad()
        method.loss(batch, generator(step))["loss"].backward()
        optimizer.step()
    optimizer.zero_grad()
    return method


@pytest.mark.parametrize("prediction", ["z0", "v", "eps"])
@pytest.mark.parametrize("name", DRAWING)
def test_a_perfect_denoiser_has_no_loss_and_draws_the_truth(name: str, prediction: str) -> None:
    batch = world(4)
    strength = {"cfg_ddpm": "guidance"}.get(name, "scale")
    term = "loss" if name == "cfg_ddpm" else "denoise"
    method = with_oracle(name, batch["image"], prediction=prediction, **{strength: 0.0})
    assert method.loss(batch, generator())[term] < 1e-6
    assert with_oracle(name, -batch["image"], prediction=prediction).loss(batch, generator())[term] > 1e-2
    answer = method.predict(TASKS["paint"], {"label": batch["label"]}, 4, Sampling("ddim", 9), Noise())
    assert torch.allclose(answer["image"], batch["image"], atol=2e-3)


def test_a_world_is_learnt_by_heart() -> None:
    batch = world(12)
    method = trained(build("joint_diffusion"), batch, 40)
    seen = method.predict(TASKS["classify"], {"image": batch["image"]}, 12, Sampling(), Noise())["label"]
    assert torch.equal(seen.argmax(dim=1), batch["label"])
    alpha_bar = torch.full((12,), 0.7)
    z_t = (0.7**0.5 * batch["image"] + 0.3**0.5 * torch.randn(batch["image"].shape, generator=generator(5))).half()
    given = {"noised_image": z_t, "alpha_bar": alpha_bar}
    noised = method.predict(TASKS["classify_noised"], given, 12, Sampling(), Noise())["label"]
    assert noised.dtype == torch.float32 and (noised.argmax(dim=1) == batch["label"]).float().mean() > 0.8


def test_noised_images_are_read_at_the_step_of_their_noise() -> None:
    seen: list[Tensor] = []
    for name in ("noised_classifier", "joint_diffusion", "classifier"):
        method = build(name)
        method.backbone.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[1]))
        alpha_bar = torch.tensor([0.9, 0.5, 0.05])
        given = {"noised_image": torch.zeros(3, 3, 16, 16).half(), "alpha_bar": alpha_bar}
        method.predict(TASKS["classify_noised"], given, 3, Sampling(), Noise())
        if name != "classifier":
            levels = method.process.alpha_bar[seen[0 if name == "noised_classifier" else 1]]
            assert (levels - alpha_bar).abs().max() < 1e-3
    assert len(seen) == 4 and seen[2].tolist() == seen[3].tolist() == [0, 0, 0]  # a clean image, or taken for one
    method = build("noised_classifier")
    method.backbone.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[1]))
    method.predict(TASKS["classify"], {"image": torch.zeros(2, 3, 16, 16)}, 2, Sampling(), Noise())
    assert seen[-1].tolist() == [1, 1]


def test_the_joint_network_classifies_what_it_believes_to_be_behind_the_noise() -> None:
    batch = world(3)
    method = with_oracle("joint_diffusion", batch["image"])
    shown: list[Tensor] = []
    method.classify = lambda image: shown.append(image) or torch.zeros(len(image), CLASSES)
    given = {
        "noised_image": torch.randn(3, 3, 16, 16, generator=generator()).half(),
        "alpha_bar": torch.full((3,), 0.1),
    }
    method.predict(TASKS["classify_noised"], given, 3, Sampling(), Noise())
    assert torch.allclose(shown[0], batch["image"], atol=1e-5)


# Classifier-free guidance


@pytest.mark.parametrize("prediction", ["z0", "v", "eps"])
@pytest.mark.parametrize("guidance", [0.0, 0.5, 2.0])
def test_guidance_goes_beyond_the_conditional_estimate(guidance: float, prediction: str) -> None:
    """The oracle paints its label's colour, and grey when it is not told; the grey is taken off."""

    def truth(z_t: Tensor, _signal: Tensor, _noise: Tensor, vector: Tensor) -> Tensor:
        colour = torch.where(vector[:, 3:4] > 0, 0.5 * COLOURS[vector[:, :3].argmax(dim=1)], torch.full((1, 3), 0.1))
        return colour[:, :, None, None].expand_as(z_t)

    method = with_oracle("cfg_ddpm", truth, guidance=guidance, prediction=prediction)
    method.label = nn.Identity()
    label = torch.tensor([0, 1, 2, 1])
    image = method.predict(TASKS["paint"], {"label": label}, 4, Sampling("ddim", 6), Noise())["image"]
    expected = ((1 + guidance) * 0.5 * COLOURS[label] - guidance * 0.1).clamp(-1, 1)
    assert torch.allclose(image, expected[:, :, None, None].expand_as(image), atol=2e-3)


def test_a_dropped_label_leaves_no_trace_and_a_tenth_are_dropped() -> None:
    method = build("cfg_ddpm")
    nn.init.normal_(method.head[0].weight)
    z_t, t = torch.randn(2, 3, 16, 16, generator=generator()), torch.full((2,), 300)
    one, other = torch.tensor([0, 1]), torch.tensor([2, 0])
    assert torch.equal(method(z_t, t, one, torch.zeros(2)), method(z_t, t, other, torch.zeros(2)))
    assert not torch.allclose(method(z_t, t, one, torch.ones(2)), method(z_t, t, other, torch.ones(2)))
    flags: list[Tensor] = []
    method.label.register_forward_pre_hook(lambda _module, inputs: flags.append(inputs[0][:, 3]))
    for seed in range(20):
        method.loss(world(30), generator(seed))
    assert float(torch.cat(flags).mean()) == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("name", ["cfg_ddpm", "classifier_guidance"])
def test_labels_are_drawn_as_often_as_in_training(name: str) -> None:
    method = build(name)
    assert method.shares.tolist() == pytest.approx([1 / 3] * 3)
    label = torch.tensor([0] * 7 + [2] * 3)
    method.prepare({"image": torch.zeros(10, 3, 16, 16), "label": label})
    drawn = method.predict(TASKS["generate"], {}, 200, Sampling("ddim", 2), Noise())["label"]
    assert drawn.shape == (200, 3) and (drawn.sum(dim=1) == 1).all()
    assert drawn.mean(dim=0).tolist() == pytest.approx([0.7, 0, 0.3], abs=0.1)
    again = method.predict(TASKS["generate"], {}, 200, Sampling("ddim", 2), Noise(1))["label"]
    assert not torch.equal(drawn, again)


# A classifier's gradient


def gaussians(scale: float) -> Method:
    """Classifier guidance with a denoiser and a classifier that know a mixture of two Gaussians."""
    means, deviation = torch.tensor([-0.3, 0.3, 0.0]), 0.15
    shares = torch.tensor([0.5, 0.5, 1e-12])

    def logits(z_t: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        variance = ((signal * deviation) ** 2 + noise**2)[:, 0, 0]
        distance = ((z_t[:, None] - signal[:, None] * means.view(1, 3, 1, 1, 1)) ** 2).sum(dim=(2, 3, 4))
        return shares.log() - distance / (2 * variance)

    def truth(z_t: Tensor, signal: Tensor, noise: Tensor, _vector: Tensor | None) -> Tensor:
        mean = (logits(z_t, signal, noise).softmax(dim=1) @ means)[:, None, None, None]
        gain = signal * deviation**2 / ((signal * deviation) ** 2 + noise**2)
        return mean + gain * (z_t - signal * mean)

    method = with_oracle("classifier_guidance", truth, scale=scale)
    method.classify = lambda z_t, t: logits(z_t, *method.process.coefficients(t, z_t))
    return method


@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_bayes_rule_turns_the_mixture_into_the_class(sampler: str) -> None:
    label = torch.tensor([0, 1] * 8)
    with torch.no_grad():
        image = gaussians(1.0).predict(TASKS["paint"], {"label": label}, 16, Sampling(sampler, 200), Noise())["image"]
        free = gaussians(0.0).predict(TASKS["paint"], {"label": label}, 16, Sampling(sampler, 100), Noise())["image"]
    for c, mean in ((0, -0.3), (1, 0.3)):
        assert float(image[label == c].mean()) == pytest.approx(mean, abs=0.02)
        assert float(image[label == c].std()) == pytest.approx(0.15, rel=0.1)
    right = (free.mean(dim=(1, 2, 3)) > 0) == (label == 1)
    assert 0 < int(right.sum()) < 16  # without guidance the class is left to chance


def test_the_joint_network_paints_towards_its_own_classifier() -> None:
    def painted(scale: float) -> Tensor:
        method = with_oracle("joint_diffusion", torch.zeros(2, 3, 16, 16), scale=scale)
        method.classify = lambda image: torch.stack([-image.sum(dim=(1, 2, 3)), image.sum(dim=(1, 2, 3))], dim=1) / 99
        with torch.no_grad():
            label = torch.tensor([0, 1])
            return method.predict(TASKS["paint"], {"label": label}, 2, Sampling("ddim", 40), Noise())["image"]

    free, little, more = (painted(scale).mean(dim=(1, 2, 3)) for scale in (0.0, 1.0, 10.0))
    assert free.abs().max() < 1e-5
    assert little[0] < -1e-5 and little[1] > 1e-5 and (more.abs() > 3 * little.abs()).all()


# Evaluations


@pytest.mark.parametrize(
    "name, setting, task, denoiser, second",
    [
        ("cfg_ddpm", {"guidance": 0.0}, "paint", 11, 0),
        ("cfg_ddpm", {"guidance": 1.0}, "paint", 10, 0),
        ("cfg_ddpm", {"guidance": 1.0}, "generate", 10, 0),
        ("classifier_guidance", {"scale": 1.0}, "paint", 5, 5),
        ("classifier_guidance", {"scale": 0.0}, "paint", 11, 0),
        ("joint_diffusion", {"scale": 1.0}, "paint", 10, 0),
        ("joint_diffusion", {"scale": 1.0}, "generate", 11, 0),
        ("joint_diffusion", {"scale": 0.0}, "paint", 11, 0),
    ],
)
def test_guided_drawing_stays_within_its_evaluations(
    name: str, setting: dict, task: str, denoiser: int, second: int
) -> None:
    method, counted, others = build(name, **setting), [], []
    method.backbone.register_forward_pre_hook(lambda _module, inputs: counted.append(len(inputs[0])))
    if second:
        method.classifier.register_forward_pre_hook(lambda _module, inputs: others.append(len(inputs[0])))
    given = {"label": torch.tensor([0, 2])} if task == "paint" else {}
    method.predict(TASKS[task], given, 2, Sampling("ddim", 11), Noise())
    assert counted == [2] * denoiser and others == [2] * second


@pytest.mark.parametrize(
    "name, setting", [("cfg_ddpm", "guidance"), ("classifier_guidance", "scale"), ("joint_diffusion", "scale")]
)
def test_a_bad_value_names_method_and_key(name: str, setting: str) -> None:
    with pytest.raises(UserError, match=f"{name}: {setting}: -1.0 is negative"):
        build(name, **{setting: -1})
    with pytest.raises(UserError, match=r"raise sample\.nfe") as caught:
        given = {"label": torch.tensor([0, 2])}
        build(name, **{setting: 1.0}).predict(TASKS["paint"], given, 2, Sampling("ddim", 1), Noise())
    assert "\n" not in str(caught.value)
