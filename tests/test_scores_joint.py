"""The scores and the judge of the joint experiment: on answers whose value is known, whole or in part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import NETWORK, TRAIN, write_splits
from fake_scoring import made_tools, values

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, load_experiment
from mmbench.experiments.joint import scores
from mmbench.files.store import Arrays, read_json, write_json
from mmbench.files.weights import load_weights
from mmbench.frozen.judges import Judge, load_judge
from mmbench.method import Method, Spec, Task
from mmbench.modalities import kind_of
from mmbench.scoring.distribution import shuffled
from mmbench.scoring.metrics.depth import delta
from mmbench.scoring.metrics.retrieval import cosine
from mmbench.scoring.scores import Tools, score_floor, score_real
from mmbench.stages import train
from mmbench.stages.cases import write_cases

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CLASSES = ["sky", "road", "tree", "car"]
CARD = {
    "name": "squares",
    "modalities": ["image", "mask", "label", "embedding", "depth"],
    "classes": CLASSES,
    "labels": ["sky", "road", "tree", "car"],  # the class of the upper left square
    "embedding": {"extractor": "mean", "size": 12, "weights_sha256": "ef" * 32},
    "size": [32, 32],
}
joint = load_experiment("joint")
MODALITIES = joint.modalities(CARD)
COLOURS = np.array([[20, 60, 200], [90, 90, 90], [30, 160, 40], [220, 40, 40]], np.uint8)
METRES = np.array([np.nan, 3, 30, 10], np.float32)
SET = {"fd", "kd", "precision@k5", "recall@k5", "density@k5", "coverage@k5"}
COMPOSITE = {"psnr_hole", "l1_hole", "ssim", "lpips_alex", "lpips_vgg"}
RETRIEVAL = {f"{name}/{way}" for name in ("retrieval@1", "retrieval@5", "median_rank")
             for way in ("predicted-true", "true-predicted")}  # fmt: skip
AGREEMENT = {"judged_miou", "shuffled_miou", "judged_accuracy", "shuffled_accuracy", "cosine[mean]",
             "shuffled_cosine[mean]", "judged_delta", "shuffled_delta"}  # fmt: skip
DRAWN_ALONE = {"judged_accuracy", "shuffled_accuracy", "judged_delta", "shuffled_delta"}
TRUTH = {"mask": {"miou", "pixel_accuracy"}, "label": {"accuracy"}, "embedding": {"cosine", *RETRIEVAL},
         "depth": {"abs_rel", "rmse", "delta"}}  # fmt: skip


def embed(image: np.ndarray) -> np.ndarray:
    """The mean colours of the four quarters (n, 12), standardised."""
    quarters = image.reshape(len(image), 3, 2, 16, 2, 16).mean(axis=(3, 5)).reshape(len(image), -1)
    return ((quarters - 100) / 50).astype(np.float32)


def squares(count: int, seed: int) -> Arrays:
    """Class maps of four quarters, images in their colours, and what these tell; the sky has no depth."""
    quarters = np.random.default_rng(seed).integers(0, 4, (count, 2, 2), dtype=np.uint8)
    quarters[(quarters == 0).all(axis=(1, 2)), 1, 1] = 3
    mask = quarters.repeat(16, axis=1).repeat(16, axis=2)
    image = COLOURS[mask].transpose(0, 3, 1, 2).copy()
    told = {"label": quarters[:, 0, 0].astype(np.int64), "embedding": embed(image), "depth": METRES[mask]}
    return {"image": image, "mask": mask, **told}


class ByColour(Method):
    """A judge that cannot err: the class whose colour is nearest, that of the first pixel, and the class's distance."""

    def predict(self, task, given, count, sampling, generator):
        colours = torch.from_numpy(COLOURS).float().view(1, 4, 3, 1, 1) / 127.5 - 1
        mask = (given["image"][:, None] - colours).abs().sum(dim=2).argmin(dim=1)
        depth = kind_of(MODALITIES["depth"]).to_batch(torch.from_numpy(METRES).nan_to_num(500))[mask]
        answer = {"mask": mask, "label": torch.nn.functional.one_hot(mask[:, 0, 0], 4).float(), "depth": depth}
        return {name: answer[name] for name in task.want}


