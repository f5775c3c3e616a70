"""SDEdit and the masked autoencoder: what sets them apart from the contract that every baseline fulfils."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from fake_data import NETWORK, generator

from mmbench.experiments.experiment import load_experiment
from mmbench.experiments.masking.tasks import TASKS
from mmbench.method import Batch, Method, Noise, Sampling, Spec, load_method
from mmbench.modalities.masked_image import draw_masks, hide

ROOT = Path(__file__).parents[1]
RECONSTRUCT = TASKS["reconstruct"]


def build(name: str, size: int = 16, **settings: object) -> Method:
    torch.manual_seed(0)
    spec = Spec(load_experiment("masking").modalities({"size": [size, size]}), NETWORK, settings)
    return load_method(ROOT / "baselines" / "masking" / f"{name}.py", spec).eval()


def flat_images(count: int, size: int = 16) -> Batch:
    """Images of one colour each, half hidden."""
    colours = torch.rand(count, 3, 1, 1, generator=generator()) * 1.6 - 0.8
    image = colours.expand(-1, -1, size, size).contiguous()
    seen = draw_masks(torch.full((count,), 0.5), size, size, generator())
    return {"image": image, "masked_image": hide(image, seen)}


def test_the_filling_is_right_where_there_is_one_colour() -> None:
    build("sdedit")
    fill = sys.modules["mmbench_method_baselines_masking_sdedit"].pull_push
    batch = flat_images(4)
    seen = batch["masked_image"][:, 3:]
    torch.testing.assert_close(fill(batch["masked_image"][:, :3], seen), batch["image"], atol=1e-5, rtol=0)
    halves = torch.linspace(-1, 1, 15).view(1, 1, 1, 15).repeat(1, 3, 15, 1)
    one = torch.zeros(1, 1, 15, 15)
    one[..., 0, 0] = 1
    filled = fill(halves * one, one)
    torch.testing.assert_close(filled, torch.full_like(filled, -1.0), atol=1e-5, rtol=0)
    assert fill(halves, torch.zeros_like(one)).abs().max() == 0


@pytest.mark.parametrize(("strength", "calls"), [(1.0, 6), (0.3, 6), (0.003, 3)])
def test_all_evaluations_go_into_the_steps_that_are_left(strength: float, calls: int) -> None:
    method, seen = build("sdedit", strength=strength), []
    method.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(int(inputs[1][0])))
    method.predict(RECONSTRUCT, {"masked_image": flat_images(2)["masked_image"]}, 2, Sampling("ddim", 6), Noise())
    assert len(seen) == calls and seen[0] == round(strength * 1000) and seen == sorted(seen, reverse=True)


def test_the_autoencoder_learns_to_fill() -> None:
    batch = flat_images(8)
    method = build("mae")
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    losses = []
    for step in range(80):
        optimizer.zero_grad()
        loss = method.loss(batch, generator(step))["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    image = method.predict(RECONSTRUCT, {"masked_image": batch["masked_image"]}, 8, Sampling(), Noise())["image"]
    assert (image - batch["image"]).abs().mean() < 0.1
