"""The judge of labels, the scores it makes, and what they say of real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import NETWORK, TRAIN
from fake_scoring import evaluated, made_tools, small_run, values
from safetensors.torch import load_file

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, load_experiment
from mmbench.experiments.labels import scores
from mmbench.experiments.labels.tasks import TASKS
from mmbench.files.store import Arrays, load_arrays, read_json, save_arrays, write_json
from mmbench.frozen.features import EXTRACTOR, stored
from mmbench.frozen.judges import load_judge
from mmbench.method import Method, Spec
from mmbench.scoring.metrics.classification import ECE_BINS
from mmbench.scoring.scores import Tools, score_real
from mmbench.stages import predict, train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LABELS = ["red", "green", "blue", "grey"]
CARD = {"name": "patches", "modalities": ["image", "label"], "labels": LABELS, "size": [32, 32]}
labels = load_experiment("labels")
MODALITIES = labels.modalities(CARD)
COLOURS = np.array([[200, 60, 50], [60, 180, 60], [40, 70, 210], [120, 120, 120]], np.uint8)
SETTINGS = {
    "experiment": "labels",
    "data": {},
    "method": "judge",
    "method_settings": {},
    "network": NETWORK,
    "noise_levels": [0.9, 0.05],
    "train": {**TRAIN, "steps": 60, "learning_rate": 1e-2},
    "sample": {"sampler": "ddim", "nfe": 4, "batch_size": 8},
    "evaluate": {"reconstructions": 5, "samples": 12, "reference": "test"},
}  # fmt: skip
#: Inception score of a judge that sees four classes equally often and is always 97 % sure.
SURE_OF_FOUR = 4 * 0.97**0.97 * 0.01**0.03
DRAWN = {
    "fd", "kd", "precision@k5", "recall@k5", "density@k5", "coverage@k5", "fjd", "kjd", "is", "judged_accuracy"
}  # fmt: skip


def patches(count: int, seed: int) -> Arrays:
    """Grainy images in the colour of their label; labels in turn."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(count) % 4)
    grain = rng.integers(-30, 31, (count, 3, 32, 32))
    return {"image": (COLOURS[label][:, :, None, None] + grain).astype(np.uint8), "label": label}


def sure(label: np.ndarray, confidence: float = 1.0) -> np.ndarray:
    """Probabilities (n, 4) of a classifier that is this sure of its answers."""
    rest = (1 - confidence) / 3
    return (np.eye(4)[label] * (confidence - rest) + rest).astype(np.float32)


class ByColour(Method):
    """A judge that cannot err, and is quite sure of it."""

    def predict(self, task, given, count, sampling, generator):
        colours = torch.from_numpy(COLOURS).float() / 127.5 - 1
        nearest = (given["image"].mean(dim=(2, 3))[:, None] - colours).abs().sum(dim=2).argmin(dim=1)
        return {"label": torch.from_numpy(sure(nearest.numpy(), 0.97))}


@pytest.fixture(scope="module")
def tools(lpips_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    real, folder = patches(40, 1), tmp_path_factory.mktemp("reference")
    return made_tools(lpips_weights, folder, real["image"], ByColour(Spec(MODALITIES)), card=CARD, label=real["label"])


def test_classification_is_scored_by_hand_made_numbers(tools: Tools) -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 1, 3])  # precision 1, 2/3, 0, 0; recall 2/3, 1, 0, 0
    case = Case("classify", "classify", 6, {}, {"label": truth})
    scored = scores.score([(case, {"label": sure(predicted, 0.85)})], tools)
    found = values(scored, "classify")
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["macro_precision"] == found["macro_recall"] == pytest.approx((1 + 2 / 3) / 4)
    assert found["macro_f1"] == pytest.approx(0.8 * 2 / 4)
    assert found["ece"] == pytest.approx(0.85 - 4 / 6, abs=1e-6)
    assert found.keys() == {"accuracy", "macro_precision", "macro_recall", "macro_f1", "ece"}
    assert [value for *_, metric, value in scored.items if metric == "accuracy"] == [1, 1, 0, 1, 1, 0]
    rows = {row["name"]: row for row in scored.metrics}
    assert [name for name, row in rows.items() if not row["higher_is_better"]] == ["ece"]
    assert rows["ece"]["detail"]["bins"] == ECE_BINS == 15 and rows["macro_f1"]["detail"]["classes"] == 4


