"""The controls of the multitask model: the same masked images without a second task, the same heads without a space."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from fake_data import generator
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmbench.config.configuration import Config
from mmbench.config.discovery import MULTITASK
from mmbench.config.yaml_files import read_yaml
from mmbench.experiments.experiment import load_experiment
from mmbench.method import Batch, Method, Noise, Sampling, Spec, load_method

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAPER = ("masking", "segmentation", "labels", "embedding")
NETWORK = {"width": 16, "channel_mult": [1, 2], "patch": 2}
CARD = {
    "size": [16, 16],
    "modalities": ["image", "mask", "label", "embedding", "depth"],
    "classes": ["sky", "road", "house", "tree"],
    "labels": ["dark", "dusk", "day"],
    "embedding": {"size": 20},
}
CONTROL = "mt_diffusion@omega_zero"


@cache
def config() -> Config:
    values = read_yaml(ROOT / "config" / "config.yaml", ROOT)
    return Config({**values, "override": {"experiments": list(PAPER)}}, ROOT)


def build(experiment: str, name: str, **settings: object) -> Method:
    """A method or variant as configured, with heads that are not zero, as after training."""
    torch.manual_seed(0)
    spec = Spec(
        load_experiment(experiment).modalities(CARD), NETWORK, config().section(experiment, name).settings | settings
    )
    base = name.partition("@")[0]
    path = MULTITASK if base == "mt_diffusion" else Path("baselines", experiment, f"{base}.py")
    method = load_method(ROOT / path, spec).eval()
    for parameter in method.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05, generator=generator(1))
    return method


def batch_of(experiment: str, count: int = 12) -> Batch:
    rng = generator(3)
    image = nn.functional.interpolate(torch.rand(count, 3, 4, 4, generator=rng) * 2 - 1, size=(16, 16))
    whole = {
        "image": image,
        "mask": torch.randint(0, 4, (count, 16, 16), generator=rng),
        "label": torch.randint(0, 3, (count,), generator=rng),
        "embedding": torch.randn(count, 20, generator=rng),
    }
    return made(experiment, whole, rng)


def made(experiment: str, batch: Batch, rng: torch.Generator) -> Batch:
    asked = load_experiment(experiment)
    return asked.training_batch(batch, asked.modalities(CARD), rng)


def seen_by(method: Method, batch: Batch, seed: int = 5) -> tuple[Tensor, Tensor]:
    """What the backbone is given in one training step: its input and the steps."""
    found: list[tuple[Tensor, Tensor]] = []
    hook = method.backbone.register_forward_pre_hook(lambda _module, inputs: found.append((inputs[0], inputs[1])))
    method.loss(batch, generator(seed))
    hook.remove()
    return found[0]


def flops(method: Method, batch: Batch) -> int:
    """Operations of one training step, as a training counts them."""
    with FlopCounterMode(display=False) as counter:
        method.loss(batch, generator())["loss"].backward()
    return counter.get_total_flops()


def size(method: Method) -> int:
    return sum(p.numel() for p in method.parameters())


# Masked images as augmentation


def test_it_sees_the_ddpms_batch_steps_and_noise() -> None:
    batch = batch_of("masking")
    (plain, steps), (told, same) = (
        seen_by(build("masking", name, **own), batch)
        for name, own in (("ddpm", {}), ("ddpm_augmented", {"share": 0.0}))
    )
    assert torch.equal(steps, same) and torch.equal(plain, told[:, :3]) and (told[:, 3] == 1).all()


def test_masked_items_are_the_masked_images_of_the_batch_and_said_to_be() -> None:
    batch = batch_of("masking", 64)
    method = build("masking", "ddpm_augmented")
    (whole, t), (told, _) = seen_by(build("masking", "ddpm"), batch), seen_by(method, batch)
    signal, _ = method.process.coefficients(t, whole)
    visible = batch["masked_image"][:, 3:]
    masked = (told[:, 3:] != 1).flatten(1).any(dim=1)
    assert torch.equal(told[masked][:, 3:], visible[masked]) and (told[~masked][:, 3] == 1).all()
    lost = whole - told[:, :3]  # the noise is the same, so what differs is the hidden part of z_0
    expected = (signal * (1 - visible) * batch["image"]) * masked[:, None, None, None]
    torch.testing.assert_close(lost, expected, atol=1e-5, rtol=0)
    shares = build("masking", "mt_diffusion").shares["masked_image"]
    assert method.share == pytest.approx(shares[1] + shares[2]) and 0.4 < masked.float().mean() < 0.8


# Heads without a shared space


@pytest.mark.parametrize("experiment", PAPER)
def test_without_a_shared_space_z_t_is_the_images_alone(experiment: str) -> None:
    assert config().section(experiment, CONTROL).settings["omega"] == "zero"
    batch, method = batch_of(experiment), build(experiment, CONTROL)
    noised = method.noise(batch, generator())
    alone = method.process.marginal(batch["image"], [], noised.t, noised.eps)
    assert torch.equal(noised.z_t, alone)
    aggregated = build(experiment, "mt_diffusion").noise(batch, generator())
    assert not torch.allclose(aggregated.z_t, method.process.marginal(batch["image"], [], aggregated.t, aggregated.eps))


@pytest.mark.parametrize("experiment", PAPER)
def test_without_a_shared_space_no_encoder_has_a_say(experiment: str) -> None:
    """Neither in training nor in any answer; the heads do learn, and what is given still counts."""
    batch, method = batch_of(experiment), build(experiment, CONTROL)
    terms = method.loss(batch, generator())
    terms["loss"].backward()
    weights = [name for name, weight in method.recovery_weights.items() if weight]
    learnt = {
        name for name in weights if (p := next(method.model.decoders[name].parameters()).grad) is not None and p.any()
    }
    assert learnt == (set(weights) - {"masked_image"}) != set()  # a masked image can be read off nothing but itself
    assert all(p.grad is None or not p.grad.any() for p in method.model.encoders.parameters())
    other = build(experiment, CONTROL)
    for parameter in other.model.encoders.parameters():
        nn.init.normal_(parameter, std=3.0)
    assert torch.equal(terms["loss"], other.loss(batch, generator())["loss"])
    for task in load_experiment(experiment).tasks.values():
        if "noised_image" in task.given:
            continue
        given = {name: batch[name] for name in task.given}
        answers = [m.predict(task, given, 12, Sampling("ddim", 3), Noise()) for m in (method, other)]
        assert all(torch.equal(answers[0][name], answers[1][name]) for name in task.want)
        if given:
            turned = {name: value.roll(1, dims=0) for name, value in given.items()}
            again = method.predict(task, turned, 12, Sampling("ddim", 3), Noise())
            assert any(not torch.equal(answers[0][name], again[name]) for name in task.want)


# Compute


@pytest.mark.parametrize("experiment, name, beside", [
    ("masking", "ddpm_augmented", "ddpm"), *((experiment, CONTROL, "mt_diffusion") for experiment in PAPER)
])  # fmt: skip
def test_a_control_has_the_compute_of_what_it_controls(experiment: str, name: str, beside: str) -> None:
    """Parameters, operations of a step, and steps; all methods are given the same batches."""
    batch, methods = batch_of(experiment), [build(experiment, n) for n in (name, beside)]
    assert size(methods[0]) / size(methods[1]) == pytest.approx(1, abs=0.05)
    assert flops(methods[0], batch) / flops(methods[1], batch) == pytest.approx(1, abs=0.05)
    assert (
        config().section(experiment, name).steps
        == config().section(experiment, beside).steps
        == config().profile.train.steps
    )
