"""Settings are chosen on the validation split: every candidate is asked and scored, and prediction uses the best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmbench.config.discovery import find_in
from mmbench.errors import UserError
from mmbench.files.store import load_arrays, read_json, save_arrays, sha256_arrays, write_json
from mmbench.files.weights import save_weights
from mmbench.stages import predict, tune
from mmbench.stages.cases import write_cases

METHOD = '''
from mmbench.method import Method as BaseMethod

TITLE = "Grey"
TASKS = ("reconstruct",)
TRAINED = False
TUNE = {"grey": (-0.9, 0.2, 0.9)}
TUNE_BY = ("reconstruct", "psnr_hole")


class Method(BaseMethod):
    """Every hidden pixel gets one grey."""

    def __init__(self, spec, grey=0.0):
        super().__init__(spec)
        self.grey = grey

    def predict(self, task, given, count, sampling, generator):
        return {"image": given["masked_image"][:, :3] * 0 + self.grey}
'''
SETTINGS = {
    "experiment": "masking",
    "shares": [0.5],
    "data": {},
    "network": {},
    "train": {
        "steps": 400,
        "batch_size": 8,
        "learning_rate": 0.001,
        "warmup": 1,
        "ema": 0.9,
        "precision": "fp32",
        "flip": False,
        "checkpoint_every": 1,
    },
    "sample": {"sampler": None, "nfe": 2, "batch_size": 4},
    "evaluate": {"reconstructions": 100, "samples": 16, "reference": "test"},
    "method": "grey",
    "method_settings": {},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Validation images are light grey, test images dark: a choice made on the test split would show."""
    splits = {}
    for split, grey in (("validation", 0.2), ("test", -0.9)):
        value = round((grey + 1) * 127.5)
        arrays = {"image": np.full((8, 3, 32, 32), value, np.uint8)}
        save_arrays(tmp_path / "data" / f"{split}.npz", arrays)
        splits[split] = {"sha256": sha256_arrays(arrays)}
    write_json(tmp_path / "data" / "card.json", {"name": "grey", "size": [32, 32], "splits": splits})
    (tmp_path / "grey.py").write_text(METHOD)
    write_json(tmp_path / "settings.json", SETTINGS)
    save_weights(tmp_path / "weights.safetensors", {})
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    own = {"settings": "settings.json", "method": "grey.py", "data": "data", "weights": "weights.safetensors"}
    named = [word for name, file in own.items() for word in (f"--{name}", str(folder / file))]
    return [*named, "--seed", "0", "--device", "cpu", "--out", str(folder), *more]


def test_the_best_on_validation_is_chosen_and_used(folder: Path, lpips_weights: Path) -> None:
    tune.main(arguments(folder, "--lpips", str(lpips_weights)))
    record = read_json(folder / "tuned.json")
    assert record["chosen"] == {"grey": 0.2}
    assert record["by"] == {"task": "reconstruct", "metric": "psnr_hole", "split": "validation", "n": 8}
    assert [entry["settings"]["grey"] for entry in record["tried"]] == [-0.9, 0.2, 0.9]
    values = [entry["value"] for entry in record["tried"]]
    assert max(values) == values[1]
    assert {row["name"] for row in record["tried"][0]["metrics"]} >= {"lpips_alex", "psnr_hole"}
    write_cases({**SETTINGS, "evaluate": {**SETTINGS["evaluate"], "reconstructions": 8}}, folder / "data", folder / "c")
    for tuned, grey in (([], 0.0), (["--tuned", str(folder / "tuned.json")], 0.2)):
        predict.main(arguments(folder, "--cases", str(folder / "c"), *tuned))
        images = load_arrays(folder / "predictions.npz")["reconstruct-50/image"]
        assert abs(int(images.max()) - (grey + 1) * 127.5) < 1
        assert read_json(folder / "predictions.json")["tuned"] == ({"grey": 0.2} if tuned else {})


def test_what_the_configuration_sets_is_not_tried() -> None:
    both = {"a": (1.0, 2.0), "b": (3.0, 4.0)}
    assert len(tune.candidates(both, {})) == 4
    assert tune.candidates(both, {"a": 5.0}) == [{"b": 3.0}, {"b": 4.0}]