def test_noised_images_have_an_accuracy_at_each_level(tools: Tools) -> None:
    truth = np.array([0, 1, 2, 3])
    cases = [Case(f"noised-{p}", "classify_noised", 4, {}, {"label": truth}, {"alpha_bar": p / 100}) for p in (90, 5)]
    answers = [{"label": sure(truth, 0.6)}, {"label": sure(np.zeros(4, int), 0.6)}]
    scored = scores.score(list(zip(cases, answers, strict=True)), tools)
    found = [(row["case"], row["alpha_bar"], row["name"], row["value"]) for row in scored.metrics]
    assert found == [("noised-90", 0.9, "accuracy", 1.0), ("noised-5", 0.05, "accuracy", 0.25)]
    assert len(scored.items) == 8


def test_painting_is_judged_against_the_given_labels_and_compared_as_a_set(tools: Tools) -> None:
    test = patches(40, 1)
    case = Case("paint", "paint", 40, {"label": test["label"]})
    scored = scores.score([(case, {"image": test["image"]})], tools)
    right = values(scored, "paint")
    order = np.argsort(test["label"], kind="stable")
    wrong = values(
        scores.score([(case, {"image": test["image"][np.roll(order, 10)[np.argsort(order)]]})], tools), "paint"
    )
    assert right.keys() == wrong.keys() == DRAWN
    assert right["judged_accuracy"] == 1 and wrong["judged_accuracy"] == 0
    assert right["fd"] == pytest.approx(0, abs=1e-6) and wrong["fd"] == pytest.approx(right["fd"], abs=1e-6)
    assert right["fjd"] == pytest.approx(0, abs=1e-6) and wrong["fjd"] > 1  # the same images, of other labels
    assert right["kjd"] < 0 < wrong["kjd"]  # unbiased: of equal sets it is around 0
    assert right["is"] == pytest.approx(wrong["is"]) == pytest.approx(SURE_OF_FOUR, abs=1e-4)
    rows = {row["name"].partition("[")[0]: row for row in scored.metrics}
    for name in ("is", "judged_accuracy"):
        assert (rows[name]["extractor"], rows[name]["weights_sha256"]) == ("judge-made", "ab" * 32)
    assert rows["fjd"]["extractor"] == rows["fd"]["extractor"] == "vgg16-relu5_3-gap"
    norm = np.linalg.norm(tools.reference.features[EXTRACTOR], axis=1).mean()
    assert rows["fjd"]["detail"]["scale"] == pytest.approx(norm) and rows["fjd"]["detail"]["real_split"] == "test"
    assert len([1 for *_, metric, _ in scored.items if metric == "judged_accuracy"]) == 40


def test_pairs_drawn_together_agree_above_the_shuffled_floor(tools: Tools) -> None:
    drawn, case = patches(40, 3), Case("generate", "generate", 40)
    answer = {"image": drawn["image"], "label": sure(drawn["label"], 0.5)}
    found = values(scores.score([(case, answer)], tools), "generate")
    assert found.keys() == DRAWN | {"shuffled_accuracy"}
    assert found["judged_accuracy"] == 1 and 0.05 < found["shuffled_accuracy"] < 0.5
    mismatched = {**answer, "label": sure((drawn["label"] + 1) % 4)}
    other = values(scores.score([(case, mismatched)], tools), "generate")
    assert other["judged_accuracy"] == 0 and other["fd"] == found["fd"] and other["fjd"] > found["fjd"] + 1