@pytest.fixture(scope="module")
def tools(lpips_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return joint_tools(lpips_weights, tmp_path_factory.mktemp("reference"), Spec(MODALITIES))


def joint_tools(weights: Path, folder: Path, spec: Spec) -> Tools:
    tools = made_tools(weights, folder, squares(30, 1)["image"], ByColour(spec), card=CARD)
    tools.embedded = embed
    return tools


def cases(count: int = 12) -> dict[str, Case]:
    settings = {"share": 0.5, "evaluate": {"reconstructions": count, "samples": count}}
    return {case.name: case for case in joint.cases(squares(count, 5), joint.modalities(CARD), settings)}


def right(case: Case, items: Arrays | None = None) -> Arrays:
    """What a method answers that knows everything."""
    items = items or squares(case.count, 5)
    items["depth"] = np.nan_to_num(items["depth"], nan=500.0)  # an answer has one everywhere
    return {name: np.eye(4, dtype=np.float32)[items[name]] if name == "label" else items[name] for name in case.want}


@pytest.mark.parametrize("name", joint.tasks)
def test_every_case_has_the_scores_of_what_it_wants_and_the_best_for_the_truth(tools: Tools, name: str) -> None:
    case = cases()[name]
    found = values(scores.score([(case, right(case))], tools), name)
    expected: set[str] = set()
    for want in case.want:
        expected |= (COMPOSITE if name == "reconstruct" else SET) if want == "image" else set()
        expected |= AGREEMENT if want == "image" else TRUTH[want] if case.truth else set()
    assert set(found) == expected
    for metric in ("miou", "pixel_accuracy", "accuracy", "cosine", "judged_miou", "judged_accuracy", "cosine[mean]",
                   "delta", "judged_delta", "retrieval@5/true-predicted"):  # fmt: skip
        assert found.get(metric, 1) == pytest.approx(1, abs=1e-6)
    assert (
        found.get("abs_rel", 0) == found.get("rmse", 0) == 0
        and found.get("psnr_hole", 100) == 100
        and found.get("lpips_vgg", 0) == pytest.approx(0, abs=1e-6)
    )


def test_answers_are_scored_by_hand_made_numbers(tools: Tools) -> None:
    case = cases(4)["from_image"]
    answer = right(case)
    answer["mask"] = case.truth["mask"].copy()
    answer["mask"][:, :16] = (answer["mask"][:, :16] + 1) % 4  # the upper half is wrong
    answer["label"] = np.roll(np.eye(4, dtype=np.float32)[case.truth["label"]], 1, axis=1)
    answer["label"][0] = np.eye(4)[case.truth["label"][0]]
    answer["embedding"] = -case.truth["embedding"]
    answer["depth"] = answer["depth"] * np.array([1.1, 0.9, 1.3, 0.5])[:, None, None]
    scored = scores.score([(case, answer)], tools)
    found = values(scored, "from_image")
    assert found["pixel_accuracy"] == 0.5 and found["miou"] < 0.5
    assert found["accuracy"] == 0.25 and found["cosine"] == pytest.approx(-1)
    assert found["abs_rel"] == pytest.approx(0.25) and found["delta"] == 0.5
    each = {metric: [value for _, _, name, value in scored.items if name == metric] for _, _, metric, _ in scored.items}
    assert {name: len(rows) for name, rows in each.items()} == dict.fromkeys(
        ("pixel_accuracy", "accuracy", "cosine", "abs_rel", "rmse", "delta"), 4
    )
    assert each["accuracy"] == [1, 0, 0, 0]


def test_an_image_shows_what_was_given_or_else_drawn(tools: Tools) -> None:
    case, other = cases()["from_mask"], squares(12, 7)
    answer = right(case, other)  # everything fits together, but is not of the given mask
    scored = scores.score([(case, answer)], tools)
    found = values(scored, "from_mask")
    assert found["judged_miou"] < 0.5 and found["judged_accuracy"] == found["cosine[mean]"] == pytest.approx(1)
    of = {row["name"]: row["detail"].get("of") for row in scored.metrics}
    assert of["judged_miou"] == "given mask and image" and of["judged_accuracy"] == "drawn label and image"
    assert of["cosine[mean]"] == "drawn embedding and image"
    chance = cosine(shuffled(answer["embedding"]), embed(answer["image"])).mean()
    assert found["shuffled_cosine[mean]"] == pytest.approx(chance, abs=1e-6) and chance < 0.9
    assert found["cosine"] < 0.9  # of the drawn embedding with the item's own
    rows = {row["name"]: row for row in scored.metrics}
    assert rows["judged_miou"]["extractor"] == rows["shuffled_accuracy"]["extractor"] == "judge-made"
    assert rows["cosine[mean]"]["weights_sha256"] == "ef" * 32 and rows["cosine"]["extractor"] is None
    per_image = {metric for _, _, metric, _ in scored.items}
    assert per_image == {"accuracy", "cosine", "judged_accuracy", "cosine[mean]", *TRUTH["depth"], "judged_delta"}


@pytest.mark.parametrize(
    ("name", "answered", "expected"),
    [
        ("generate", ("image",), SET),
        ("generate", ("image", "mask"), SET | {"judged_miou", "shuffled_miou"}),
        ("from_label", ("image",), SET | {"judged_accuracy", "shuffled_accuracy"}),
        ("from_label", ("mask",), TRUTH["mask"]),
        ("from_image", ("label",), TRUTH["label"]),
        ("from_image", ("depth",), TRUTH["depth"]),
        ("from_depth", ("image",), SET | {"judged_delta", "shuffled_delta"}),
        ("from_mask_embedding", ("image",), SET | (AGREEMENT - DRAWN_ALONE)),
        ("reconstruct", ("image",), COMPOSITE),
        ("reconstruct", ("mask", "embedding"), TRUTH["mask"] | TRUTH["embedding"]),
    ],
)
def test_a_case_may_be_answered_in_part(tools: Tools, name: str, answered: tuple[str, ...], expected: set[str]) -> None:
    case = cases()[name]
    whole = right(case)
    scored = scores.score([(case, {want: whole[want] for want in answered})], tools)
    assert set(values(scored, name)) == expected


def test_only_the_hole_of_a_masked_image_counts(tools: Tools) -> None:
    case = cases(4)["reconstruct"]
    seen = case.given["masked_image"][:, 3:] > 0
    outside = np.where(seen, 0, case.truth["image"]).astype(np.uint8)
    scored = scores.score([(case, {"image": outside, "mask": case.truth["mask"]})], tools)
    found = values(scored, "reconstruct")
    assert found["l1_hole"] == 0 and found["judged_miou"] == 1
    assert all(row["share"] == 0.5 for row in scored.metrics)


def test_real_data_have_ceilings_and_floors(tools: Tools) -> None:
    real = squares(20, 3)
    ceiling = score_real("joint", real, tools)
    assert values(ceiling, "ceiling") == {"judged_miou": 1, "judged_accuracy": 1, "judged_delta": 1}
    floor = values(score_floor("joint", real, squares(12, 4), tools), "floor")
    assert set(floor) == {"shuffled_miou", "shuffled_accuracy", "shuffled_cosine[mean]", "shuffled_delta"}
    assert all(value < 0.6 for value in floor.values())


def test_what_is_not_used_is_not_judged(lpips_weights: Path, tmp_path: Path) -> None:
    """The card has a label and an embedding, the configuration chose neither."""
    few = {name: MODALITIES[name] for name in ("image", "mask")}
    tools = joint_tools(lpips_weights, tmp_path, Spec(few))
    real = squares(20, 3)
    assert set(values(score_real("joint", real, tools), "ceiling")) == {"judged_miou"}
    assert set(values(score_floor("joint", real, real, tools), "floor")) == {"shuffled_miou"}


def test_an_item_without_any_depth_is_said(tools: Tools) -> None:
    case = cases(4)["from_image"]
    case.truth["depth"][2] = np.nan
    with pytest.raises(UserError, match="'from_image': item 2 has no pixel with a depth"):
        scores.score([(case, {"depth": right(case)["depth"]})], tools)


SETTINGS = {
    "experiment": "joint",
    "share": 0.5,
    "data": {},
    "method": "judge",
    "method_settings": {},
    "network": NETWORK,
    "train": {**TRAIN, "steps": 40, "learning_rate": 1e-2},
    "evaluate": {"reconstructions": 5, "samples": 12, "reference": "test"},
}  # fmt: skip


def trained(folder: Path, names: tuple[str, ...], **more: object) -> Judge:
    """The judge of data with these modalities, trained by its command."""
    splits = {
        split: {name: array for name, array in squares(40, seed).items() if name in names}
        for seed, split in enumerate(("train", "test"))
    }
    write_splits(folder, splits, **{**CARD, "modalities": list(names)})
    write_json(folder / "settings.json", {**SETTINGS, **more})
    write_cases({**SETTINGS, **more}, folder, folder / "cases")
    flags = ["--settings", str(folder / "settings.json"), "--data", str(folder), "--seed", "1", "--device", "cpu"]
    method = ["--method", str(ROOT / "mmbench/experiments/joint/judge.py")]
    train.main([*flags, *method, "--state", str(folder / "state"), "--out", str(folder / "judge")])
    card = read_json(folder / "card.json")
    return load_judge(folder / "judge", "joint", joint.modalities(card), torch.device("cpu"))


def test_the_trained_judge_sees_masks_labels_and_depths(tmp_path: Path) -> None:
    judge = trained(tmp_path, ("image", "mask", "label", "depth"))
    assert judge.name == "judge-joint" and set(judge.method.readers) == {"mask", "label", "depth"}
    new = squares(20, 9)
    answer = judge.answer(Task("from_image", ("image",), ("mask", "label", "depth")), new)
    assert delta(answer["depth"], new["depth"]).mean() > 0.45
    assert (answer["mask"] == new["mask"]).mean() > 0.9
    assert (answer["label"].argmax(axis=1) == new["label"]).mean() > 0.4
    names = {name.split(".")[1] for name in judge.method.state_dict()}
    assert names == {"mask", "label", "depth"}


def test_with_an_image_only_there_is_nothing_to_judge_and_nothing_trained(tmp_path: Path) -> None:
    judge = trained(tmp_path, ("image",))
    assert not judge.method.state_dict() and read_json(tmp_path / "judge" / "training.json")["steps"] == 0
    load_weights(tmp_path / "judge" / "weights.safetensors", judge.method)
