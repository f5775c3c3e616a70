"""The joint experiment: what it asks of which data, and methods that answer only some of the modalities."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import write_splits
from pydantic import ValidationError

from mmbench.config.configuration import Config
from mmbench.config.discovery import find_methods
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, asked, load_experiment, read_cases, to_batch, used_modalities
from mmbench.experiments.joint.options import Options
from mmbench.files.store import Arrays, load_arrays, read_json, sha256_arrays
from mmbench.files.weights import save_weights
from mmbench.stages import cases as cases_command
from mmbench.stages import predict
from mmbench.stages.evaluate import read_answers

ROOT = Path(__file__).parents[1]
joint, masking = load_experiment("joint"), load_experiment("masking")
FREE = ("image", "mask", "label", "embedding", "depth")
CARD = {
    "name": "toy",
    "size": [32, 48],
    "modalities": ["image", "mask", "label", "embedding", "depth"],
    "classes": ["sky", "road", "tree"],
    "labels": ["day", "night"],
    "embedding": {"size": 7},
}
SETTINGS = {"experiment": "joint", "share": 0.5, "evaluate": {"reconstructions": 3, "samples": 6}}


def items(count: int = 8, names: tuple[str, ...] = FREE) -> Arrays:
    rng = np.random.default_rng(0)
    every = {
        "image": rng.integers(0, 256, (count, 3, 32, 48), dtype=np.uint8),
        "mask": rng.integers(0, 3, (count, 32, 48), dtype=np.uint8),
        "label": rng.integers(0, 2, count),
        "embedding": rng.normal(size=(count, 7)).astype(np.float32),
        "depth": rng.uniform(1, 100, (count, 32, 48)).astype(np.float32),
    }
    return {name: every[name] for name in names}


def by_name(found: list[Case]) -> dict[str, Case]:
    return {case.name: case for case in found}


def test_the_tasks_are_every_subset_given_and_all_others_wanted() -> None:
    subsets = [given for size in range(1, 5) for given in combinations(FREE, size)]
    expected = {"_".join(["from", *given]): given for given in subsets}
    assert list(joint.tasks) == ["generate", *expected, "reconstruct"] and len(joint.tasks) == 32
    for name, given in expected.items():
        task = joint.tasks[name]
        assert (task.name, task.given) == (name, given)
        assert task.want == tuple(other for other in FREE if other not in given)
    assert joint.tasks["generate"].want == joint.tasks["reconstruct"].want == FREE
    assert joint.tasks["reconstruct"].given == ("masked_image",)


def test_cases_ask_every_task_over_the_first_test_items() -> None:
    test = items()
    found = by_name(joint.cases(test, joint.modalities(CARD), SETTINGS))
    assert list(found) == list(joint.tasks)
    for name, case in found.items():
        task = joint.tasks[name]
        assert case.task == name and set(case.given) == set(task.given) and case.want == task.want
        draws = "image" in task.want and name != "reconstruct"
        assert case.count == (6 if draws else 3)
        assert set(case.truth) == (set(task.want) if task.given else set())
        for part in (case.given, case.truth):
            for modality, array in part.items():
                assert modality == "masked_image" or np.array_equal(array, test[modality][: case.count])
    assert found["reconstruct"].detail == {"share": 0.5} and not found["from_mask"].detail
    masked = found["reconstruct"].given["masked_image"]
    hidden = masked[:, 3] == 0
    assert np.array_equal(np.where(hidden[:, None], 0, test["image"][:3]), masked[:, :3])
    assert np.abs(hidden.mean(axis=(1, 2)) - 0.5).max() < 0.05
    again = by_name(joint.cases(items(), joint.modalities(CARD), SETTINGS))
    assert all(sha256_arrays(case.given) == sha256_arrays(again[name].given) for name, case in found.items())


def test_the_configuration_says_which_questions_are_asked() -> None:
    """Each modality alone and all but each are given, with depth in the data and without; names are checked."""
    wanted = config().experiments["joint"].options()["questions"]
    for have in (FREE, FREE[:4], ("image", "mask", "embedding"), ("image", "label", "embedding")):
        used = used_modalities(joint, {**CARD, "modalities": list(have)}, {})
        found = by_name(joint.cases(items(names=have), used, {**SETTINGS, "questions": wanted}))
        assert set(found) <= set(wanted) and {"generate", "reconstruct"} <= set(found)
        given = [task.given for task in joint.tasks.values() if task.name in found]
        assert {(name,) for name in have} <= set(given)
        if "depth" not in have:
            assert set(given) >= {c for size in range(1, len(have)) for c in combinations(have, size)}
    assert list(by_name(joint.cases(items(), joint.modalities(CARD), {**SETTINGS, "questions": ["from_image"]}))) == [
        "from_image"
    ]
    for wrong in ([], ["from_imag"], ["generate", "generate"]):
        with pytest.raises(ValidationError, match="questions"):
            Options(share=0.5, questions=wrong)
    for stage in ("cases", "tune"):
        assert config().settings(stage, "joint", "mt_diffusion")["questions"] == wanted


@pytest.mark.parametrize("have", [c for size in (1, 2, 3, 4) for c in combinations(FREE[1:], size)])
def test_what_the_data_lack_is_neither_given_nor_wanted(have: tuple[str, ...]) -> None:
    card = {**CARD, "modalities": ["image", *have]}
    used = used_modalities(joint, card, {})
    assert list(used) == ["image", *have, "masked_image"]
    found = joint.cases(items(names=("image", *have)), used, SETTINGS)
    assert {case.name for case in found} == {
        name for name, task in joint.tasks.items() if set(task.given) <= set(used) and set(task.want) & set(used)
    }
    for case in found:
        assert case.want == tuple(name for name in joint.tasks[case.task].want if name in used)
        assert asked(joint, case).want == case.want and set(case.truth) <= {*case.want}


def test_a_training_batch_has_what_there_is_and_fresh_masks() -> None:
    modalities = joint.modalities(CARD)
    batch = to_batch(items(), modalities)
    found = joint.training_batch(batch, modalities, torch.Generator().manual_seed(1))
    assert set(found) == {*FREE, "masked_image"}
    alone = masking.training_batch(
        {"image": batch["image"]}, masking.modalities(CARD), torch.Generator().manual_seed(1)
    )
    assert torch.equal(found["masked_image"], alone["masked_image"])
    few = joint.modalities({**CARD, "modalities": ["image", "label"]})
    other = joint.training_batch(
        {"image": batch["image"], "label": batch["label"]}, few, torch.Generator().manual_seed(1)
    )
    assert set(other) == {"image", "label", "masked_image"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["image", "maks"], r"modalities: 'maks' does not exist \(did you mean 'mask'\?\)"),
        (["mask", "label"], "name image and another that the data set has; toy has image, mask"),
        (["image"], "name image and another"),
    ],
)
def test_wrong_modalities_are_one_line(names: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        used_modalities(joint, CARD, {"modalities": names})
    assert "\n" not in str(caught.value)


def test_the_configuration_checks_them_too() -> None:
    assert Options(share=0.5, modalities=["image", "label"]).options() == {
        "extractor": "vgg16-relu5_3-gap", "share": 0.5, "modalities": ["image", "label"]
    }  # fmt: skip
    assert "modalities" not in Options(share=0.5).options()
    for wrong in (["image", "maks"], ["mask", "label"], ["image"], ["image", "mask", "mask"]):
        with pytest.raises(ValidationError, match="modalities"):
            Options(share=0.5, modalities=wrong)
    for share in (0, 1, "half"):
        with pytest.raises(ValidationError, match="share"):
            Options(share=share)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A prepared folder of images and masks."""
    return write_splits(
        tmp_path / "data", {"test": items(names=("image", "mask"))}, **CARD | {"modalities": ["image", "mask"]}
    )


