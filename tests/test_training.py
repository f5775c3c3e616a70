"""Training is reproducible, resumes exactly, and fails in one line without losing what is done."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_data import NETWORK, TRAIN, write_splits
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from mmbench.errors import UserError
from mmbench.experiments.experiment import load_experiment, to_batch
from mmbench.experiments.methods import build_method
from mmbench.files.locks import alone
from mmbench.files.store import load_arrays, read_json, save_arrays, sha256_arrays, write_json
from mmbench.method import Modality, available
from mmbench.stages import predict, train
from mmbench.stages.cases import write_cases
from mmbench.training import schedule as steps
from mmbench.training.adam import Adam
from mmbench.training.checkpoint import NAME, snapshot_path
from mmbench.training.flops import Operations
from mmbench.training.partial_labels import keep_labelled, kept
from mmbench.training.validation import plan

pytestmark = pytest.mark.slow

METHOD = Path(__file__).parents[1] / "mmbench/models/mt_diffusion.py"
OWN_TRAIN = {**TRAIN, "batch_size": 4, "flip": True}
SETTINGS = {
    "experiment": "masking",
    "method": "mt_diffusion",
    "method_settings": {"weights": {"image": 0.5, "masked_image": 0.1}},
    "network": NETWORK,
    "train": OWN_TRAIN,
    "sample": {"sampler": "ddim", "nfe": 2, "batch_size": 3},
    "shares": [0.25, 0.5],
    "evaluate": {"reconstructions": 5, "samples": 4},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    splits = {s: {"image": rng.integers(0, 256, (10, 3, 16, 16), dtype=np.uint8)} for s in ("train", "test")}
    return write_splits(tmp_path_factory.mktemp("data"), splits, size=[16, 16])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A training that nothing disturbed."""
    return run_training(tmp_path_factory.mktemp("undisturbed"), data, "whole")


def run_training(
    tmp_path: Path, data: Path, out: str, settings: dict = SETTINGS, method: Path = METHOD, more: Sequence[object] = ()
) -> Path:
    folder = tmp_path / out
    write_json(tmp_path / "s.json", settings)
    paths = ["--settings", tmp_path / "s.json", "--method", method, "--data", data]
    train.main(
        [*map(str, paths), "--seed", "3", "--state", str(folder / "state"), "--out", str(folder), *map(str, more)]
    )
    return folder


def changed(**train_settings: object) -> dict:
    return {**SETTINGS, "train": {**OWN_TRAIN, **train_settings}}


def same_weights(a: Path, b: Path) -> bool:
    left, right = (load_file(folder / "weights.safetensors") for folder in (a, b))
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_same_seed_same_weights_and_a_record_of_the_cost(tmp_path: Path, data: Path, whole: Path) -> None:
    assert same_weights(whole, run_training(tmp_path, data, "again"))
    record = read_json(whole / "training.json")
    assert record["images_seen"] == 24 and record["steps"] == 6 and record["flops"] > 1e6
    assert record["parameters"] > 1000 and record["peak_memory_bytes"] > 1e7
    assert [point["step"] for point in record["curve"]] == [1, 2, 3, 4, 5, 6]


def test_the_optimiser_is_adam_of_torch_to_the_bit() -> None:
    """Also of a parameter whose gradient comes later than the others', and with a rate that changes."""

    def parameters() -> list[torch.nn.Parameter]:
        shapes = ((3, 2, 3, 3), (7,), (2, 5))
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randn(shape, generator=generator) for shape in shapes]
        drawn[0] = drawn[0].to(memory_format=torch.channels_last)
        return [torch.nn.Parameter(x) for x in drawn]

    ours, theirs = parameters(), parameters()
    optimizer, other = Adam(ours), torch.optim.AdamW(theirs, lr=0.0, weight_decay=0.0, fused=True)
    for step, rate in enumerate((1e-3, 2e-2, 0.0, 5e-3)):
        generator = torch.Generator().manual_seed(step)
        for i, (mine, his) in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(mine.shape, generator=generator) * 10.0**-i
            mine.grad, his.grad = (None if i == 2 and step < 2 else gradient.clone() for _ in range(2))
        optimizer.step(rate)
        other.param_groups[0]["lr"] = rate
        other.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert [int(state["step"]) for state in optimizer.state.values()] == [4, 4, 2]
    assert not torch.equal(ours[2], parameters()[2])
    optimizer.zero_grad()
    assert all(p.grad is None for p in ours)


