"""Every type of number that a check takes becomes the one that is stored, and items that are empty are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmbench.data import DataSettings, read_prepared, toy_streets
from mmbench.errors import UserError
from mmbench.experiments.experiment import read_cases, to_stored
from mmbench.files.store import Arrays, read_json, sha256_arrays
from mmbench.inference.inputs import as_stored
from mmbench.modalities import Modality, kind_of
from mmbench.stages import reference
from mmbench.stages.cases import write_cases
from mmbench.stages.data import prepare

SIZE = 16
MODALITIES = {
    "image": Modality("image", (3, SIZE, SIZE)),
    "mask": Modality("class_map", (SIZE, SIZE), 3),
    "label": Modality("label", (), 3),
    "depth": Modality("depth", (SIZE, SIZE)),
    "embedding": Modality("vector", (4,)),
}
STORED = {"image": np.uint8, "mask": np.uint8, "label": np.int64, "depth": np.float32, "embedding": np.float32}
WHOLE = ["?", "i1", "u1", "i2", ">i2", "u2", "i4", "u4", "i8", ">i8", "u8", ">u8"]
FLOATS = ["f2", ">f2", "f4", ">f4", "f8", ">f8", "g"]
TYPES = {"image": ["u1"], "mask": WHOLE, "label": WHOLE, "depth": FLOATS, "embedding": FLOATS}
EACH = [(name, dtype) for name, types in TYPES.items() for dtype in types]
SPLITS = ("train", "validation", "test")


def items(count: int = 4) -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (count, 3, SIZE, SIZE), dtype=np.uint8),
        "mask": rng.integers(0, 2, (count, SIZE, SIZE), dtype=np.uint8),
        "label": np.arange(count) % 2,
        "depth": np.full((count, SIZE, SIZE), 8, np.float32),
        "embedding": rng.integers(-4, 5, (count, 4)).astype(np.float32),
    }


def data_of(monkeypatch: pytest.MonkeyPatch, arrays: Arrays, folder: Path) -> dict[str, Any]:
    """Prepare a data set whose module returns these arrays for every split."""
    card = toy_streets.CARD
    monkeypatch.setattr(toy_streets, "load", lambda split, settings: dict(arrays))
    listed = {"mask": "class_map", "label": "label", "depth": "depth", "embedding": "vector"}
    changed = {"modalities": {"image": "image", **listed}, "classes": ("a", "b", "c"), "palette": ((0, 0, 0),) * 3}
    monkeypatch.setattr(toy_streets, "CARD", type(card)(**{**vars(card), **changed, "labels": ("x", "y", "z")}))
    return prepare(DataSettings("toy_streets", SIZE), folder)


@pytest.mark.parametrize(("name", "dtype"), EACH)
def test_a_data_set_is_stored_in_one_type(
    name: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = items()
    card = data_of(monkeypatch, {**arrays, name: arrays[name].astype(dtype)}, tmp_path)
    for split in SPLITS:
        read = read_prepared(tmp_path, split)
        for key, array in read.items():
            assert array.dtype == STORED[key] and array.dtype.isnative
            np.testing.assert_array_equal(array, arrays[key])
        assert card["splits"][split]["sha256"] == sha256_arrays(arrays)


@pytest.mark.parametrize(
    ("name", "dtype", "value", "says"),
    [
        ("mask", "i8", 256, "mask has 256 in item 2"),
        ("mask", "u8", 2**64 - 1, "mask has 18446744073709551615 in item 2"),
        ("mask", "i1", -1, "mask has -1 in item 2"),
        ("mask", "f4", 1, "mask is float32"),
        ("label", "u8", 2**63, "label has 9223372036854775808 in item 2"),
        ("label", "i8", -1, "label has -1 in item 2"),
        ("label", "f8", 1, "label is float64"),
        ("depth", "f8", 1e300, "depth has inf in item 2"),
        ("depth", "f8", 1e-300, "depth has 0.0 in item 2"),
        ("depth", "i8", 1, "depth is int64"),
        ("embedding", "f8", 1e300, "embedding has inf in item 2"),
        ("embedding", "f2", np.nan, "embedding has nan in item 2"),
        ("image", "f4", 0.5, "image is float32"),
        ("image", "i8", 7, "image is int64"),
    ],
)
def test_values_that_the_type_does_not_hold_are_refused(
    name: str, dtype: str, value: float, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = items()
    arrays[name] = arrays[name].astype(dtype)
    arrays[name][2] = value
    with pytest.raises(UserError, match=f"^data.name: toy_streets: train: {says}"):
        data_of(monkeypatch, arrays, tmp_path)
    assert not (tmp_path / "card.json").exists()


def test_a_module_returns_all_that_its_card_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = items()
    del arrays["depth"]
    with pytest.raises(UserError, match="toy_streets: train: depth is missing"):
        data_of(monkeypatch, arrays, tmp_path)


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, dtype in EACH if name != "label"])
def test_a_given_array_is_stored_in_one_type(name: str, dtype: str, tmp_path: Path) -> None:
    array = items()[name]
    np.save(tmp_path / "a.npy", array.astype(dtype))
    read = as_stored(name, tmp_path / "a.npy", MODALITIES[name], {})
    assert read.dtype == STORED[name] and read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("dtype", FLOATS)
def test_answered_probabilities_are_added_up_in_one_type(dtype: str) -> None:
    """In half precision the sum of 1,000 equal ones is off by more than is allowed."""
    thousand = Modality("label", (), 1000)
    checked = kind_of(thousand).check_answer("x", np.full((4, 1000), 1e-3).astype(dtype), 4)
    assert checked.dtype == np.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_method_answers_in_any_precision(dtype: torch.dtype) -> None:
    modalities = {"image": MODALITIES["image"], "embedding": MODALITIES["embedding"], "depth": MODALITIES["depth"]}
    answer = {name: torch.full((2, *m.shape), 0.5, dtype=dtype) for name, m in modalities.items()}
    for name, array in to_stored(answer, modalities, 2).items():
        assert array.dtype == STORED[name]
    assert (to_stored(answer, modalities, 2)["image"] == 191).all()


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int32, torch.uint32, torch.uint64, torch.int64]
)
def test_a_method_answers_masks_of_any_width(dtype: torch.dtype) -> None:
    mask = torch.from_numpy(items()["mask"])
    stored = to_stored({"mask": mask.to(dtype)}, MODALITIES, 4)["mask"]
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, mask)


# --- items without a value --------------------------------------------------------------------------------------------


@pytest.fixture
def holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prepared data set: of six items the second has no class, the fourth no distance."""
    arrays = items(6)
    arrays["mask"][1] = 255
    arrays["depth"][3] = np.nan
    data_of(monkeypatch, arrays, tmp_path / "data")
    return tmp_path


