"""One training in several processes: what is learnt is what one process learns, and none goes on without the others."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
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
from safetensors.torch import load_file

from mmbench import train
from mmbench.checkpoint import NAME
from mmbench.errors import UserError
from mmbench.files import read_json, save_arrays, sha256_arrays, write_json
from mmbench.gradients import mean_gradients
from mmbench.parallel import Team

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

from mmbench.mt_diffusion import Method as MultitaskModel

TITLE = "Goes wrong"
TASKS = ("generate",)
TROUBLE = Path(__file__).parent


class Method(MultitaskModel):
    calls = 0

    def loss(self, batch, generator):
        self.calls += 1
        terms = super().loss(batch, generator)
        if os.environ.get("RANK") == "1" and self.calls == 5:
            for name in ("killed", "diverged"):
                if (TROUBLE / name).exists():
                    (TROUBLE / name).unlink()
                    if name == "killed":
                        os.kill(os.getpid(), signal.SIGKILL)
                    return {name: term * float("nan") for name, term in terms.items()}
        return terms
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Settings, data, and a method."""
    arrays = {"image": np.random.default_rng(0).integers(0, 256, (10, 3, 16, 16), dtype=np.uint8)}
    save_arrays(tmp_path / "data" / "train.npz", arrays)
    splits = {"train": {"count": 10, "sha256": sha256_arrays(arrays)}}
    write_json(tmp_path / "data" / "card.json", {"size": [16, 16], "splits": splits})
    write_json(tmp_path / "settings.json", SETTINGS)
    (tmp_path / "goes_wrong.py").write_text(METHOD)
    return tmp_path


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


def test_a_killed_process_ends_all_and_one_goes_on_with_what_two_have_learnt(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = run(folder, "one", 1)
    (folder / "killed").touch()
    begin = time.monotonic()
    with pytest.raises(
        UserError, match=r"^process 1 of this training was ended by SIGKILL; run the same command again"
    ):
        run(folder, "two", 2)
    assert time.monotonic() - begin < 60
    assert capfd.readouterr().err == ""
    assert (folder / "two/state" / NAME).exists() and not (folder / "two/weights.safetensors").exists()
    assert learnt(run(folder, "two", 1)) == learnt(whole)
    assert re.search("resuming after step [24]", capfd.readouterr().out)
    assert len(learnt(whole)["gradient_cosines"]) == 5


def test_two_processes_go_on_with_what_one_has_learnt(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = run(folder, "one", 1)
    interrupted(folder, "two", 3, monkeypatch)
    capfd.readouterr()
    two = run(folder, "two", 2)
    said = capfd.readouterr()
    assert said.out.count("resuming after step 2") == said.out.count("step 6/6") == 1 and said.err == ""
    assert learnt(two) == learnt(whole)
    assert [read_json(out / "training.json")["processes"] for out in (whole, two)] == [1, 2]


def test_what_one_process_finds_wrong_is_one_line_of_all(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "diverged").touch()
    with pytest.raises(UserError, match=r"^mt_diffusion seed 3: the loss is nan at step 5; lower train.learning_rate"):
        run(folder, "two", 2)
    assert capfd.readouterr().err == ""
