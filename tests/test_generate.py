"""Any to any: a trained model asked in Python and from the command line, for every subset that can be given."""

from __future__ import annotations

import json
import shutil
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import FREE, LABELS, MODALITIES, NETWORK, PALETTE, SIZE, WEIGHTS, values, write_model

import mmbench
from mmbench.__main__ import run
from mmbench.errors import UserError
from mmbench.experiments.experiment import Case
from mmbench.files.store import load_arrays, read_json, sha256_file, write_json
from mmbench.inference.answer import answer_case
from mmbench.inference.model import Model
from mmbench.method import Sampling
from mmbench.stages import data as prepare_data
from mmbench.stages import train

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("joint") / "mt_diffusion" / "seed0", *MODALITIES)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return mmbench.load(folder, device="cpu")


SUBSETS = [subset for size in range(6) for subset in combinations(FREE, size)]


@pytest.mark.parametrize("given", [*SUBSETS, ("masked_image",), ("mask", "masked_image")], ids="+".join)
def test_every_subset_gives_all_the_rest(model: Model, given: tuple[str, ...]) -> None:
    named = {name: values()[name] for name in given}
    if len(given) == 5:
        with pytest.raises(UserError, match=r"want: given image and mask and label and .*, there is nothing"):
            model.generate(**named, nfe=1)
        return
    answer = model.generate(**named, count=3, nfe=2)
    assert list(answer.arrays) == [name for name in FREE if name not in given]
    assert len(answer) == (6 if given else 3)
    for name, array in answer.arrays.items():
        assert array.shape == {"label": (len(answer), 3)}.get(name, (len(answer), *MODALITIES[name].shape))
        assert array.dtype == {"image": np.uint8, "mask": np.uint8}.get(name, np.float32)
    if "label" in answer.arrays:
        np.testing.assert_allclose(answer["label"].sum(axis=1), 1, atol=1e-5)
        assert set(answer.labels) <= set(LABELS)
    for name in given:
        np.testing.assert_array_equal(answer.given[name], values()[name].repeat(3, axis=0))


def test_the_answers_are_the_benchmarks(folder: Path, model: Model) -> None:
    """Seed 0 is the noise of `mmbench.stages.predict`; another seed is another noise, and a seed repeats itself."""
    own = values(3)
    case = Case("from_mask", "from_mask", 3, {"mask": own["mask"]})
    task = model.task(("mask",), ["image", "label"])
    wanted = answer_case(model.method, task, case, sampling=Sampling("ddim", 3), batch_size=2, device=model.device)
    asked = {"mask": own["mask"], "want": ["label", "image"], "sampler": "ddim", "nfe": 3, "batch_size": 2}
    answer = model.generate(**asked)
    assert list(answer.arrays) == ["image", "label"]
    for name, array in answer.arrays.items():
        np.testing.assert_array_equal(array, wanted[f"from_mask/{name}"])
    other = model.generate(**asked, seed=1)
    assert (other["image"] != answer["image"]).mean() > 0.5
    np.testing.assert_array_equal(other["image"], model.generate(**asked, seed=1)["image"])


def test_an_answer_depends_neither_on_the_batch_nor_on_how_many_there_are(model: Model) -> None:
    """Of the second of three items, the first two of three draws."""
    own = values(3)["mask"]
    asked = {"want": ["image"], "sampler": "dpm++sde", "nfe": 3}
    three = model.generate(mask=own, count=3, batch_size=9, **asked)["image"].astype(int)
    for batch_size in (1, 4):
        again = model.generate(mask=own, count=3, batch_size=batch_size, **asked)["image"]
        assert abs(again - three).max() <= 1  # of 255 levels: batches round differently
    two = model.generate(mask=own, count=2, **asked)["image"]
    assert abs(two.reshape(3, 2, -1) - three.reshape(3, 3, -1)[:, :2]).max() <= 1
    assert (three[0] != three[1]).mean() > 0.5
    drawn = [model.generate(count=n, **asked)["image"].astype(int) for n in (2, 5)]
    assert abs(drawn[1][:2] - drawn[0]).max() <= 1