DRAWN = """
from mmbench.method import Method as BaseMethod

TITLE = "Drawn"
TASKS = ("reconstruct",)
TRAINED = False
SAMPLES = True
GREY = {"ddim": -0.9, "dpm++": 0.2, "dpm++sde": 0.9}


class Method(BaseMethod):
    def heeds(self, task):
        return frozenset({"sampler", "nfe"})

    def predict(self, task, given, count, sampling, generator):
        return {"image": given["masked_image"][:, :3] * 0 + GREY[sampling.sampler] / sampling.nfe}
"""


CHOICE = {
    "by": "psnr_hole",
    "least": 4,
    "also": [],
    "candidates": [
        {"sampler": "ddim"},
        {"sampler": "dpm++", "evaluations": 0.5},
        {"sampler": "dpm++", "guidance": 2.0},
        {"sampler": "dpm++", "guidance": 1.0},
    ],
}


class TestDrawing:
    """How a method draws is chosen among what its task states."""

    @pytest.fixture
    def drawn(self, folder: Path) -> Path:
        (folder / "grey.py").write_text(DRAWN)
        write_json(folder / "settings.json", {**SETTINGS, "choice": {"reconstruct": CHOICE}})
        return folder

    def test_the_best_on_validation_is_chosen_and_used(self, drawn: Path, lpips_weights: Path) -> None:
        tune.main(arguments(drawn, "--lpips", str(lpips_weights)))
        record = read_json(drawn / "tuned.json")
        (choice,) = record["drawings"]
        assert (record["chosen"], choice["tasks"]) == ({}, ["reconstruct"])
        assert choice["by"] == {"metric": "psnr_hole", "split": "validation", "n": 8}
        tried = [(entry["settings"]["sampler"], entry["settings"]["nfe"]) for entry in choice["tried"]]
        assert tried == [("ddim", 2), ("dpm++", 1), ("dpm++", 2)]
        assert choice["chosen"] == {"sampler": "dpm++", "nfe": 1, "guidance": None, "commit": None}
        write_cases(
            {**SETTINGS, "evaluate": {**SETTINGS["evaluate"], "reconstructions": 8}}, drawn / "data", drawn / "c"
        )
        for more, sampler in (([], "ddim"), (["--tuned", str(drawn / "tuned.json")], "dpm++")):
            predict.main(arguments(drawn, "--cases", str(drawn / "c"), *more))
            assert read_json(drawn / "predictions.json")["cases"]["reconstruct-50"]["drawing"]["sampler"] == sampler

    def test_a_short_training_pays_for_nothing(self, drawn: Path, lpips_weights: Path) -> None:
        settings = read_json(drawn / "settings.json")
        write_json(drawn / "settings.json", {**settings, "train": {**settings["train"], "steps": 10}})
        tune.main(arguments(drawn, "--lpips", str(lpips_weights)))
        assert read_json(drawn / "tuned.json")["drawings"] == []


def test_a_metric_that_is_not_there_is_named() -> None:
    rows = [{"name": "fd[x]", "value": 3.0, "higher_is_better": False}, {"name": "kd[x]", "value": 1.0}]
    assert tune.value_of(rows, "fd") == (3.0, False)
    with pytest.raises(UserError, match="no such metric; it has fd, kd"):
        tune.value_of(rows, "fid")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(-0.9, 0.2, 0.9)", '"dark"', "TUNE: grey is 'dark'"),
        ("(-0.9, 0.2, 0.9)", "()", "TUNE: grey is ()"),
        ('TUNE_BY = ("reconstruct", "psnr_hole")', "", "TUNE_BY is None; write one of reconstruct and a metric"),
        ('("reconstruct", "psnr_hole")', '("generate", "fd")', "write one of reconstruct and a metric"),
    ],
)
def test_wrong_declarations_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    root = Path(__file__).parents[1]
    for name in ("mmbench", "baselines/masking"):
        (tmp_path / name).mkdir(parents=True)
    for path in ("mmbench/models/mt_diffusion.py", "mmbench/experiments/masking/tasks.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((root / path).read_text())
    (tmp_path / "baselines/masking/grey.py").write_text(METHOD)
    assert find_in(tmp_path, "masking")["grey"].tune == ("grey",)
    (tmp_path / "baselines/masking/grey.py").write_text(METHOD.replace(old, new))
    with pytest.raises(UserError) as error:
        find_in(tmp_path, "masking")
    assert said in str(error.value) and "baselines/masking/grey.py" in str(error.value)
