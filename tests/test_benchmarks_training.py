"""The benchmarks of training run, at a size that says nothing; what is faster in our loop changes no loss."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.files.store import read_json
from mmbench.models.diffusion.painter import Painter
from mmbench.training.schedule import learning_rate, step_generator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
#: What takes long of what the loops import.
IMPORTED = ["diffusers.models", "diffusers.schedulers", "diffusers.models.unets.unet_2d", "diffusers.training_utils",
            "denoising_diffusion_pytorch", "mmbench.training.loop"]  # fmt: skip


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a benchmark by its name."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that train in turns are forks of one that has imported all: their figures are no test's matter."""
    real, server = multiprocessing.get_context, multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(IMPORTED)
    monkeypatch.setattr(multiprocessing, "get_context", lambda name=None: server if name == "spawn" else real(name))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)


def plain(loops: ModuleType, images: np.ndarray, network: torch.nn.Module, ours: Any, steps: int) -> list[float]:
    """The losses of the plainest loop on our batches: no fused optimiser."""
    settings, scheduler = ours.training.train, loops.DDPMScheduler()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.0, foreach=False, fused=False)
    losses = []
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = learning_rate(step, settings)
        generator = step_generator(0, step)
        batch = ours.training.batch(step, generator)["image"]
        noise = torch.randn(batch.shape, generator=generator)
        t = torch.randint(1000, (len(batch),), generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings["precision"] == "bf16"):
            loss = loops.mse(network, batch, noise, t, scheduler)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=False)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 5e-3)])
def test_our_loop_has_the_losses_of_a_plain_one(
    load: Any, images: np.ndarray, precision: str, tolerance: float
) -> None:
    loops = load("loops")
    network = loops.unet(16, (32, 32))
    same = loops.Same(copy.deepcopy(network))
    if precision == "bf16":  # in which diffusers' attention is another (tests/test_unet.py)
        network = copy.deepcopy(same)
    ours = loops.Ours(images, loops.Plain(same), 4, precision, learning_rate=3e-3, warmup=2)
    ours.steps(8)
    losses = [float(loss) for loss in ours.losses]
    assert losses == pytest.approx(plain(loops, images, network, ours, 8), rel=tolerance)
    assert max(abs(a - b) for a, b in pairwise(losses)) > 10 * tolerance  # there is something to differ in


def test_loops_are_timed_in_turns(load: Any, forked: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = load("training")
    out = tmp_path / "training.json"
    small = ["--sizes", "16", "--precisions", "fp32", "--channels", "32", "32", "--batch-size", "4"]
    training.main([*small, "--rounds", "2", "--steps", "1", "--out", str(out)])
    record, measured = read_json(out), read_json(RESULTS / "training-cpu.json")
    assert capsys.readouterr().out.strip() == out.with_suffix(".md").read_text().strip()
    assert [set(run) for run in record["runs"]] == [set(measured["runs"][0])]
    run = record["runs"][0]
    assert set(run["loops"]) == {training.OURS, training.THEIRS, training.KEEPING, training.ALONE}
    assert all(loop["images_per_second"]["cpu"]["median"] > 0 for loop in run["loops"].values())
    assert run["flops_per_image"] > 1e6 and min(loop["peak_bytes"] for loop in run["loops"].values()) > 1e7


@pytest.fixture
def contenders(load: Any, tmp_path: Path) -> dict[str, Any]:
    """All that race, on the same made-up images."""
    quality = load("quality")
    train = np.random.default_rng(0).integers(0, 256, (120, 3, 32, 32), dtype=np.uint8)
    for number, image in enumerate(train):
        quality.Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"{number}.png")
    asked = {"test": train[:2], "count": 2, "evaluations": 2, "steps": 10}
    return {name: quality.make(name, tmp_path, train, seed=1, **asked) for name in quality.NAMES}


def test_all_that_race_learn_and_are_asked_from_the_same_noise(load: Any, contenders: dict[str, Any]) -> None:
    sizes, first = [], []
    for name, loop in contenders.items():
        before = [p.detach().clone() for p in loop.network.parameters()]
        loop.steps(2)  # the example begins with a learning rate of 0
        assert any(not torch.equal(a, b) for a, b in zip(before, loop.network.parameters(), strict=True)), name
        answers = loop.answers()
        assert {k: (v.shape, v.dtype.name) for k, v in answers.items()} == {
            "drawn": ((2, 3, 32, 32), "uint8"),
            "restored": ((2, 3, 32, 32), "uint8"),
        }
        seen: list[Tensor] = []
        loop.averaged = lambda seen=seen: lambda x, t: seen.append(x) or x
        loop.answers()
        first.append(seen[0])
        sizes.append(sum(p.numel() for p in loop.network.parameters()))
    assert all(torch.equal(noise, first[0]) for noise in first)
    ours = sizes[list(contenders).index(load("quality").OURS)]
    assert max(sizes) / ours <= 1.05 and min(sizes) / ours >= 0.95