def test_the_ceiling_is_the_judge_on_real_data(tools: Tools) -> None:
    found = values(score_real("labels", patches(20, 4), tools), "ceiling")
    assert found.keys() == {"judged_accuracy", "is"} and found["judged_accuracy"] == 1
    assert found["is"] == pytest.approx(SURE_OF_FOUR, abs=1e-4)


def test_what_cannot_be_scored_is_said(tools: Tools, lpips_weights: Path, tmp_path: Path) -> None:
    case = Case("classify", "classify", 4, {}, {"label": np.arange(4)})
    for answer in (sure(np.arange(4)) * 3, -sure(np.arange(4)), np.log(sure(np.arange(4), 0.9))):
        with pytest.raises(UserError, match=r"'classify/label': probabilities .*save softmax outputs") as caught:
            scores.score([(case, {"label": answer})], tools)
        assert "\n" not in str(caught.value)
    few = patches(8, 0)
    save_arrays(tmp_path / "old.npz", stored(tools.reference.features))
    write_json(tmp_path / "old.json", dict(tools.reference.card))
    old = Tools(lpips_weights, tmp_path / "old.npz", torch.device("cpu"), tools.judge, CARD)
    painted = (Case("paint", "paint", 8, {"label": few["label"]}), {"image": few["image"]})
    with pytest.raises(UserError, match=r"reference\.npz: holds no labels"):
        scores.score([painted], old)
    blind = Tools(lpips_weights, tools.reference, torch.device("cpu"), card=CARD)
    with pytest.raises(UserError, match="--judge: not given"):
        scores.score([painted], blind)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lpips_weights: Path) -> Path:
    counts = {"train": 60, "validation": 8, "test": 20}
    splits = {split: patches(count, seed) for seed, (split, count) in enumerate(counts.items())}
    return small_run(tmp_path_factory.mktemp("run"), lpips_weights, SETTINGS, splits, **CARD)


def test_the_trained_judge_sees_what_is_there_and_the_reference_knows_the_labels(run: Path) -> None:
    judge = load_judge(run / "judge", "labels", MODALITIES, torch.device("cpu"))
    test = patches(20, 2)
    seen = judge.answer(TASKS["classify"], {"image": test["image"]})["label"]
    assert seen.shape == (20, 4) and (seen.argmax(axis=1) == test["label"]).mean() > 0.9
    assert seen.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(load_arrays(run / "reference" / "reference.npz")["label"], test["label"])
    rows = read_json(run / "reference" / "reference.json")["metrics"]
    assert {row["name"].partition("[")[0] for row in rows if row["case"] == "ceiling"} == {"is", "judged_accuracy"}


def test_a_method_is_trained_asked_and_scored(run: Path, lpips_weights: Path, tmp_path: Path) -> None:
    """The class-conditional DDPM, which also looks at the labels of the whole training set first."""
    file = str(ROOT / "baselines" / "labels" / "cfg_ddpm.py")
    write_json(run / "method.json", {**SETTINGS, "method": "cfg_ddpm", "train": {**SETTINGS["train"], "steps": 3}})
    common = ["--settings", str(run / "method.json"), "--method", file, "--data", str(run / "data")]
    common += ["--device", "cpu", "--seed", "0", "--out", str(tmp_path)]
    train.main([*common, "--state", str(tmp_path / "state")])
    assert load_file(tmp_path / "weights.safetensors")["shares"].tolist() == [0.25] * 4
    predict.main([*common, "--weights", str(tmp_path / "weights.safetensors"), "--cases", str(run / "cases")])
    found = evaluated(run, lpips_weights, tmp_path)
    assert {case for case, _ in found} == {"paint", "generate"}
    assert {name.partition("[")[0] for case, name in found if case == "generate"} == DRAWN | {"shuffled_accuracy"}