def test_what_can_be_given(model: Model, tmp_path: Path) -> None:
    """Pictures, files, names and arrays of the same thing give the same answer."""
    own = values(1)
    pixels = own["image"][0].transpose(1, 2, 0)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    Image.fromarray(own["mask"][0]).save(tmp_path / "mask.png")
    Image.fromarray(np.array(PALETTE, np.uint8)[own["mask"][0]]).save(tmp_path / "colours.png")
    Image.fromarray(own["masked_image"][0].transpose(1, 2, 0)).save(tmp_path / "holes.png")
    np.save(tmp_path / "embedding.npy", own["embedding"])
    number = int(own["label"][0])
    same: dict[str, list[Any]] = {
        "image": [own["image"][0], Image.fromarray(pixels), tmp_path / "image.png", str(tmp_path / "image.png")],
        "mask": [own["mask"][0], own["mask"].astype(np.int64), tmp_path / "mask.png", tmp_path / "colours.png"],
        "label": [number, LABELS[number], str(number), [number], np.eye(3)[[number]]],
        "embedding": [own["embedding"][0], own["embedding"].astype(float), tmp_path / "embedding.npy"],
        "masked_image": [tmp_path / "holes.png"],
    }
    for name, ways in same.items():
        for way in ways:
            given = model.generate(**{name: way}, nfe=1).given[name]
            np.testing.assert_array_equal(given, own[name])
    two = model.generate(image=[tmp_path / "image.png", pixels.transpose(2, 0, 1)], label=0, want=["mask"])
    assert len(two) == 2 and two.given["label"].tolist() == [0, 0]


def test_pictures_of_another_size_are_resized_if_asked(model: Model) -> None:
    large = Image.fromarray(values(1)["mask"][0]).resize((48, 32), Image.Resampling.NEAREST)
    with pytest.raises(UserError, match="mask: 48x32 pixels, the model's are 16x16; resize it"):
        model.generate(mask=large)
    assert set(np.unique(model.generate(mask=large, resize=True, nfe=1).given["mask"])) <= {0, 1, 2}
    assert model.generate(image=large.convert("RGB"), resize=True, nfe=1).given["image"].shape == (1, 3, SIZE, SIZE)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown modality": ({"masc": 1}, r"'masc' is no modality of joint \(did you mean 'mask'\?\); there are image"),
    "given and wanted": ({"label": 0, "want": ["label"]}, "want: label is given; name others"),
    "a part is never made": ({"want": ["masked_image"]}, "want: masked_image: given nothing, mt_diffusion makes image"),
    "whole and with holes": ({"image": values()["image"], "masked_image": values()["masked_image"]}, "give one of"),
    "a wrong shape": ({"image": np.zeros((16, 16, 3), np.uint8)}, r"image: got uint8 \(16, 16, 3\), not uint8 \(n, 3"),
    "colours as floats": ({"image": np.zeros((3, 16, 16))}, "image: got float64"),
    "a missing picture": ({"image": "no.png"}, "no.png: no such file"),
    "a class too many": ({"mask": np.full((16, 16), 3)}, "mask: has 3 in item 0, and there are 0 to 2"),
    "a colour of no class": ({"mask": Image.new("RGB", (16, 16), (1, 2, 3))}, r"the colour \(1, 2, 3\) is no class's"),
    "an unknown label": ({"label": "day clear"}, "'day clear' is no class .did you mean 'day, clear'"),
    "no transparency": ({"masked_image": Image.new("RGB", (16, 16))}, "has no transparency"),
    "an embedding too long": ({"embedding": np.zeros((1, 7))}, r"embedding: got float64 \(1, 7\), not floats \(n, 6\)"),
    "unequally many": ({"label": [0, 1], "mask": values(3)["mask"]}, "given are .*give equally many"),
    "no answers": ({"count": 0}, "must be at least 1"),
    "a negative seed": ({"seed": -1}, "seed a whole number from 0"),
}