def test_a_perfect_network_gives_the_image_at_every_noise_of_its_own_schedule(
    load: Any, contenders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each network is trained to say, and the index of its step, are those of its own program."""
    quality = load("quality")
    generator = torch.Generator().manual_seed(0)
    x_0, eps = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1, torch.randn(2, 3, 32, 32, generator=generator)
    for name, loop in contenders.items():
        own = name in (quality.OURS, quality.PLAIN)
        network = Painter if own else type(getattr(loop.network, "model", loop.network))
        first = int(own)  # the number of the step with index 0
        for index in (0, 500, len(loop.alpha_bar) - 1):
            signal, noise = loop.alpha_bar[index].sqrt(), (1 - loop.alpha_bar[index]).sqrt()
            says = {quality.LUCIDRAINS: signal * eps - noise * x_0, quality.OURS: x_0, quality.PLAIN: x_0}.get(
                name, eps
            )

            def forward(_self: Any, x: Tensor, t: Tensor, *_: Any, says: Tensor = says, **more: Any) -> Any:
                assert (t == index + first).all()  # noqa: B023 (called in this turn of the loop)
                return (says,) if "return_dict" in more else says

            monkeypatch.setattr(network, "forward", forward)
            found = loop.averaged()(signal * x_0 + noise * eps, torch.full((2,), index))
            assert torch.allclose(found, x_0, atol=2e-3), (name, index)


def test_a_race_is_told_as_it_was_run(
    load: Any, forked: None, lpips_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, one of which loads its pictures in other processes."""
    quality = load("quality")
    monkeypatch.setattr(quality, "NAMES", (quality.OURS, quality.LUCIDRAINS))
    out = tmp_path / "quality.json"
    small = ["--train", "100", "--real", "20", "--drawn", "20", "--restored", "4", "--evaluations", "2"]
    words = ["--weights", str(lpips_weights), "--seeds", "1", "--chunk", "2", *small, "--out", str(out)]
    quality.main([*words, "--budgets", "0.1", "0.5"])
    record = read_json(out)
    assert record["complete"] and len(record["points"]) == 4
    for point in record["points"]:
        assert point["cpu"] >= point["budget"] and point["fd"] > 0 and 0 < point["lpips"] < 1
    assert record["flops_per_image"][quality.LUCIDRAINS] > 3 * record["flops_per_image"][quality.OURS] > 1e8
    text = quality.as_text(record)
    assert out.with_suffix(".md").read_text(encoding="utf-8") == text and "Interrupted" not in text
    assert "Interrupted" in quality.as_text(record | {"complete": False})
    monkeypatch.setattr(quality, "NAMES", (quality.OURS,))
    with pytest.raises(UserError, match=r"--steps: our schedule of 3 ends before 0\.5 CPU seconds; give more"):
        quality.main([*words, "--budgets", "0.5", "--steps", "3"])


def test_the_sampler_of_the_comparison_restores_what_it_is_told_exactly(load: Any) -> None:
    quality = load("quality")
    alpha_bar, x_0 = torch.linspace(0.99, 0.01, 20), torch.rand(2, 3, 4, 4) * 2 - 1
    x = alpha_bar[9].sqrt() * x_0 + (1 - alpha_bar[9]).sqrt() * torch.randn(x_0.shape)
    seen: list[int] = []

    def estimate(x: Tensor, t: Tensor) -> Tensor:
        seen.append(int(t[0]))
        return x_0

    assert torch.allclose(quality.ddim(estimate, alpha_bar, x, 9, 4), x_0)
    half = 0.5 * (alpha_bar / (1 - alpha_bar)).log()
    nearest = [int((half - half[9].lerp(half[0], share)).abs().argmin()) for share in (0, 1 / 3, 2 / 3, 1)]
    assert seen == nearest and len(set(seen)) == 4


def test_when_a_quality_is_reached(load: Any) -> None:
    reached = load("quality").reached
    points = [{"cpu": 2.0, "fd": 30.0}, {"cpu": 4.0, "fd": 20.0}, {"cpu": 8.0, "fd": 22.0}]
    assert reached(points, "fd", 25.0) == 3.0 and reached(points, "fd", 20.0) == 4.0
    assert reached(points, "fd", 40.0) == 2.0 and reached(points, "fd", 10.0) is None
    assert reached([{"cpu": 1.0, "fd": 20.0}, {"cpu": 2.0, "fd": 30.0}, {"cpu": 4.0, "fd": 10.0}], "fd", 25.0) == 1.0


def test_the_committed_figures_are_those_of_their_table(load: Any) -> None:
    path = RESULTS / "training-cpu.json"
    assert path.with_suffix(".md").read_text(encoding="utf-8") == load("training").as_text(read_json(path))
