"""One training in several processes: what is learnt is what one process learns, and none goes on without the others."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkout import NOTHING_TO_DO, copied
from safetensors.torch import load_file
from warm_python import warm_python

from mmbench.errors import UserError
from mmbench.files.store import read_json, save_arrays, sha256_arrays, write_json
from mmbench.stages import train
from mmbench.training.checkpoint import NAME
from mmbench.training.gradients import add_gradients, flatten, set_gradients
from mmbench.training.processes import Team

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, Any] = {
    "experiment": "masking",
    "method": "mt_diffusion",
    "method_settings": {"weights": {"image": 0.5, "masked_image": 0.1}, "states": [0.0, 0.5, 0.5]},
    "network": {"width": 8, "channel_mult": [1, 2], "patch": 2},
    "train": {
        "steps": 6,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "warmup": 2,
        "ema": 0.9,
        "precision": "fp32",
        "checkpoint_every": 2,
        "flip": True,
        "shards": 2,
    },
}
#: A method with a shared network that can be told to go wrong: in the second process of two, at some step, once.
METHOD = """
import os
import signal
from pathlib import Path

from mmbench.models.mt_diffusion import Method as MultitaskModel

TITLE = "Goes wrong"
TASKS = ("generate",)
TROUBLE = Path(__file__).parent


class Method(MultitaskModel):
    calls = 0

    def loss(self, batch, generator):
        self.calls += 1
        terms = super().loss(batch, generator)
        if os.environ.get("RANK") == "1" and self.calls == 5:
            for name in ("killed", "diverged", "asked", "all asked"):
                if (TROUBLE / name).exists():
                    (TROUBLE / name).unlink()
                    if name == "killed":
                        os.kill(os.getpid(), signal.SIGKILL)
                    if name == "diverged":
                        return {name: term * float("nan") for name, term in terms.items()}
                    os.kill(os.getpid() if name == "asked" else os.getppid(), signal.SIGTERM)
        return terms
"""


def write(folder: Path) -> Path:
    """Settings, data, and a method."""
    arrays = {"image": np.random.default_rng(0).integers(0, 256, (10, 3, 16, 16), dtype=np.uint8)}
    save_arrays(folder / "data" / "train.npz", arrays)
    splits = {"train": {"count": 10, "sha256": sha256_arrays(arrays)}}
    write_json(folder / "data" / "card.json", {"size": [16, 16], "splits": splits})
    write_json(folder / "settings.json", SETTINGS)
    (folder / "goes_wrong.py").write_text(METHOD)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a test's training."""
    return write(tmp_path)


def arguments(folder: Path, out: str, processes: int) -> list[str]:
    given = {
        "settings": "settings.json",
        "method": "goes_wrong.py",
        "data": "data",
        "state": f"{out}/state",
        "out": out,
    }
    paths = [word for name, path in given.items() for word in (f"--{name}", str(folder / path))]
    return [*paths, "--seed", "3", "--device", "cpu", "--processes", str(processes)]


def run(folder: Path, out: str, processes: int) -> Path:
    """A training in that many processes."""
    train.main(arguments(folder, out, processes))
    return folder / out


