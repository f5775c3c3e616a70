"""The judge of segmentation, the scores it makes, and what they say of real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import NETWORK, TRAIN
from fake_scoring import evaluated, made_tools, small_run, values

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, read_cases
from mmbench.experiments.masking import scores as masking
from mmbench.experiments.segmentation import scores as segmentation
from mmbench.experiments.segmentation.tasks import TASKS
from mmbench.files.store import Arrays, read_json, save_arrays, sha256_file
from mmbench.frozen.judges import load_judge
from mmbench.method import Method, Modality, Spec
from mmbench.scoring.scores import Tools, score_real

pytestmark = pytest.mark.slow

CLASSES = ["sky", "road", "tree", "car"]
CARD = {
    "name": "squares",
    "modalities": ["image", "mask"],
    "classes": CLASSES,
    "palette": [[0, 0, 0]] * 4,
    "size": [32, 32],
}
COLOURS = np.array([[20, 60, 200], [90, 90, 90], [30, 160, 40], [220, 40, 40]], np.uint8)
SETTINGS = {
    "experiment": "segmentation",
    "data": {},
    "method": "judge",
    "method_settings": {},
    "network": NETWORK,
    "train": {**TRAIN, "steps": 40, "learning_rate": 1e-2},
    "evaluate": {"reconstructions": 5, "samples": 12, "reference": "test"},
}  # fmt: skip


def squares(count: int, seed: int) -> Arrays:
    """Class maps of coarse squares, and images in the classes' colours."""
    mask = np.random.default_rng(seed).integers(0, 4, (count, 4, 4), dtype=np.uint8)
    mask = mask.repeat(8, axis=1).repeat(8, axis=2)
    return {"image": COLOURS[mask].transpose(0, 3, 1, 2).copy(), "mask": mask}


class ByColour(Method):
    """A judge that cannot err: the class whose colour is nearest."""

    def predict(self, task, given, count, sampling, generator):
        colours = torch.from_numpy(COLOURS).float().view(1, 4, 3, 1, 1) / 127.5 - 1
        return {"mask": (given["image"][:, None] - colours).abs().sum(dim=2).argmin(dim=1)}


@pytest.fixture(scope="module")
def tools(lpips_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    spec = Spec({"image": Modality("image", (3, 32, 32)), "mask": Modality("class_map", (32, 32), 4)})
    folder, real = tmp_path_factory.mktemp("reference"), squares(30, 1)["image"]
    return made_tools(lpips_weights, folder, real, ByColour(spec), card=CARD)


def test_segmenting_is_scored_by_hand_made_numbers(tools: Tools) -> None:
    truth = np.zeros((2, 32, 32), np.uint8)
    truth[:, :16] = 1
    truth[1, :, :8] = 255
    predicted = truth.copy()
    predicted[truth == 255] = 3  # must not count
    predicted[0, :8] = 0  # a quarter of the first image
    case = Case("segment", "segment", 2, {"image": squares(2, 0)["image"]}, {"mask": truth})
    scored = segmentation.score([(case, {"mask": predicted})], tools)
    found = values(scored, "segment")
    assert found["pixel_accuracy"] == pytest.approx((0.75 + 1) / 2)
    sky, road = 512 + 384, 512 + 384
    assert found["iou/road"] == pytest.approx((road - 256) / road)
    assert found["iou/sky"] == pytest.approx(sky / (sky + 256))
    assert found["miou"] == pytest.approx((found["iou/road"] + found["iou/sky"]) / 2)
    assert found.keys() == {"miou", "pixel_accuracy", "iou/sky", "iou/road"}
    assert [(metric, value) for _, _, metric, value in scored.items] == [
        ("pixel_accuracy", 0.75),
        ("pixel_accuracy", 1),
    ]
    assert scored.metrics[0]["detail"] | {"classes": 2, "ignored_pixels": 256} == scored.metrics[0]["detail"]
    assert all(row["higher_is_better"] for row in scored.metrics)


def test_painting_is_judged_against_the_given_masks_and_compared_as_a_set(tools: Tools) -> None:
    test = squares(20, 1)
    case = Case("paint", "paint", 20, {"mask": test["mask"]}, {"image": test["image"]})
    right = values(segmentation.score([(case, {"image": test["image"]})], tools), "paint")
    other = values(segmentation.score([(case, {"image": squares(20, 2)["image"]})], tools), "paint")
    assert right["judged_miou"] == right["judged_accuracy"] == 1
    assert 0.05 < other["judged_miou"] < 0.3 and other["judged_accuracy"] == pytest.approx(0.25, abs=0.1)
    assert {name.split("[")[0] for name in right} == {
        "fd", "kd", "precision@k5", "recall@k5", "density@k5", "coverage@k5", "judged_miou", "judged_accuracy"
    }  # fmt: skip
    row = segmentation.score([(case, {"image": test["image"]})], tools).metrics[-1]
    assert (row["extractor"], row["weights_sha256"], row["n"]) == ("judge-made", "ab" * 32, 20)


def test_pairs_drawn_together_agree_above_the_shuffled_floor(tools: Tools) -> None:
    drawn, case = squares(20, 3), Case("generate", "generate", 20)
    scored = segmentation.score([(case, drawn)], tools)
    found = values(scored, "generate")
    assert found["judged_miou"] == 1 and found["shuffled_miou"] < 0.4
    assert len([1 for _, _, metric, _ in scored.items if metric == "judged_accuracy"]) == 20
    mismatched = {"image": drawn["image"], "mask": np.roll(drawn["mask"], 1, axis=0)}
    assert values(segmentation.score([(case, mismatched)], tools), "generate")["judged_miou"] < 0.4


def test_the_ceiling_is_the_judge_on_real_data_and_only_where_there_is_one(tools: Tools) -> None:
    assert values(score_real("segmentation", squares(9, 4), tools), "ceiling") == {
        "judged_miou": 1,
        "judged_accuracy": 1,
    }
    assert score_real("masking", squares(9, 4), tools).metrics == [] and not hasattr(masking, "score_real")


def test_what_cannot_be_scored_is_said(tools: Tools, lpips_weights: Path, tmp_path: Path) -> None:
    mask = squares(8, 0)["mask"]
    mask[3] = 255
    case = Case("paint", "paint", 8, {"mask": mask}, {})
    with pytest.raises(UserError, match="case 'paint': item 3 has no pixel with a class"):
        segmentation.score([(case, {"image": squares(8, 0)["image"]})], tools)
    blind = Tools(lpips_weights, tools.reference, torch.device("cpu"), card=CARD)
    with pytest.raises(UserError, match="--judge: not given"):
        segmentation.score([(Case("generate", "generate", 8), squares(8, 0))], blind)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lpips_weights: Path) -> Path:
    counts = {"train": 60, "validation": 4, "test": 20}
    splits = {split: squares(count, seed) for seed, (split, count) in enumerate(counts.items())}
    return small_run(tmp_path_factory.mktemp("run"), lpips_weights, SETTINGS, splits, **CARD)


