"""The commands that score: whole runs on small data, and predictions that are not what was asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from fake_data import coarse_images
from fake_scoring import evaluated, small_run

from mmbench.experiments.experiment import read_cases
from mmbench.files.store import Arrays, load_arrays, read_json, save_arrays, write_json
from mmbench.stages import reference
from mmbench.stages.evaluate import read_cost

SETTINGS = {
    "experiment": "masking",
    "data": {},
    "shares": [0.25, 0.5],
    "evaluate": {"reconstructions": 4, "samples": 12, "reference": "test"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lpips_weights: Path) -> Path:
    """Data, cases and reference of a small run."""
    counts = {"train": 30, "validation": 6, "test": 20}
    splits = {split: {"image": coarse_images(count, seed)} for seed, (split, count) in enumerate(counts.items())}
    return small_run(tmp_path_factory.mktemp("run"), lpips_weights, SETTINGS, splits, size=[32, 32])


@pytest.fixture
def answers(run: Path) -> Arrays:
    """A whole set of predictions: the truth, darkened, and pictures of another kind."""
    found = {}
    for case in read_cases(run / "cases"):
        image = coarse_images(case.count, 9) if case.task == "generate" else case.truth["image"] // 2
        found[f"{case.name}/image"] = image
    return found


def test_reference_has_the_floor_of_real_against_real(run: Path) -> None:
    card = read_json(run / "reference" / "reference.json")
    assert load_arrays(run / "reference" / "reference.npz")["features/vgg16-relu5_3-gap"].shape == (20, 512)
    assert (card["split"], card["n"], card["floor"]["split"], card["floor"]["n"]) == ("test", 20, "train", 12)
    names = [row["name"].split("[")[0] for row in card["metrics"]]
    assert names == ["fd", "kd", "precision@k5", "recall@k5", "density@k5", "coverage@k5"]
    assert all(row["detail"]["n_real"] == row["detail"]["n_fake"] == 12 for row in card["metrics"])
    assert card["metrics"][0]["value"] > 0


def test_a_floor_with_fewer_images_than_wanted_says_so(run: Path) -> None:
    def other(split: str, samples: int) -> tuple[str, Arrays]:
        settings = {"experiment": "masking", "evaluate": {"reference": split, "samples": samples}}
        return reference.other_items(run / "data", settings)

    split, items = other("test", 1000)
    assert (split, len(items["image"])) == ("train", 30)
    split, items = other("train", 7)
    assert (split, len(items["image"])) == ("test", 7)
    np.testing.assert_array_equal(items["image"], other("train", 7)[1]["image"])


def test_a_whole_evaluation(run: Path, lpips_weights: Path, answers: Arrays, tmp_path: Path, capsys) -> None:
    save_arrays(tmp_path / "predictions.npz", answers)
    training = {"parameters": 5, "images_seen": 6, "flops": 7, "seconds": 8.5, "peak_memory_bytes": 9, "device": "cpu"}
    write_json(tmp_path / "training.json", training)
    cases = {"reconstruct-25": {"nfe": 1, "seconds": 2.0}, "generate": {"nfe": 50, "seconds": 3.0}}
    write_json(tmp_path / "predictions.json", {"cases": cases, "peak_memory_bytes": 11, "device": "cpu"})
    evaluated(run, lpips_weights, tmp_path, "--title", "A toy", "--tasks", "reconstruct", "generate")
    found = read_json(tmp_path / "metrics.json")
    assert (found["schema"], found["experiment"], found["method"], found["title"], found["seed"]) == (
        1,
        "masking",
        "made",
        "A toy",
        3,
    )
    assert found["cost"] == {
        "parameters": 5,
        "images_seen": 6,
        "training_flops": 7,
        "nfe": {"reconstruct-25": 1, "generate": 50},
        "train_seconds": 8.5,
        "predict_seconds": 5.0,
        "peak_memory_bytes": 11,
        "device": "cpu",
    }
    assert {row["case"] for row in found["metrics"]} == {"reconstruct-25", "reconstruct-50", "generate"}
    assert len(found["metrics"]) == 2 * 5 + 6
    assert set(found["provenance"]["inputs_sha256"]) >= {"predictions", "cases", "weights"}
    with (tmp_path / "items.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 5 * 4 and list(rows[0]) == ["case", "item", "metric", "value"]
    for row in found["metrics"]:
        own = [float(r["value"]) for r in rows if (r["case"], r["metric"]) == (row["case"], row["name"])]
        assert not own or row["value"] == pytest.approx(np.mean(own), rel=1e-6)
    assert "reconstruct-25 lpips_alex" in capsys.readouterr().out
    before = (tmp_path / "items.csv").read_bytes(), found["metrics"]
    evaluated(run, lpips_weights, tmp_path, "--cache", str(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 3
    assert before == ((tmp_path / "items.csv").read_bytes(), read_json(tmp_path / "metrics.json")["metrics"])


def test_a_method_of_one_task_from_outside(run: Path, lpips_weights: Path, answers: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", **{k: v for k, v in answers.items() if k.startswith("reconstruct")})
    evaluated(run, lpips_weights, tmp_path, "--tasks", "reconstruct")
    found = read_json(tmp_path / "metrics.json")
    assert {row["case"] for row in found["metrics"]} == {"reconstruct-25", "reconstruct-50"}
    assert found["title"] == "made"
    assert found["cost"] == dict.fromkeys(found["cost"], None) | {"nfe": {}}


def test_cost_of_weights_trained_elsewhere(tmp_path: Path) -> None:
    write_json(tmp_path / "other.json", {"parameters": 5, "seconds": 2.0, "device": "cpu"})
    cost = read_cost(tmp_path, tmp_path / "other.json")
    assert (cost["parameters"], cost["train_seconds"], cost["device"]) == (5, 2.0, "cpu")
    assert cost["predict_seconds"] is None and cost["images_seen"] is None
    assert read_cost(tmp_path, tmp_path / "absent.json")["parameters"] is None
    json.dumps(cost, allow_nan=False)