def interrupted(folder: Path, out: str, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training by one process that is stopped after a step."""
    real = train.Training.step

    def killed(self: train.Training, step: int) -> dict[str, float]:
        if step > stop:
            raise KeyboardInterrupt
        return real(self, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train.Training, "step", killed)
        run(folder, out, 1)


def learnt(folder: Path) -> dict[str, Any]:
    """Everything that a training writes and that its number of processes must not change."""
    record = read_json(folder / "training.json")
    curve = [{k: v for k, v in point.items() if k != "images_per_second"} for point in record["curve"]]
    kept = {key: record[key] for key in ("flops", "images_seen", "gradient_cosines", "parameters", "steps")}
    weights = load_file(folder / "weights.safetensors")
    return {**kept, "curve": curve, "weights": {name: value.tolist() for name, value in weights.items()}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process learns."""
    return learnt(run(write(tmp_path_factory.mktemp("whole")), "one", 1))


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of a training start at once."""
    monkeypatch.setattr(sys, "executable", str(warm_python() / "python"))


def test_a_killed_process_ends_all_and_one_goes_on_with_what_two_have_learnt(
    folder: Path, whole: dict[str, Any], warm: None, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "killed").touch()
    begin = time.monotonic()
    with pytest.raises(
        UserError, match=r"^process 1 of this training was ended by SIGKILL; run the same command again"
    ):
        run(folder, "two", 2)
    assert time.monotonic() - begin < 300  # not the day for which the first may wait for others
    assert capfd.readouterr().err == ""
    assert (folder / "two/state" / NAME).exists() and not (folder / "two/weights.safetensors").exists()
    assert learnt(run(folder, "two", 1)) == whole
    assert re.search("resuming after step [24]", capfd.readouterr().out)
    assert len(whole["gradient_cosines"]) == 5


def test_two_processes_go_on_with_what_one_has_learnt(
    folder: Path,
    whole: dict[str, Any],
    warm: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    interrupted(folder, "two", 3, monkeypatch)
    capfd.readouterr()
    two = run(folder, "two", 2)
    said = capfd.readouterr()
    assert said.out.count("resuming after step 2") == said.out.count("step 6/6") == 1 and said.err == ""
    assert learnt(two) == whole
    assert read_json(two / "training.json")["processes"] == 2


def test_what_one_process_finds_wrong_is_one_line_of_all(folder: Path, warm: None) -> None:
    """As the workflow starts it, with settings that can be read only once."""
    (folder / "diverged").touch()
    command = [sys.executable, "-m", "mmbench.stages.train", *arguments(folder, "two", 2)]
    line = shlex.join(command).replace(
        f"--settings {folder}/settings.json", f"--settings <(cat {folder}/settings.json)"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    says = r"error: mt_diffusion seed 3: the loss is nan at step 5; lower train.learning_rate [^\n]*\n"
    assert done.returncode == 1 and re.fullmatch(says, done.stderr), done.stderr
    assert (folder / "two/state" / NAME).exists() and not (folder / "two/weights.safetensors").exists()


@pytest.mark.parametrize(
    ("trouble", "status", "says"),
    [
        (
            "asked",
            1,
            r"error: mt_diffusion seed 3: stopped by \w[\w ]* after step {step} of 6, whose state is kept; [^\n]*\n",
        ),
        ("all asked", 128 + signal.SIGTERM, ""),
    ],
)
def test_processes_that_are_asked_to_stop_keep_the_same_step(
    folder: Path, whole: dict[str, Any], capfd: pytest.CaptureFixture[str], trouble: str, status: int, says: str
) -> None:
    """One alone, or what has started them, which tells all; some time passes until the last has heard it."""
    (folder / trouble).touch()
    python = warm_python() / "python" if trouble == "asked" else sys.executable  # the parent of a fork is another
    command = [python, "-m", "mmbench.stages.train", *arguments(folder, "two", 2)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    assert done.returncode == status, done.stderr
    assert not (folder / "two/weights.safetensors").exists()
    capfd.readouterr()
    assert learnt(run(folder, "two", 1)) == whole
    (step,) = re.findall(r"resuming after step (\d)", capfd.readouterr().out)
    assert re.fullmatch(says.format(step=step), done.stderr), done.stderr


def test_the_workflow_shares_a_training_and_repeats_none_for_another_number_of_processes(tmp_path: Path) -> None:
    checkout = copied(tmp_path, warm=True)
    out = "results/smoke/masking/unet_regression/seed0"
    override = "override={experiments: [masking], train: {shards: 2, steps: 2}}"

    def smoke(processes: int, *more: str) -> str:
        done = checkout.smoke(*more, f"{out}/weights.safetensors", config=[f"processes={processes}", override])
        assert done.returncode == 0, done.stdout
        return done.stdout

    smoke(2)
    assert read_json(tmp_path / out / "training.json")["processes"] == 2
    assert NOTHING_TO_DO in smoke(1, "--dry-run")


def test_the_mean_over_shards_is_that_of_their_losses_whoever_computes_them() -> None:
    """A parameter without a gradient in some shard, or in all, counts as one of zero."""
    data = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))

    def parameters() -> list[torch.nn.Parameter]:
        return [
            torch.nn.Parameter(torch.ones(3)),
            torch.nn.Parameter(torch.ones(())),
            torch.nn.Parameter(torch.ones(2)),
        ]

    def mean(parameters: list[torch.nn.Parameter], shards: Sequence[int], others: torch.Tensor | None) -> torch.Tensor:
        a, b, _ = parameters
        total: list[torch.Tensor] = []
        for shard in shards:
            loss = (a * data[shard]).sum() ** 2 + (b**2 if shard == 2 else 0)
            loss.backward()
            total = add_gradients(total, parameters, {"loss": loss, "shard": torch.tensor(float(shard))})
        whole = flatten(total) if others is None else flatten(total) + others
        assert set_gradients(parameters, total, whole / 4).tolist() == (whole[-2:] / 4).tolist()
        return whole

    alone = parameters()
    total = mean(alone, range(4), None)
    second = mean(parameters(), range(2, 4), None)
    first = parameters()
    assert torch.allclose(mean(first, range(2), second), total)
    for one, other in zip(alone, first, strict=True):
        assert one.grad is not None and other.grad is not None and torch.allclose(one.grad, other.grad)
    plain = parameters()
    ((plain[0] * data).sum(dim=1).square().mean() + plain[1] ** 2 / 4).backward()
    assert torch.allclose(alone[0].grad, plain[0].grad) and torch.allclose(alone[1].grad, plain[1].grad)
    assert alone[2].grad.tolist() == [0, 0]


class Pair(Team):
    """The first of two processes, of which the other answers with what it is told to."""

    def __init__(self, other: Sequence[float]) -> None:
        super().__init__(2, 0)
        self.other = torch.tensor(other, dtype=torch.float64)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        whole = values.clone()
        whole[1] = self.other
        return whole


def test_processes_that_are_not_after_the_same_do_not_go_on(tmp_path: Path) -> None:
    weights = {"weight": torch.ones(3), "shares": torch.zeros(2)}
    Pair([2, 3, 0]).check_same(weights, 2, tmp_path)
    with pytest.raises(UserError, match="not all processes see the checkpoint that is there"):
        Pair([0, 3, 0]).check_same(weights, 2, tmp_path)
    with pytest.raises(UserError, match="'shares' is not the same in all processes after step 2"):
        Pair([2, 3, 1]).check_same(weights, 2, tmp_path)


def test_a_process_ends_when_what_started_it_is_gone() -> None:
    team = Team(2, 1)
    team.parent = -1
    with pytest.raises(UserError, match="another process of this training has ended"):
        team.sum(torch.zeros(1))


def test_shares_are_even_or_refused() -> None:
    assert [list(Team(2, rank).share(4)) for rank in (0, 1)] == [[0, 1], [2, 3]]
    assert list(Team().share(3)) == [0, 1, 2]
    with pytest.raises(UserError, match="3 parts of a batch cannot be shared out evenly among 2 processes"):
        Team(2, 0).share(3)
