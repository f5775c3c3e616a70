"""The baselines of segmentation on cases whose answer is known; their contract is in test_baselines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from fake_data import NETWORK, generator
from oracle import Oracle
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.experiments.experiment import load_experiment
from mmbench.experiments.segmentation.tasks import TASKS
from mmbench.method import Batch, Method, Noise, Sampling, Spec, load_method

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CLASSES = 4
SPEC = load_experiment("segmentation").modalities(
    {"size": [16, 16], "modalities": ["image", "mask"], "classes": list("abcd")}
)


def build(name: str, **settings: object) -> Method:
    torch.manual_seed(0)
    return load_method(ROOT / "baselines" / "segmentation" / f"{name}.py", Spec(SPEC, NETWORK, settings)).eval()


def helper(method: Method) -> object:
    return sys.modules["_class_maps"]


def world(count: int, seed: int = 0) -> Batch:
    """Coarse class maps, and images whose colour is the class's."""
    coarse = torch.randint(0, CLASSES, (count, 4, 4), generator=generator(seed))
    mask = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    colours = torch.tensor([[-0.8, 0.1, 0.7], [0.8, -0.6, 0.0], [0.2, 0.8, -0.8], [-0.5, -0.5, -0.9]])
    return {"image": colours[mask].permute(0, 3, 1, 2), "mask": mask}


def with_oracle(name: str, truth: Tensor, **settings: object) -> Method:
    method = build(name, **settings)
    method.backbone, method.head = Oracle(method, truth), nn.Identity()
    return method


def truth_of(name: str, batch: Batch) -> Tensor:
    """The z_0 of a diffusion baseline for a batch."""
    analog = helper(build(name)).to_analog(batch["mask"], CLASSES)
    return analog if name == "segdiff" else torch.cat([batch["image"], analog], dim=1)


@pytest.mark.parametrize("prediction", ["z0", "v", "eps"])
@pytest.mark.parametrize("name", ["segdiff", "concat_ddpm"])
def test_a_perfect_denoiser_has_no_loss_and_gives_the_truth(name: str, prediction: str) -> None:
    batch = world(3)
    method = with_oracle(name, truth_of(name, batch), prediction=prediction)
    assert method.loss(batch, generator())["loss"] < 1e-6
    wrong = with_oracle(name, -truth_of(name, batch), prediction=prediction)
    assert wrong.loss(batch, generator())["loss"] > 1e-2
    answer = method.predict(TASKS["segment"], {"image": batch["image"]}, 3, Sampling("ddim", 9), Noise())
    assert torch.equal(answer["mask"], batch["mask"])


@pytest.mark.parametrize("name", ["unet", "segdiff", "concat_ddpm", "multitask_regression"])
def test_a_pixel_without_a_class_is_not_one_of_the_first_class(name: str) -> None:
    batch = world(4)
    batch["mask"][:, :4] = 255
    settings = {"segment_share": 1.0} if name == "multitask_regression" else {}
    method = build(name, **settings)
    method.loss(batch, generator())["loss"].backward()
    head = method.mask_head if name == "multitask_regression" else method.head
    gradient = head[0].bias.grad.clone()
    labelled = {**batch, "mask": torch.where(batch["mask"] == 255, 0, batch["mask"])}
    method = build(name, **settings)
    method.loss(labelled, generator())["loss"].backward()
    head = method.mask_head if name == "multitask_regression" else method.head
    assert torch.isfinite(gradient).all() and not torch.allclose(head[0].bias.grad, gradient)


def test_the_joint_denoiser_keeps_what_is_given_and_draws_the_rest() -> None:
    batch = world(4)
    other = world(4, seed=1)
    method = with_oracle("concat_ddpm", truth_of("concat_ddpm", other))  # it believes in another world
    visited: list[tuple[float, Tensor]] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        signal, noise = method.process.coefficients(inputs[1], inputs[0])
        visited.append((float(noise[0, 0]), ((inputs[0][:, :3] - signal * batch["image"]) / noise)))

    method.backbone.register_forward_pre_hook(keep)
    segmented = method.predict(TASKS["segment"], {"image": batch["image"]}, 4, Sampling("ddim", 8), Noise())
    assert torch.equal(segmented["mask"], other["mask"])
    assert len(visited) == 8
    for noise, eps in visited[1:]:  # the given image is in z_t as the process would have it
        assert noise > 0.05 and abs(float(eps.mean())) < 0.05 and abs(float(eps.std()) - 1) < 0.05
    painted = method.predict(TASKS["paint"], {"mask": batch["mask"]}, 4, Sampling("ddim", 8), Noise())
    assert torch.allclose(painted["image"], other["image"], atol=2e-3)
    drawn = method.predict(TASKS["generate"], {}, 4, Sampling("ddim", 8), Noise())
    assert torch.equal(drawn["mask"], other["mask"]) and drawn.keys() == {"image", "mask"}


@pytest.mark.parametrize("draws, nfe, calls", [(1, 20, 20), (5, 20, 20), (5, 7, 5), (5, 2, 2)])
def test_draws_share_the_evaluations(draws: int, nfe: int, calls: int) -> None:
    method, counted = build("segdiff", draws=draws), []
    method.backbone.register_forward_pre_hook(lambda _module, inputs: counted.append(len(inputs[0])))
    method.predict(TASKS["segment"], {"image": world(2)["image"]}, 2, Sampling("ddim", nfe), Noise())
    assert counted == [2] * calls


def test_a_world_is_learnt_by_heart() -> None:
    method, batch = build("multitask_regression"), world(4)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for step in range(80):
        optimizer.zero_grad()
        method.loss(batch, generator(step))["loss"].backward()
        optimizer.step()
    answer = method.predict(TASKS["segment"], {"image": batch["image"]}, 4, Sampling(), Noise())
    assert (answer["mask"] == batch["mask"]).float().mean() > 0.95
    painted = method.predict(TASKS["paint"], {"mask": batch["mask"]}, 4, Sampling(), Noise())["image"]
    assert (painted - batch["image"]).abs().mean() < 0.2


def test_what_is_hidden_from_the_regression_does_not_reach_it() -> None:
    """With only maps hidden, the maps have no say in what the network computes; and the other way round."""
    batch, other = world(3), world(3, seed=5)
    seen: list[Tensor] = []
    for share, name in ((1.0, "mask"), (0.0, "image")):
        method = build("multitask_regression", segment_share=share)
        method.backbone.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        method.loss(batch, generator())
        method.loss({**batch, name: other[name]}, generator())
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[0], seen[2])


def test_a_bad_value_names_method_and_key() -> None:
    with pytest.raises(UserError, match=r"segdiff: draws: .*0"):
        build("segdiff", draws=0)