def test_the_trained_judge_sees_what_is_there(run: Path) -> None:
    modalities = {"image": Modality("image", (3, 32, 32)), "mask": Modality("class_map", (32, 32), 4)}
    judge = load_judge(run / "judge", "segmentation", modalities, torch.device("cpu"))
    test = squares(20, 2)
    whole = judge.answer(TASKS["segment"], {"image": test["image"]})["mask"]
    assert whole.dtype == np.uint8 and (whole == test["mask"]).mean() > 0.9
    assert np.array_equal(whole, judge.answer(TASKS["segment"], {"image": test["image"]}, batch_size=7)["mask"])
    assert judge.weights_sha256 == sha256_file(run / "judge" / "weights.safetensors") and not judge.method.training
    with pytest.raises(UserError, match=r"training\.json: not a judge of 'masking'"):
        load_judge(run / "judge", "masking", modalities, torch.device("cpu"))
    with pytest.raises(UserError, match="weights of another network"):
        more = {**modalities, "mask": Modality("class_map", (32, 32), 9)}
        load_judge(run / "judge", "segmentation", more, torch.device("cpu"))


def test_a_whole_evaluation_with_its_judge(run: Path, lpips_weights: Path, tmp_path: Path) -> None:
    card = read_json(run / "reference" / "reference.json")
    ceiling = {row["name"]: row for row in card["metrics"] if row["case"] == "ceiling"}
    assert ceiling["judged_miou"]["value"] > 0.8 and ceiling["judged_miou"]["n"] == 20
    drawn = squares(12, 9)
    answers = {"generate/image": drawn["image"], "generate/mask": drawn["mask"]}
    for case in read_cases(run / "cases"):
        if case.truth:
            answers |= {f"{case.name}/{name}": array for name, array in case.truth.items()}
    save_arrays(tmp_path / "predictions.npz", answers)
    found = evaluated(run, lpips_weights, tmp_path)
    record = read_json(tmp_path / "metrics.json")
    assert found["segment", "miou"] == 1
    assert found["paint", "judged_miou"] > 0.8
    assert found["generate", "judged_miou"] > found["generate", "shuffled_miou"] + 0.3
    assert record["provenance"]["inputs_sha256"]["judge"] == ceiling["judged_miou"]["weights_sha256"]
