"""Losses that share a network: learned weights, gradients without conflict, and how well the terms' gradients agree."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import NETWORK, TRAIN, generator, write_splits
from torch import nn

from mmbench.errors import UserError
from mmbench.files.store import read_json, write_json
from mmbench.files.weights import load_weights
from mmbench.method import Batch, Modality, Spec
from mmbench.models.diffusion.balance import Uncertainty, by_task, upgrad_backward, upgrad_weighting
from mmbench.models.mt_diffusion import Method
from mmbench.stages import train
from mmbench.training.gradients import cosines, term_gradients

pytestmark = pytest.mark.slow

THREE = {
    "image": Modality("image", (3, 16, 16)),
    "mask": Modality("class_map", (16, 16), classes=3),
    "label": Modality("label", (), classes=2),
}
WEIGHTS = {"mask": 1.0, "label": 0.1, "image": 0.5}
OF_TWO = {name: weight for name, weight in WEIGHTS.items() if name != "label"}


def batch() -> Batch:
    draw = generator()
    image, mask = torch.rand(8, 3, 16, 16, generator=draw) * 2 - 1, torch.randint(0, 3, (8, 16, 16), generator=draw)
    return {"image": image, "mask": mask, "label": torch.arange(8) % 2}


def built(**settings: object) -> Method:
    torch.manual_seed(0)
    method = Method(Spec(THREE, NETWORK), weights=WEIGHTS, **settings)
    for parameter in [*method.model.head.parameters(), *method.model.decoders.parameters()]:
        nn.init.normal_(parameter, std=0.1)
    return method


def gradients(method: Method) -> dict[str, torch.Tensor]:
    method.zero_grad()
    method.backward(method.loss(batch(), generator()))
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


def test_generation_is_one_task_however_many_terms_it_has() -> None:
    simple = built().loss(batch(), generator())
    assert list(by_task(simple)) == ["generate", "recover_mask", "recover_label", "recover_image"]
    bound = built(objective="vlb").loss(batch(), generator())
    assert list(by_task(bound)) == list(by_task(simple))
    assert sum(by_task(bound).values()).item() == pytest.approx(bound["loss"].item(), rel=1e-5)


def test_a_wrong_balance_is_named() -> None:
    with pytest.raises(ValueError, match="balance 'upgrade' is not one of"):
        built(balance="upgrade")


class TestUncertainty:
    def test_it_starts_as_the_fixed_sum(self) -> None:
        fixed, learned = gradients(built()), gradients(built(balance="uncertainty"))
        own = [name for name in learned if name.startswith("uncertainty.")]
        assert len(own) == 4
        for name, gradient in fixed.items():
            torch.testing.assert_close(learned[name], gradient, rtol=1e-4, atol=1e-7)

    def test_at_its_best_every_task_weighs_alike(self) -> None:
        tasks = {"generate": torch.tensor(4.0), "recover_mask": torch.tensor(0.01)}
        weighting = Uncertainty(tasks)
        optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
        for _ in range(600):
            optimizer.zero_grad()
            weighting(tasks).backward()
            optimizer.step()
        for name, loss in tasks.items():
            assert weighting.log_variance[name].exp().item() == pytest.approx(loss.item(), rel=1e-2)

    def test_it_is_saved_with_the_weights(self, tmp_path: Path, data: Path) -> None:
        settings = {**SETTINGS, "method_settings": {"weights": OF_TWO, "balance": "uncertainty"}}
        folder = run(tmp_path, data, "run", settings)
        other = Method(Spec({n: THREE[n] for n in ("image", "mask")}, NETWORK), **settings["method_settings"])
        load_weights(folder / "weights.safetensors", other)
        assert all(value.abs() > 0 for value in other.uncertainty.parameters())


class TestUpgrad:
    @pytest.fixture(autouse=True)
    def _needs_it(self) -> None:
        pytest.importorskip("torchjd")

    def test_gradients_that_agree_are_added(self) -> None:
        rows = torch.tensor([[1.0, 0.2, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]], dtype=torch.float64)
        assert upgrad_weighting(3)(rows @ rows.T).tolist() == pytest.approx([1, 1, 1])

    def test_gradients_that_disagree_end_without_conflict(self) -> None:
        """The example of TorchJD's documentation, whose preference is 1/2 for each of the two."""
        rows = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], dtype=torch.float64)
        update = upgrad_weighting(2)(rows @ rows.T) @ rows
        assert (update / 2).tolist() == pytest.approx([0.2929, 1.9004, 1.9004], abs=2e-3)
        for seed in range(20):
            rows = torch.randn(4, 6, generator=generator(seed), dtype=torch.float64)
            update = upgrad_weighting(4)(rows @ rows.T) @ rows
            assert (rows @ update / rows.norm(dim=1) / update.norm()).min() > -1e-2

    def test_a_tiny_gradient_gets_no_huge_weight(self) -> None:
        rows = torch.tensor([[-1e-6, 0.0], [1.0, 1.0]], dtype=torch.float64)
        assert upgrad_weighting(2)(rows @ rows.T).tolist() == pytest.approx([1, 1], abs=0.02)

    def test_no_gradient_at_all(self) -> None:
        assert upgrad_weighting(2)(torch.zeros(2, 2, dtype=torch.float64)).tolist() == [1, 1]

    def test_only_what_is_shared_is_changed(self) -> None:
        fixed, balanced = gradients(built()), gradients(built(balance="upgrad"))
        assert fixed.keys() == balanced.keys()
        for name, gradient in fixed.items():
            assert balanced[name].stride() == dict(built().named_parameters())[name].stride()
            if not name.startswith("model.backbone."):
                torch.testing.assert_close(balanced[name], gradient, rtol=1e-4, atol=1e-7)

    def test_shared_gradients_are_aggregated(self) -> None:
        shared, own = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
        a, b = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
        upgrad_backward({"a": shared @ a, "b": shared @ b + own.sum()}, [shared], [own])
        # a projected onto b's side is [0.5, 0.5], b onto a's is [0, 1]
        assert shared.grad.tolist() == pytest.approx([0.5, 1.5], abs=1e-2) and own.grad.tolist() == [1]


