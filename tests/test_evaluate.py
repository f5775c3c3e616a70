"""The commands that score: whole runs on small data, and predictions that are not what was asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.errors import UserError
from mmbench.experiments.experiment import read_cases
from mmbench.files.store import Arrays, load_arrays, read_json, save_arrays, sha256_arrays, write_json
from mmbench.modalities import Modality, kind_of
from mmbench.stages import evaluate, reference
from mmbench.stages.cases import write_cases
from mmbench.stages.evaluate import read_cost

SETTINGS = {
    "experiment": "masking",
    "data": {},
    "shares": [0.25, 0.5],
    "evaluate": {"reconstructions": 4, "samples": 12, "reference": "test"},
}


def pictures(n: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 3, 4, 4), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lpips_weights: Path) -> Path:
    """Data, cases and reference of a small run."""
    folder = tmp_path_factory.mktemp("run")
    splits = {}
    for seed, (split, count) in enumerate({"train": 30, "validation": 6, "test": 20}.items()):
        arrays = {"image": pictures(count, seed)}
        save_arrays(folder / "data" / f"{split}.npz", arrays)
        splits[split] = {"count": count, "sha256": sha256_arrays(arrays)}
    write_json(folder / "data" / "card.json", {"size": [32, 32], "splits": splits})
    write_json(folder / "settings.json", SETTINGS)
    write_cases(SETTINGS, folder / "data", folder / "masking")
    common = ["--settings", str(folder / "settings.json"), "--weights", str(lpips_weights)]
    reference.main([*common, "--data", str(folder / "data"), "--out", str(folder / "masking"), "--device", "cpu"])
    return folder


@pytest.fixture
def answers(run: Path) -> Arrays:
    """A whole set of predictions: the truth, darkened, and pictures of another kind."""
    found = {}
    for case in read_cases(run / "masking"):
        image = pictures(case.count, 9) if case.task == "generate" else case.truth["image"] // 2
        found[f"{case.name}/image"] = image
    return found


def score(run: Path, weights: Path, out: Path, *extra: str) -> None:
    places = {"settings": run / "settings.json", "weights": weights, "data": run / "data", "cases": run / "masking"}
    places |= {"reference": run / "masking" / "reference.npz", "predictions": out, "out": out}
    flags = [text for name, path in places.items() for text in (f"--{name}", str(path))]
    evaluate.main([*flags, "--method", "toy", "--seed", "3", "--device", "cpu", *extra])


def test_reference_has_the_floor_of_real_against_real(run: Path) -> None:
    card = read_json(run / "masking" / "reference.json")
    assert load_arrays(run / "masking" / "reference.npz")["features/vgg16-relu5_3-gap"].shape == (20, 512)
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
    score(run, lpips_weights, tmp_path, "--title", "A toy", "--tasks", "reconstruct", "generate")
    found = read_json(tmp_path / "metrics.json")
    assert (found["schema"], found["experiment"], found["method"], found["title"], found["seed"]) == (
        1,
        "masking",
        "toy",
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
    score(run, lpips_weights, tmp_path, "--cache", str(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 3
    assert before == ((tmp_path / "items.csv").read_bytes(), read_json(tmp_path / "metrics.json")["metrics"])


def test_a_method_of_one_task_from_outside(run: Path, lpips_weights: Path, answers: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", **{k: v for k, v in answers.items() if k.startswith("reconstruct")})
    score(run, lpips_weights, tmp_path, "--tasks", "reconstruct")
    found = read_json(tmp_path / "metrics.json")
    assert {row["case"] for row in found["metrics"]} == {"reconstruct-25", "reconstruct-50"}
    assert found["title"] == "toy"
    assert found["cost"] == dict.fromkeys(found["cost"], None) | {"nfe": {}}


IMAGE = "reconstruct-25/image"


@pytest.mark.parametrize(
    "spoil, tasks, message",
    [
        (lambda a: a.pop(IMAGE), ["reconstruct", "generate"], "'reconstruct-25/image' is missing; answer every case"),
        (lambda a: a.pop(IMAGE), [], "'reconstruct-25/image' is missing; answer every case"),
        (lambda a: a.pop("generate/image"), ["reconstruct", "generate"], "'generate/image' is missing"),
        (lambda a: None, ["reconstruct"], "answers task 'generate', which the method does not claim"),
        (lambda a: None, ["reconstruct", "draw"], "--tasks draw: no such task.*reconstruct, generate"),
        (lambda a: a.clear(), [], "holds no answer"),
        (lambda a: a.update({"reconstruct_25/image": a.pop(IMAGE)}), [], "did you mean 'reconstruct-25/image'"),
        (lambda a: a.update({"zzz": a[IMAGE]}), [], "'zzz' answers no case; the arrays asked for are generate/image"),
        (lambda a: a.update({IMAGE: a[IMAGE][:3]}), [], r"uint8 \(3, 3, 32, 32\); expected uint8 \(4, 3, 32, 32\)"),
        (lambda a: a.update({IMAGE: a[IMAGE].transpose(0, 2, 3, 1)}), [], r"\(4, 32, 32, 3\).*channels first"),
        (lambda a: a.update({IMAGE: a[IMAGE] / 127.5 - 1}), [], "is float64.*expected uint8.*from 0 to 255"),
        (lambda a: a.update({IMAGE: a[IMAGE].astype(np.int64)}), [], "is int64.*expected uint8"),
    ],
)
def test_predictions_that_are_not_what_was_asked_for(
    run: Path, lpips_weights: Path, answers: Arrays, tmp_path: Path, spoil, tasks, message
) -> None:
    spoil(answers)
    np.savez(tmp_path / "predictions.npz", **answers)
    with pytest.raises(UserError, match=message) as caught:
        score(run, lpips_weights, tmp_path, *(["--tasks", *tasks] if tasks else []))
    assert "predictions.npz" in str(caught.value) or "--tasks" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "metrics.json").exists()


def test_predictions_that_cannot_be_read(run: Path, lpips_weights: Path, answers: Arrays, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"predictions\.npz: no such file"):
        score(run, lpips_weights, tmp_path)
    np.savez(tmp_path / "predictions.npz", **{IMAGE: np.array([{"not": "plain"}])})
    with pytest.raises(UserError, match=r"predictions\.npz: not a readable npz"):
        score(run, lpips_weights, tmp_path)
    save_arrays(tmp_path / "predictions.npz", answers)
    (tmp_path / "predictions.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"predictions\.json: not a JSON file"):
        score(run, lpips_weights, tmp_path)
    for record in ([], {"cases": [1]}, {"cases": {"generate": 2.5}}):
        write_json(tmp_path / "predictions.json", record)
        with pytest.raises(UserError, match=r"predictions\.json: (holds no keys|cases).*delete it"):
            score(run, lpips_weights, tmp_path)


CLASSES = 5
KINDS = {
    "image": (Modality("image", (3, 4, 6)), np.zeros((2, 3, 4, 6), dtype=np.uint8)),
    "mask": (Modality("class_map", (4, 6), CLASSES), np.full((2, 4, 6), CLASSES - 1)),
    "label": (Modality("label", (), CLASSES), np.full((2, CLASSES), 0.2, dtype=np.float32)),
    "embedding": (Modality("vector", (8,)), np.zeros((2, 8), dtype=np.float32)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_modality_is_checked(kind: str) -> None:
    modality, array = KINDS[kind]
    kind_of(modality).check_answer("p.npz: array 'a'", array, 2)
    wrong = [array[:1], array[..., :1], array.astype(np.complex64), array.astype(str)]
    if array.dtype.kind == "f":
        wrong += [np.where(array == array.max(), bad, array) for bad in (np.nan, np.inf)]
        wrong += [array.astype(np.int64)]
    else:
        wrong += [array.astype(np.float32)]
    if kind == "mask":
        wrong += [array + 1, array - CLASSES]
    for other in wrong:
        with pytest.raises(UserError, match=r"^p\.npz: array 'a' (is|holds)"):
            kind_of(modality).check_answer("p.npz: array 'a'", other, 2)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=5), st.sampled_from(["uint8", "int8", "float32", "bool", "uint16"]))
def test_only_one_shape_and_type_of_image_passes(shape: list[int], dtype: str) -> None:
    modality = Modality("image", (3, 32, 32))
    array = np.zeros(shape, dtype=dtype)
    with pytest.raises(UserError, match="expected uint8"):
        kind_of(modality).check_answer("x", array, 4)
    kind_of(modality).check_answer("x", np.zeros((4, 3, 32, 32), dtype=np.uint8), 4)


def test_cost_of_weights_trained_elsewhere(tmp_path: Path) -> None:
    write_json(tmp_path / "other.json", {"parameters": 5, "seconds": 2.0, "device": "cpu"})
    cost = read_cost(tmp_path, tmp_path / "other.json")
    assert (cost["parameters"], cost["train_seconds"], cost["device"]) == (5, 2.0, "cpu")
    assert cost["predict_seconds"] is None and cost["images_seen"] is None
    assert read_cost(tmp_path, tmp_path / "absent.json")["parameters"] is None
    json.dumps(cost, allow_nan=False)