@pytest.mark.parametrize(("asked", "says"), BAD.values(), ids=BAD)
def test_errors_are_one_line_that_says_what_to_do(model: Model, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        model.generate(**asked, nfe=1)
    assert "\n" not in str(caught.value)


ENDS = (("image", ""), ("mask", ""), ("mask", "-colours"), ("depth", ""))


def test_what_was_generated_is_read_again(model: Model, tmp_path: Path) -> None:
    """Round trip: the files of one answer are what is given for the next; a later call leaves no file of an earlier."""
    answer = model.generate(count=3, nfe=2)
    out = answer.save(tmp_path / "out")
    names = {"arrays.npz", "label.json", "generated.json"}
    names |= {f"{n}-00{i}{s}.png" for i in range(3) for n, s in ENDS}
    assert {path.name for path in out.iterdir()} == names
    record = read_json(out / "generated.json")
    assert record["files"] == {name: sha256_file(out / name) for name in sorted(names - {"generated.json"})}
    assert record["method"] == "mt_diffusion" and set(record["provenance"]["inputs_sha256"]) == {
        "weights.safetensors", "training.json", "method"
    }  # fmt: skip
    for name, array in load_arrays(out / "arrays.npz").items():
        np.testing.assert_array_equal(array, answer[name])
    masks = [out / f"mask-00{i}.png" for i in range(3)]
    coloured = [out / f"mask-00{i}-colours.png" for i in range(3)]
    images = [out / f"image-00{i}.png" for i in range(3)]
    stored = {name: out / "arrays.npz" for name in ("embedding", "depth")}
    again = model.generate(image=images, **stored, want=["label"])
    np.testing.assert_array_equal(again.given["depth"], answer["depth"])
    np.testing.assert_array_equal(again.given["image"], answer["image"])
    np.testing.assert_array_equal(again.given["embedding"], answer["embedding"])
    for given in (masks, coloured, out / "arrays.npz"):
        np.testing.assert_array_equal(model.generate(mask=given, nfe=1).given["mask"], answer["mask"])
    entries = read_json(out / "label.json")
    assert [entry["label"] for entry in entries] == answer.labels
    assert list(entries[0]["probabilities"]) == LABELS
    model.generate(image=images[:1], want=["mask"]).save(out)
    assert {path.name for path in out.iterdir()} == {
        "mask-000.png", "mask-000-colours.png", "arrays.npz", "generated.json"
    }  # fmt: skip


def test_models_of_other_experiments(tmp_path: Path) -> None:
    """Two modalities; and a baseline, which answers its own tasks only."""
    pair = mmbench.load(write_model(tmp_path / "pair", "image", "mask", experiment="segmentation"), "cpu")
    assert list(pair.generate(image=values()["image"]).arrays) == ["mask"]
    assert list(pair.generate(count=2, nfe=1).arrays) == ["image", "mask"]
    baseline = write_model(tmp_path / "unet", "image", "mask", experiment="segmentation", method="unet")
    unet = mmbench.load(baseline, "cpu")
    assert list(unet.generate(image=values()["image"]).arrays) == ["mask"]
    with pytest.raises(
        UserError, match="given nothing, there is nothing that unet of segmentation can make; give image"
    ):
        unet.generate()
    with pytest.raises(UserError, match="guidance: unet has no such setting"):
        unet.generate(image=values()["image"], guidance=2.0)
    hole = mmbench.load(write_model(tmp_path / "hole", "image", "masked_image", experiment="masking"), "cpu")
    assert list(hole.generate(masked_image=values()["masked_image"], nfe=1).arrays) == ["image"]


def test_a_decoder_that_learnt_nothing_is_not_asked(tmp_path: Path) -> None:
    model = mmbench.load(write_model(tmp_path, "image", "mask", "label", weights={"mask": 0.1}), "cpu")
    assert list(model.generate(nfe=1).arrays) == ["image", "mask"]
    with pytest.raises(UserError, match="want: label: given nothing, mt_diffusion makes image, mask"):
        model.generate(want=["label"])


def test_guidance_changes_what_is_given_something(model: Model) -> None:
    asked = {"label": values()["label"], "want": ["image"], "nfe": 4}
    plain = model.generate(**asked)
    np.testing.assert_array_equal(model.generate(**asked, guidance=0.0)["image"], plain["image"])
    assert (model.generate(**asked, guidance=3.0)["image"] != plain["image"]).any()


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["mmbench", "sample", *words])
    run()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    method = {"states": [0.3, 0.3, 0.4], "nothing_known": 0.2, "clean": 0.3, "recover_absent": True}
    write_json(folder / "settings.json", {
        "experiment": "joint", "method": "mt_diffusion", "method_settings": method | {"weights": WEIGHTS},
        "data": {"name": "toy_streets", "size": SIZE, "train": 16, "validation": 2, "test": 4, "root": None},
        "network": NETWORK, "train": {"steps": 3, "batch_size": 8, "learning_rate": 1e-3, "warmup": 1, "ema": 0.9,
                                      "precision": "fp32", "flip": False, "checkpoint_every": 3}})  # fmt: skip
    common = ["--settings", str(folder / "settings.json")]
    prepare_data.main([*common, "--out", str(folder / "data")])
    train.main([*common, "--method", str(ROOT / "mmbench/models/mt_diffusion.py"), "--data", str(folder / "data"),
                "--seed", "0", "--device", "cpu", "--state", str(folder / "state"),
                "--out", str(folder / "seed0")])  # fmt: skip
    shutil.rmtree(folder / "data")
    return folder / "seed0"