def test_without_torchjd_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(UserError, match=r"balance: upgrad needs TorchJD, .*: pip install 'mmbench\[balance\]'"):
        gradients(built(balance="upgrad"))


class TestCosines:
    def test_they_are_what_is_known(self) -> None:
        x = nn.Parameter(torch.tensor([1.0, 2.0]))
        unused = nn.Parameter(torch.ones(3))
        terms = {"loss": x.sum(), "a": x[0], "same": 3 * x[0], "against": -x[0], "across": x[1], "flat": 0 * x[0]}
        terms |= {"logged": x[0].detach()}
        assert cosines(term_gradients(terms, [x, unused])) == {
            "a,same": 1, "a,against": -1, "a,across": 0, "same,against": -1, "same,across": 0, "against,across": 0
        }  # fmt: skip
        assert x.grad is None
        terms["loss"].backward()  # the graph is still there

    def test_one_term_has_none(self) -> None:
        x = nn.Parameter(torch.ones(2))
        assert cosines(term_gradients({"loss": x.sum(), "a": x[0]}, [x])) == {}


SETTINGS = {
    "experiment": "segmentation",
    "method": "mt_diffusion",
    "method_settings": {"weights": OF_TWO},
    "network": NETWORK,
    "train": TRAIN,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (10, 3, 16, 16), dtype=np.uint8),
        "mask": rng.integers(0, 3, (10, 16, 16), dtype=np.uint8),
    }
    card = {"size": [16, 16], "modalities": ["image", "mask"], "classes": ["a", "b", "c"]}
    return write_splits(tmp_path / "data", {"train": arrays}, **card)


def run(tmp_path: Path, data: Path, out: str, settings: dict) -> Path:
    write_json(tmp_path / "s.json", settings)
    folder, method = tmp_path / out, train.ROOT / "mmbench/models/mt_diffusion.py"
    words = ["--settings", tmp_path / "s.json", "--method", method, "--data", data, "--seed", "0"]
    train.main([*map(str, words), "--state", str(folder / "state"), "--out", str(folder)])
    return folder


@pytest.mark.parametrize("balance", ["uncertainty", "upgrad"])
def test_a_training_records_them_and_is_not_changed_by_it(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, balance: str
) -> None:
    """Interrupted or not, recorded or not, the weights are the same; so are the records, and the operations counted."""
    if balance == "upgrad":
        pytest.importorskip("torchjd")
    own = {"weights": OF_TWO, "balance": balance, "states": (0.0, 0.5, 0.5)}
    settings = {**SETTINGS, "method_settings": own}
    whole = run(tmp_path, data, "whole", settings)
    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "record_cosines", lambda *_: None)
        without = run(tmp_path, data, "without", settings)
    real = train.Training.step

    def killed(self: train.Training, step: int) -> dict[str, float]:
        if step > 3:
            raise KeyboardInterrupt
        return real(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train.Training, "step", killed)
        run(tmp_path, data, "resumed", settings)
    resumed = run(tmp_path, data, "resumed", settings)
    files = [(folder / "weights.safetensors").read_bytes() for folder in (whole, without, resumed)]
    assert files[0] == files[1] == files[2]
    records = [read_json(folder / "training.json") for folder in (whole, without, resumed)]
    assert records[0]["gradient_cosines"] == records[2]["gradient_cosines"] and records[1]["gradient_cosines"] == []
    assert records[0]["flops"] == records[1]["flops"]
    assert [point["step"] for point in records[0]["gradient_cosines"]] == list(range(2, 7))
    last = records[0]["gradient_cosines"][-1]["pairs"]
    assert set(last) == {"generate,recover_mask", "generate,recover_image", "recover_mask,recover_image"}
    assert all(-1 <= value <= 1 for value in last.values())