def write(settings: dict, data: Path, out: Path) -> None:
    (out / "settings.json").write_text(json.dumps(settings))
    cases_command.main(["--settings", str(out / "settings.json"), "--data", str(data), "--out", str(out)])


def test_what_is_left_out_is_said_and_recorded(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({**SETTINGS, "modalities": ["image", "label", "masked_image"]}, data, tmp_path)
    assert "joint: toy has no label, which is left out" in capsys.readouterr().out
    record = read_json(tmp_path / "cases.json")
    assert (record["modalities"], record["left_out"]) == (["image", "masked_image"], ["label"])
    assert [case["name"] for case in record["cases"]] == ["generate", "reconstruct"]
    assert record["cases"][1]["want"] == ["image"]
    write(SETTINGS, data, tmp_path)
    record = read_json(tmp_path / "cases.json")
    assert (record["modalities"], record["left_out"]) == (
        ["image", "mask", "masked_image"],
        ["label", "embedding", "depth"],
    )
    stored = by_name(read_cases(tmp_path))
    assert stored["from_image"].want == ("mask",) and stored["generate"].want == ("image", "mask")


METHOD = '''
import torch
from mmbench.method import Method as BaseMethod

TITLE = "Sky"
TASKS = ("from_image", "generate", "from_mask")
ANSWERS = ("mask",)
TRAINED = False


class Method(BaseMethod):
    """Everything is sky."""

    def predict(self, task, given, count, sampling, generator):
        assert task.want == ("mask",), task
        return {"mask": torch.zeros(count, 32, 48, dtype=torch.long)}
'''


def predicted(data: Path, folder: Path, text: str = METHOD, **more: object) -> Path:
    (folder / "sky.py").write_text(text)
    sections = {"network": {}, "sample": {"sampler": "ddim", "nfe": 2, "batch_size": 4}}
    settings = {**SETTINGS, **sections, "method": "sky", "method_settings": {}, **more}
    write(settings, data, folder)
    save_weights(folder / "weights.safetensors", {})
    flags = {"settings": "settings.json", "method": "sky.py", "data": "data", "weights": "weights.safetensors"}
    named = [word for name, file in flags.items() for word in (f"--{name}", str(folder / file))]
    predict.main([*named, "--cases", str(folder), "--seed", "0", "--device", "cpu", "--out", str(folder)])
    return folder / "predictions.npz"


def test_a_method_is_asked_for_what_it_answers_only(data: Path, tmp_path: Path) -> None:
    path = predicted(data, tmp_path)
    assert set(load_arrays(path)) == {"generate/mask", "from_image/mask"}  # from_mask wants an image
    cases, modalities = read_cases(tmp_path), used_modalities(joint, read_json(data / "card.json"), {})
    tasks = ["from_image", "generate", "from_mask"]
    found = read_answers(path, cases, joint, modalities, tasks, ["mask"])
    assert {case.name: set(answer) for case, answer in found} == {"generate": {"mask"}, "from_image": {"mask"}}
    for answers, said in (
        (None, "array 'generate/image' is missing"),
        (["image"], "answers 'mask', which the method does not claim; add it to its ANSWERS"),
        (["mask", "image"], "array 'generate/image' is missing"),
    ):
        with pytest.raises(UserError, match=said):
            read_answers(path, cases, joint, modalities, tasks, answers)


def test_a_method_without_the_modality_it_needs_is_named(data: Path, tmp_path: Path) -> None:
    needing = METHOD.replace('("mask",)\nTRAINED', '("mask", "embedding")\nTRAINED')
    with pytest.raises(UserError, match=r"sky\.py: needs the modality 'embedding', which is not among image, mask"):
        predicted(data, tmp_path, needing)
    with pytest.raises(UserError, match=r"sky\.py: needs the modality 'mask'"):
        predicted(data, tmp_path, modalities=["image", "masked_image"])


def config(**changes: object) -> Config:
    values = read_yaml(ROOT / "config" / "config.yaml", ROOT)
    return Config({**values, "profile": "camvid-joint", **changes}, ROOT)


def test_methods_say_what_they_need_and_a_task_is_a_modality_that_is_learnt() -> None:
    found = find_methods(ROOT, ["joint"])["joint"]
    assert found["mt_diffusion"].needs == () and len(found["mt_diffusion"].tasks) == 32
    assert set(found["pair_masked"].needs) == {"image", "masked_image"}
    assert set(found["painter_label"].needs) == {"image", "label"} and found["ddpm"].needs == ("image",)
    assert config().modalities("joint") == ["image", "mask", "embedding", "masked_image"]
    steps = config().profile.train.steps
    assert config().section("joint", "segmenter@per_task").steps == round(steps / 4)
    toys = config(override={"data": {"name": "toy_streets"}})
    assert toys.modalities("joint") == list(joint.optional)
    assert toys.section("joint", "segmenter@per_task").steps == round(steps / 6)


def test_methods_of_one_experiment_leave_the_others_whole() -> None:
    both = {"experiments": ["masking", "joint"], "methods": ["joint/segmenter", "joint/mt_diffusion"]}
    names = {name: list(found) for name, found in find_methods(ROOT, ["masking", "joint"]).items()}
    configured = config(override=both)
    configured.check_methods(names)
    assert configured.chosen("joint", names["joint"]) == ["mt_diffusion", "segmenter"]
    assert configured.chosen("masking", names["masking"]) == names["masking"]
    mixed = config(override={**both, "methods": ["mt_diffusion", "joint/segmenter"]})
    assert mixed.chosen("joint", names["joint"]) == ["mt_diffusion", "segmenter"]
    assert mixed.chosen("masking", names["masking"]) == ["mt_diffusion"]
    with pytest.raises(UserError, match=r"methods: 'joint/segmentr' does not exist .*did you mean 'joint/segmenter'"):
        config(override={**both, "methods": ["joint/segmentr"]}).check_methods(names)
    alone = config(override={"experiments": ["masking"], "methods": ["joint/segmenter"], "variants": []})
    alone.check_methods({"masking": names["masking"]})
    assert alone.chosen("masking", names["masking"]) == list(names["masking"])