class TestTrained:
    """A model that the stages trained, without an embedding."""

    def test_no_data_folder_is_needed(self, trained: Path, tmp_path: Path) -> None:
        model = mmbench.load(trained, "cpu")
        assert list(model.modalities) == ["image", "mask", "label", "depth", "masked_image"]
        drawn = model.generate(count=2, nfe=2)
        assert list(drawn.arrays) == ["image", "mask", "label", "depth"]
        assert set(drawn.labels) <= set(model.card["labels"]) and drawn["depth"].min() > 0
        read = model.generate(image=drawn["image"])
        assert list(read.arrays) == ["mask", "label", "depth"] and read["label"].shape == (2, len(model.card["labels"]))
        guided = model.generate(
            depth=read["depth"], mask=read["mask"], label="night, fog", guidance=2.0, nfe=4, count=2
        )
        assert guided["image"].shape == (4, 3, SIZE, SIZE)
        assert Image.open(drawn.save(tmp_path) / "mask-001-colours.png").size == (SIZE, SIZE)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
class TestCommand:
    def test_a_mask_and_a_label_give_images(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Image.fromarray(values(1)["mask"][0]).save(tmp_path / "map.png")
        given = ["--given", f"mask={tmp_path / 'map.png'}", "label=day, clear"]
        flags = ["--want", "image", "--count", "2", "--nfe", "2", "--seed", "3", "--device", "cpu"]
        call(monkeypatch, str(folder), *given, *flags, "--out", str(tmp_path / "out"))
        assert capsys.readouterr().out == f"2 x image: {tmp_path / 'out'}\n"
        record = json.loads((tmp_path / "out" / "generated.json").read_text())
        assert {key: record[key] for key in ("want", "count", "seed", "nfe")} == {
            "want": ["image"], "count": 2, "seed": 3, "nfe": 2
        }  # fmt: skip
        assert list(record["given"]) == ["mask", "label"]
        again = mmbench.load(folder, "cpu").generate(
            mask=tmp_path / "map.png", label="day, clear", want=["image"], count=2, nfe=2, seed=3
        )
        np.testing.assert_array_equal(load_arrays(tmp_path / "out" / "arrays.npz")["image"], again["image"])