def test_operations_are_counted_as_torch_counts_them(data: Path) -> None:
    """Of a whole step of a method with attention and recovered modalities, in both precisions."""
    network = {**SETTINGS["network"], "attention": True}
    for precision in ("fp32", "bf16"):
        totals = []
        for counter in (Operations(), FlopCounterMode(display=False)):
            settings = {**changed(precision=precision), "network": network}
            method, experiment = build_method(settings, METHOD, read_json(data / "card.json"))
            arrays = load_arrays(data / "train.npz")
            training = train.Training(
                method,
                experiment,
                settings,
                arrays,
                modalities=method.spec.modalities,
                seed=0,
                device=torch.device("cpu"),
                state=data,
                key="",
            )
            with counter:
                training.step(1)
            totals.append(counter.total if isinstance(counter, Operations) else counter.get_total_flops())
        assert totals[0] == totals[1] > 1e6


def test_a_training_imports_no_compiler(tmp_path: Path, data: Path) -> None:
    """Torch's takes nearly as long to import as torch: an optimiser or a counter of torch would need it."""
    (tmp_path / "s.json").write_text(json.dumps(SETTINGS))
    paths = ["--settings", tmp_path / "s.json", "--method", METHOD, "--data", data]
    words = [*map(str, paths), "--seed", "3", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "out")]
    code = (
        "import sys; from mmbench.stages import train; train.main(sys.argv[1:]); print('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=METHOD.parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False" and (tmp_path / "out" / "weights.safetensors").is_file()


def interrupt(tmp_path: Path, data: Path, name: str, stop: int, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> Path:
    """A training that was stopped after step `stop`; steps 2, 4 and 6 are kept."""
    real = train.Training.step

    def killed(self: train.Training, step: int) -> dict[str, float]:
        if step > stop:
            raise KeyboardInterrupt
        return real(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train.Training, "step", killed)
        run_training(tmp_path, data, name, **asked)
    return tmp_path / name


@pytest.mark.parametrize("stop", [2, 5])
def test_a_resumed_training_ends_with_the_same_weights(
    tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    assert not (interrupt(tmp_path, data, "resumed", stop, monkeypatch) / "weights.safetensors").exists()
    resumed = run_training(tmp_path, data, "resumed")
    assert same_weights(whole, resumed)
    assert [point["step"] for point in read_json(resumed / "training.json")["curve"]] == [1, 2, 3, 4, 5, 6]


class TestSnapshots:
    """The weights that a training had on its way: kept by it, or made again by its beginning."""

    STEPS = (3, 5)

    def early(self, tmp_path: Path, data: Path, kept: Path, step: int, settings: dict = SETTINGS) -> Path:
        """What a training that ends after `step` writes, with what `kept` has kept."""
        more = ["--until", step, "--kept", kept / "state"]
        return run_training(tmp_path, data, f"{kept.name}/at{step}", settings, more=more)

    def test_what_is_kept_is_what_a_shorter_run_of_the_same_training_has(
        self, tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        again = {step: self.early(tmp_path, data, whole, step) for step in self.STEPS}
        keeping = run_training(tmp_path, data, "keeping", more=["--keep", *self.STEPS])
        assert same_weights(whole, keeping) and not same_weights(again[3], again[5])
        with monkeypatch.context() as patch:
            patch.setattr(train.Training, "run", None)  # nothing is left to train
            kept = {step: self.early(tmp_path, data, keeping, step) for step in self.STEPS}
        record_of_all = read_json(keeping / "training.json")
        for step in self.STEPS:
            assert same_weights(again[step], kept[step])
            records = [read_json(folder / "training.json") for folder in (again[step], kept[step])]
            for record in records:
                assert (record["steps"], record["images_seen"]) == (step, 4 * step)
                assert record["flops"] * 6 == record_of_all["flops"] * step
                assert record["settings"] == record_of_all["settings"]
                assert [point["step"] for point in record["curve"]] == list(range(1, step + 1))
            assert records[1]["seconds"] < record_of_all["seconds"]
        assert not list((keeping / "state").glob("at*")), "what is in the results is kept twice"

    @pytest.mark.parametrize("stop", [3, 5])
    def test_a_resumed_training_has_kept_the_same(
        self, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, stop: int
    ) -> None:
        """Steps 2, 4 and 6 are those to resume from, so step 3 is before one and step 5 is not."""
        keep = ["--keep", *self.STEPS]
        keeping = run_training(tmp_path, data, "keeping", more=keep)
        interrupt(tmp_path, data, "resumed", stop, monkeypatch, more=keep)
        resumed = run_training(tmp_path, data, "resumed", more=keep)
        for step in self.STEPS:
            kept = [load_file(snapshot_path(folder / "state", step)) for folder in (keeping, resumed)]
            assert kept[0].keys() == kept[1].keys() and all(torch.equal(kept[0][k], kept[1][k]) for k in kept[0])

    def test_what_another_training_has_kept_is_not_used(self, tmp_path: Path, data: Path) -> None:
        other = changed(learning_rate=5e-4)
        run_training(tmp_path, data, "reused", more=["--keep", 3])
        fresh = self.early(tmp_path, data, run_training(tmp_path, data, "fresh", other), 3, other)
        assert same_weights(fresh, self.early(tmp_path, data, tmp_path / "reused", 3, other))
        run_training(tmp_path, data, "reused", other)
        assert not snapshot_path(tmp_path / "reused" / "state", 3).exists(), "kept by a training that is no more"


@pytest.mark.parametrize("kind", ["cut off", "missing"])
def test_where_the_last_state_is_damaged_the_one_before_serves(
    tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: str
) -> None:
    """What a power cut can leave of a file that was being written."""
    last = interrupt(tmp_path, data, "part", 5, monkeypatch) / "state" / NAME
    last.unlink() if kind == "missing" else last.write_bytes(last.read_bytes()[:-1])
    capsys.readouterr()
    assert same_weights(whole, run_training(tmp_path, data, "part"))
    said = capsys.readouterr().out
    assert "resuming after step 2" in said and (f"{NAME}: damaged" in said) == (kind != "missing")
    assert not list(last.parent.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_asked_to_stop_loses_nothing(
    tmp_path: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:  # as a shell starts what runs in the background
        signal.signal(number, signal.default_int_handler)
    before, real = signal.getsignal(number), train.Training.step

    def stopped(self: train.Training, step: int) -> dict[str, float]:
        if step == 3:
            os.kill(os.getpid(), number)
        return real(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "step", stopped)
        with pytest.raises(
            UserError, match=f"stopped by {number.name} after step 3 of 6, whose state is kept; run the"
        ):
            run_training(tmp_path, data, "run")
    assert signal.getsignal(number) == before
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "step", lambda self, step: asked.append(step) or real(self, step))
        run_training(tmp_path, data, "run")
    assert asked == [4, 5, 6] and same_weights(whole, tmp_path / "run")
    curves = [read_json(folder / "training.json")["curve"] for folder in (whole, tmp_path / "run")]
    for curve in curves:
        for point in curve:
            del point["images_per_second"]
    assert curves[0] == curves[1]


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""
    real = train.Training.step

    def stopped(self: train.Training, step: int) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGHUP)
        return real(self, step)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(train.Training, "step", stopped)
        assert read_json(run_training(tmp_path, data, "run") / "training.json")["steps"] == 6
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_takes_no_generator_is_resumed_too(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout draws from the global source."""
    method = tmp_path / "drops.py"
    method.write_text(
        "import torch\nfrom mmbench.models.mt_diffusion import Method as MT\nTITLE = 'Drops'\nTASKS = ('generate',)\n"
        "class Method(MT):\n"
        "    def loss(self, batch, generator):\n"
        "        terms = super().loss(batch, generator)\n"
        "        return {'loss': terms['loss'] * torch.nn.functional.dropout(torch.ones(8), 0.5).mean()}\n"
    )
    plain = run_training(tmp_path, data, "plain", method=method)
    interrupt(tmp_path, data, "run", 3, monkeypatch, method=method)
    assert same_weights(plain, run_training(tmp_path, data, "run", method=method))


def test_an_edit_of_the_code_starts_a_training_over(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(tmp_path, data, "run", 4, monkeypatch)
    monkeypatch.setattr(train, "stage_code", lambda *_, **__: "edited")
    capsys.readouterr()
    run_training(tmp_path, data, "run")
    run_training(tmp_path, data, "run")  # nor does a finished training leave anything to resume
    assert "resuming" not in capsys.readouterr().out


class TestLeftOver:
    """A training finds that one which a killed run has left behind is still at it."""

    def wait_for(self, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], does: Callable) -> str:
        """Train in `run` while another holds the lock, which then `does` something there; what the training says."""
        capsys.readouterr()
        with ThreadedLock(tmp_path / "run" / "state", lambda: does(tmp_path / "run")):
            run_training(tmp_path, data, "run")
        return capsys.readouterr().out

    def test_it_waits_and_goes_on_from_what_the_other_left(
        self, tmp_path: Path, data: Path, whole: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = interrupt(tmp_path, data, "other", 4, monkeypatch) / "state"
        said = self.wait_for(
            tmp_path, data, capsys, lambda run: shutil.copytree(state, run / "state", dirs_exist_ok=True)
        )
        assert f"another process is at this training, on {os.uname().nodename}: kill {os.getpid()} stops it" in said
        assert "resuming after step 4" in said
        assert same_weights(whole, tmp_path / "run") and not list((tmp_path / "run").rglob(".*"))

    def test_what_the_other_has_finished_is_not_done_again(
        self, tmp_path: Path, data: Path, whole: Path, capsys: Any
    ) -> None:
        said = self.wait_for(tmp_path, data, capsys, lambda run: shutil.copytree(whole, run, dirs_exist_ok=True))
        assert "has finished this training" in said and "step 6/6" not in said

    def test_what_the_other_has_finished_with_other_settings_is(
        self, tmp_path: Path, data: Path, whole: Path, capsys: Any
    ) -> None:
        other = run_training(tmp_path, data, "other", changed(learning_rate=5e-4))
        said = self.wait_for(tmp_path, data, capsys, lambda run: shutil.copytree(other, run, dirs_exist_ok=True))
        assert "step 6/6" in said and same_weights(whole, tmp_path / "run")


class ThreadedLock:
    """Another holder of a training's lock, which does something and lets go once it is waited for."""

    def __init__(self, state: Path, does: Callable[[], object]) -> None:
        self.state, self.does, self.held, self.asked = state, does, threading.Event(), threading.Event()

    def hold(self) -> None:
        with alone(self.state, "training"):
            self.held.set()
            self.asked.wait(1.0)
            self.does()

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self.hold)
        self.thread.start()
        self.held.wait()

    def __exit__(self, *_: object) -> None:
        self.thread.join()


def test_a_loss_that_is_not_finite_stops_with_one_line_and_keeps_the_checkpoint(tmp_path: Path, data: Path) -> None:
    bad = tmp_path / "diverges.py"
    bad.write_text(
        "from mmbench.models.mt_diffusion import Method as MT\nTITLE = 'Diverges'\nTASKS = ('generate',)\n"
        "class Method(MT):\n    calls = 0\n    def loss(self, batch, generator):\n        self.calls += 1\n"
        "        terms = super().loss(batch, generator)\n"
        "        return terms if self.calls < 4 else {'loss': terms['loss'] * float('nan')}\n"
    )
    with pytest.raises(UserError, match=r"the loss is nan at step 4; lower train.learning_rate"):
        run_training(tmp_path, data, "bad", method=bad)
    assert (tmp_path / "bad" / "state" / NAME).exists()
    assert not (tmp_path / "bad" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("returns", "key"),
    [
        ("float(loss)", "float"),
        ("{'loss': loss, 'part': 0.5}", "'part'"),
        ("{'loss': loss, 'part': torch.tensor(1)}", "'part'"),
        ("{'loss': loss.detach()}", "'loss'"),
        ("{'part': loss}", "'loss'"),
    ],
)
def test_a_loss_that_is_no_scalar_terms_is_one_line_with_the_file_and_the_term(
    tmp_path: Path, data: Path, returns: str, key: str
) -> None:
    path = tmp_path / "answers.py"
    path.write_text(
        "import torch\nfrom mmbench.method import Method as Base\nTITLE = 'Answers'\nTASKS = ('generate',)\n"
        "class Method(Base):\n    def __init__(self, spec):\n        super().__init__(spec)\n"
        "        self.weight = torch.nn.Parameter(torch.ones(()))\n"
        f"    def loss(self, batch, generator):\n        loss = self.weight**2\n        return {returns}\n"
        "    def predict(self, *_):\n        return {}\n"
    )
    settings = {**SETTINGS, "method_settings": {}}
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: loss: .*({key})"):
        run_training(tmp_path, data, "answers", settings, path)


RESTLESS = """
import torch
from mmbench.models.mt_diffusion import Method as MT

TITLE = "Restless"
TASKS = ("generate",)


class Method(MT):
    def __init__(self, spec, **settings):
        super().__init__(spec, **settings)
        self.register_buffer("calls", torch.zeros(()))
        self.last = torch.nn.Dropout(0.5)

    def loss(self, batch, generator):
        self.calls += 1
        terms = super().loss(batch, generator)
        return terms | {"loss": terms["loss"] * (1 + self.last(torch.rand(8)).sum() + 0.1 * self.calls)}
"""
PLAIN = """
import torch
from mmbench.method import Method as Base

TITLE = "Plain"
TASKS = ("generate",)


class Method(Base):
    def __init__(self, spec):
        super().__init__(spec)
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def loss(self, batch, generator):
        return {"loss": 0 * self.weight + (9.0 if self.training else batch["image"].mean())}

    def predict(self, *_):
        return {}
"""


class TestValidation:
    """The loss on items that are not learnt from, along a training."""

    @pytest.fixture
    def validated(self, tmp_path: Path, data: Path) -> Path:
        """`data` with a validation split of 3 items."""
        folder = tmp_path / "validated"
        shutil.copytree(data, folder)
        arrays = {"image": np.random.default_rng(1).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)}
        save_arrays(folder / "validation.npz", arrays)
        card = read_json(folder / "card.json")
        card["splits"]["validation"] = {"count": 3, "sha256": sha256_arrays(arrays)}
        write_json(folder / "card.json", card)
        return folder

    def test_it_changes_nothing_that_is_learnt(self, tmp_path: Path, data: Path, validated: Path) -> None:
        path = tmp_path / "restless.py"
        path.write_text(RESTLESS)
        settings = changed(steps=40, flip=True)
        without, beside = (run_training(tmp_path, d, d.name + "-out", settings, path) for d in (data, validated))
        assert same_weights(without, beside)
        curves = [read_json(folder / "training.json")["validation_curve"] for folder in (without, beside)]
        assert curves[0] == [] and [point["step"] for point in curves[1]] == [20, 40]

    def test_it_is_the_mean_over_items_in_evaluation(self, tmp_path: Path, validated: Path) -> None:
        path = tmp_path / "plain.py"
        path.write_text(PLAIN)
        settings = {**changed(batch_size=4, shards=2, steps=6), "method_settings": {}}
        out = run_training(tmp_path, validated, "plain", settings, path)
        images = np.load(validated / "validation.npz")["image"]
        (point,) = read_json(out / "training.json")["validation_curve"]
        assert point == {"step": 6, "loss": pytest.approx((images / 127.5 - 1).mean(), abs=1e-5)}

    def test_it_takes_a_fiftieth_of_the_time_and_at_most_all_items(self) -> None:
        assert plan({"steps": 6, "batch_size": 8}, 16) == (6, 8)
        assert plan({"steps": 120, "batch_size": 8}, 16) == (18, 8)
        assert plan({"steps": 10**6, "batch_size": 64}, 5000) == (50_000, 5000)


def test_batches_visit_every_item_once_an_epoch() -> None:
    seen = torch.cat([steps.batch_indices(0, step, 4, 10) for step in range(1, 6)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    assert not torch.equal(steps.batch_indices(1, 1, 10, 10), steps.batch_indices(0, 1, 10, 10))


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    settings = {"learning_rate": 1.0, "warmup": 10, "steps": 110}
    rates = [steps.learning_rate(step, settings) for step in range(1, 111)]
    assert rates[4] == pytest.approx(0.5) and rates[9] == max(rates) == 1.0 and rates[-1] == pytest.approx(0.0)


def test_predictions_answer_every_case_the_same_way_twice(tmp_path: Path, data: Path, whole: Path) -> None:
    folder = tmp_path / "predicted"
    write_json(tmp_path / "s.json", SETTINGS)
    write_cases(SETTINGS, data, tmp_path / "cases")
    arguments = ["--settings", tmp_path / "s.json", "--method", METHOD, "--data", data, "--cases", tmp_path / "cases"]
    arguments += ["--weights", whole / "weights.safetensors", "--seed", 3, "--out", folder]
    predict.main([*map(str, arguments)])
    first = load_arrays(folder / "predictions.npz")
    assert {k: v.shape for k, v in first.items()} == {
        "reconstruct-25/image": (5, 3, 16, 16),
        "reconstruct-50/image": (5, 3, 16, 16),
        "generate/image": (4, 3, 16, 16),
    }
    assert all(value.dtype == np.uint8 for value in first.values())
    assert {case["nfe"] for case in read_json(folder / "predictions.json")["cases"].values()} == {2.0}
    frames = load_arrays(folder / "trajectory.npz")
    predict.main([*map(str, arguments)])
    assert sha256_arrays(load_arrays(folder / "predictions.npz")) == sha256_arrays(first)
    assert frames.keys() == {"generate/image", "generate/step"}
    assert frames["generate/step"].tolist() == [1000, 1000, 500]
    assert frames["generate/image"].shape == (3, 3, 16, 16)
    np.testing.assert_array_equal(frames["generate/image"][-1], first["generate/image"][0])
    assert (frames["generate/image"][0] != frames["generate/image"][1]).mean() > 0.5  # noise is no estimate


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    """Images that are dark on one side, and embeddings that say which; those of the mirrored images beside them."""
    sides = np.tile([-1, 1], 5)
    images = np.zeros((10, 3, 16, 16), np.uint8)
    images[sides < 0, ..., 8:] = images[sides > 0, ..., :8] = 255
    own = (sides[:, None] * np.array([1, 2, 0]) + [0, 0, 3]).astype(np.float32)
    mirrored = (-sides[:, None] * np.array([1, 2, 0]) + [0, 0, 3]).astype(np.float32)
    arrays = {"image": images, "embedding": own, "embedding_mirrored": mirrored, "label": np.arange(10)}
    card = {"size": [16, 16], "modalities": ["image", "embedding"], "embedding": {"size": 3}}
    return write_splits(tmp_path / "embedded", {"train": arrays}, **card)


@pytest.mark.parametrize("flip", [True, False])
def test_a_mirrored_image_has_the_embedding_of_the_mirrored_image(embedded: Path, flip: bool) -> None:
    arrays = load_arrays(embedded / "train.npz")
    method = torch.nn.Linear(1, 1)
    training = train.Training(
        method,
        load_experiment("embedding"),
        {"train": {**OWN_TRAIN, "batch_size": 10, "flip": flip}, "method": "x"},
        arrays,
        modalities={"image": Modality("image", (3, 16, 16)), "embedding": Modality("vector", (3,))},
        seed=0,
        device=torch.device("cpu"),
        state=embedded,
        key="",
    )
    turned = 0
    for step in range(1, 5):
        batch = training.batch(step, steps.step_generator(0, step))
        assert batch.keys() == {"image", "embedding"}
        bright_left = batch["image"][:, 0, 0, 0] > 0
        assert torch.equal(bright_left, batch["embedding"][:, 0] > 0)
        drawn = torch.from_numpy(arrays["embedding"])[steps.batch_indices(0, step, 10, 10)]
        turned += int((drawn != batch["embedding"]).any(dim=1).sum())
    assert turned > 5 if flip else turned == 0


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Images with masks and labels, as a data folder."""
    rng = np.random.default_rng(0)
    splits = {
        split: {
            "image": rng.integers(0, 256, (10, 3, 16, 16), dtype=np.uint8),
            "mask": rng.integers(0, 3, (10, 16, 16), dtype=np.uint8),
            "label": rng.integers(0, 2, 10),
        }
        for split in ("train", "test")
    }
    card = {"name": "made", "title": "Made", "size": [16, 16], "modalities": ["image", "mask", "label"]}
    card |= {"classes": ["a", "b", "c"], "palette": [[0, 0, 0], [9, 9, 9], [99, 9, 9]], "labels": ["day", "night"]}
    return write_splits(tmp_path / "streets", splits, **card)


def test_the_record_says_what_the_method_was_built_for(tmp_path: Path, streets: Path) -> None:
    settings = {**SETTINGS, "experiment": "segmentation", "method_settings": {"weights": {"mask": 1.0}}}
    record = read_json(run_training(tmp_path, streets, "out", settings) / "training.json")
    assert record["modalities"] == {
        "image": {"kind": "image", "shape": [3, 16, 16], "classes": 0},
        "mask": {"kind": "class_map", "shape": [16, 16], "classes": 3},
    }
    assert record["card"]["classes"] == ["a", "b", "c"] and record["card"]["labels"] == ["day", "night"]
    assert record["card"].keys() == {"name", "title", "modalities", "classes", "palette", "labels", "embedding"}


MODALITIES = {
    "image": Modality("image", (3, 16, 16)),
    "mask": Modality("class_map", (16, 16), classes=3),
    "label": Modality("label", (), classes=2),
    "embedding": Modality("vector", (4,)),
}


class TestLabelled:
    def test_a_share_of_the_items_keeps_it(self) -> None:
        rng = np.random.default_rng(0)
        arrays = {"image": np.zeros((40, 3, 16, 16), np.uint8), "mask": np.ones((40, 16, 16), np.uint8)}
        arrays |= {"label": rng.integers(0, 2, 40)}
        arrays |= {name: rng.random((40, 4)).astype(np.float32) for name in ("embedding", "embedding_mirrored")}
        before = {name: array.copy() for name, array in arrays.items()}
        shares = {"mask": 0.25, "label": 0.5, "embedding": 0.5}
        found = keep_labelled(arrays, shares, MODALITIES, "file")
        here = {
            name: available(MODALITIES[name.partition("_")[0]], to_batch({name: array}, MODALITIES)[name])
            for name, array in found.items()
        }
        assert {name: int(flags.sum()) for name, flags in here.items()} == {
            "image": 40, "mask": 10, "label": 20, "embedding": 20, "embedding_mirrored": 20
        }  # fmt: skip
        assert torch.equal(here["label"], here["embedding"]) and torch.equal(here["label"], here["embedding_mirrored"])
        assert (here["mask"] <= here["label"]).all()  # those of the smaller share are among those of the larger
        for name, array in arrays.items():
            assert np.array_equal(array, before[name]) and found[name].dtype == array.dtype
            kept = here[name].numpy()
            assert np.array_equal(found[name][kept], array[kept])

    def test_which_items_does_not_depend_on_their_number(self) -> None:
        few, many = kept(100, 0.5), kept(1000, 0.5)
        assert (few == many[:100]).mean() > 0.9 and few.sum() == 50 and kept(3, 0.01).sum() == 1

    def test_a_training_sees_what_is_kept(self, tmp_path: Path, streets: Path) -> None:
        settings = {**changed(labelled={"mask": 0.5}), "experiment": "segmentation"}
        settings |= {"method_settings": {"weights": {"mask": 1.0}}}
        part = run_training(tmp_path, streets, "part", settings)
        assert not same_weights(part, run_training(tmp_path, streets, "all", {**settings, "train": OWN_TRAIN}))
        assert all(np.isfinite(point["loss"]) for point in read_json(part / "training.json")["curve"])

    @pytest.mark.parametrize(
        ("labelled", "says"),
        [
            ({"label": 0.5}, "'label' cannot be missing in this experiment; those that can are mask"),
            ({"image": 0.5}, "'image' cannot be missing"),
        ],
    )
    def test_a_modality_that_cannot_be_missing_is_named(
        self, tmp_path: Path, streets: Path, labelled: dict, says: str
    ) -> None:
        settings = {**changed(labelled=labelled), "experiment": "segmentation", "method_settings": {}}
        with pytest.raises(UserError, match=f"config/experiments/segmentation.yaml: mt_diffusion: labelled: {says}"):
            run_training(tmp_path, streets, "out", settings)

    def test_a_method_that_cannot_do_without_says_so(self, tmp_path: Path, streets: Path) -> None:
        settings = {**changed(labelled={"mask": 0.5}), "experiment": "segmentation", "method_settings": {}}
        segdiff = METHOD.parents[2] / "baselines" / "segmentation" / "segdiff.py"
        with pytest.raises(UserError, match="labelled: the method does not learn from items that lack a modality"):
            run_training(tmp_path, streets, "out", settings, segdiff)