SETTINGS = {"experiment": "segmentation", "evaluate": {"reconstructions": 6, "samples": 6, "reference": "test"}}


def test_empty_items_are_counted(holes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in SPLITS:
        assert read_json(holes / "data/card.json")["splits"][split]["without"] == {"mask": 1, "depth": 1}


def test_nothing_is_asked_about_empty_items(holes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cases(SETTINGS, holes / "data", holes / "cases")
    assert "1 of 6 items have no mask" in capsys.readouterr().out
    whole = read_prepared(holes / "data", "test")
    for case in read_cases(holes / "cases"):
        for name, array in [*case.given.items(), *case.truth.items()]:
            np.testing.assert_array_equal(array, whole[name][[0, 2, 3, 4, 5]])


def test_an_experiment_without_the_modality_keeps_the_item(holes: Path) -> None:
    settings = {**SETTINGS, "experiment": "masking", "shares": [0.5]}
    write_cases(settings, holes / "data", holes / "cases")
    assert read_cases(holes / "cases")[0].count == 6


def test_the_reference_has_no_empty_items(holes: Path) -> None:
    assert len(reference.split_items(holes / "data", "test", SETTINGS)["image"]) == 5
    assert len(reference.other_items(holes / "data", SETTINGS)[1]["image"]) == 5
    assert len(reference.split_items(holes / "data", "test", {**SETTINGS, "experiment": "masking"})["image"]) == 6


def test_a_split_of_empty_items_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = items()
    arrays["mask"][:] = 255
    data_of(monkeypatch, arrays, tmp_path / "data")
    with pytest.raises(UserError, match=r"test\.npz: segmentation: no item has mask"):
        write_cases(SETTINGS, tmp_path / "data", tmp_path / "cases")
    assert not (tmp_path / "cases").exists()


@pytest.mark.parametrize(("name", "nothing"), [("mask", 255), ("depth", np.nan)])
def test_an_empty_item_is_not_given(name: str, nothing: float) -> None:
    array = items()[name]
    array[2] = nothing
    with pytest.raises(UserError, match=f"^{name}: item 2 "):
        as_stored(name, array, MODALITIES[name], {})


def test_a_map_without_a_class_is_named_when_it_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val", "test"):
        for k in range(2):
            for name, picture in ((split, Image.new("RGB", (20, 16))), (f"{split}annot", Image.new("L", (20, 16), 3))):
                (tmp_path / name).mkdir(exist_ok=True)
                picture.save(tmp_path / name / f"{k}.png")
    Image.new("L", (20, 16), 11).save(tmp_path / "testannot" / "1.png")
    card = prepare(DataSettings("camvid", (16, 20), root=str(tmp_path)), tmp_path / "out")
    said = capsys.readouterr().out
    assert f"{tmp_path / 'testannot' / '1.png'}: no pixel has a class" in said
    assert "camvid: test: 1 items have no mask" in said
    assert card["splits"]["test"]["without"] == {"mask": 1} and "without" not in card["splits"]["train"]
