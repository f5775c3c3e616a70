"""Cityscapes on small trees of the official layout: pairs, splits by city, classes of the evaluation, errors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_data import picture, refused
from torchvision.datasets import Cityscapes

from mmbench import data
from mmbench.data import SPLITS, DataSettings, card, cityscapes, load

pytestmark = pytest.mark.slow

#: Frames of each city.
TRAIN = {"aachen": 3, "zurich": 2, "erfurt": 1, "monchengladbach": 2, "ulm": 1}
VAL = {"frankfurt": 2, "munster": 1}
NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
#: Label ids of those classes in the official label table, in the order of their train ids.
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
#: All label ids, then the licence plate's -1 as a byte.
LABELS = np.array([*range(34), 255], np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Frames of 35 x 16, whose column k has the k-th label; the n-th written frame shows `picture(n)`."""
    number = 0
    for split, cities in (("train", TRAIN), ("val", VAL)):
        for city, count in cities.items():
            for i in range(count):
                frame, labels = files(tmp_path, split, f"{city}_{i:06d}_000019")
                frame.parent.mkdir(parents=True, exist_ok=True)
                labels.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture(number, 35)).save(frame)
                Image.fromarray(np.tile(LABELS, (16, 1))).save(labels)
                (labels.parent / labels.name.replace("labelIds", "color")).write_text("not read")
                number += 1
    return tmp_path


def files(root: Path, split: str, name: str) -> tuple[Path, Path]:
    """Picture and class map of a frame."""
    folder = f"{split}/{name.split('_', maxsplit=1)[0]}"
    return (
        root / "leftImg8bit" / folder / f"{name}_leftImg8bit.png",
        root / "gtFine" / folder / f"{name}_gtFine_labelIds.png",
    )


def settings(root: Path, **changes: int) -> DataSettings:
    return DataSettings("cityscapes", (16, 35), root=str(root), **changes)


def test_splits_are_whole_cities_and_the_official_val(root: Path) -> None:
    shown = {split: [item.tobytes() for item in load(split, settings(root))["image"]] for split in SPLITS}
    written = [picture(n, 35).transpose(2, 0, 1).tobytes() for n in range(12)]  # in the order of the cities above
    assert set(shown["train"]) == set(written[:5]) and len(shown["train"]) == 5
    assert set(shown["validation"]) == set(written[5:9]) and len(shown["validation"]) == 4
    assert set(shown["test"]) == set(written[9:]) and len(shown["test"]) == 3


def test_order_is_that_of_the_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = load("train", settings(root))["image"]
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listed(folder), reverse=True))
    np.testing.assert_array_equal(load("train", settings(root))["image"], everything)
    np.testing.assert_array_equal(load("train", settings(root, train=3))["image"], everything[:3])


def test_every_label_has_its_train_id_or_is_ignored(root: Path) -> None:
    mask = load("test", settings(root))["mask"]
    expected = np.full(35, 255, np.uint8)
    expected[list(EVALUATED)] = range(19)
    assert mask.dtype == np.uint8 and mask.shape == (3, 16, 35)
    np.testing.assert_array_equal(mask, np.broadcast_to(expected, mask.shape))


def test_map_with_a_palette_and_size(root: Path) -> None:
    coloured = Image.fromarray(np.repeat(np.array([[7, 26]], np.uint8), 20, axis=1).repeat(16, axis=0))
    coloured.putpalette([value for k in range(256) for value in (255 - k, k, 7)])
    frame, labels = files(root, "val", "munster_000000_000019")
    coloured.save(labels)
    Image.fromarray(picture(0, 40)).save(frame)
    arrays = load("test", DataSettings("cityscapes", (8, 20), root=str(root)))
    assert arrays["image"].shape == (3, 3, 8, 20)
    assert [0] * 10 + [13] * 10 in arrays["mask"][:, 0].tolist()  # nearest neighbour: no class in between


def test_classes_are_those_of_torchvision() -> None:
    found = card(DataSettings("cityscapes"))
    assert found.classes == NAMES and len(found.palette) == 19
    colours = {c.name: c.color for c in Cityscapes.classes}
    assert dict(zip(found.classes, found.palette, strict=True)) == {name: colours[name] for name in NAMES}
    assert found.palette[0] == (128, 64, 128) and found.palette[13] == (0, 0, 142)
    assert all(city in found.provenance for city in cityscapes.VALIDATION_CITIES)


def test_files_that_do_not_fit_are_named(root: Path) -> None:
    frame, labels = files(root, "train", "aachen_000001_000019")
    whole = labels.read_bytes()
    labels.unlink()
    assert f"{labels}: missing class map of {frame}" in refused(settings(root))
    Image.fromarray(np.zeros((8, 35), np.uint8)).save(labels)
    message = refused(settings(root))
    assert message.startswith(f"{labels}: class map of 35x8") and "35x16" in message
    Image.fromarray(picture(0, 35)).save(labels)
    assert f"{labels}: mode RGB" in refused(settings(root))
    for label in (34, 254):
        Image.fromarray(np.full((16, 35), label, np.uint8)).save(labels)
        assert f"{labels}: label {label}, but label ids are 0 to 33" in refused(settings(root))
    labels.write_bytes(whole)
    frame.unlink()
    assert f"{labels}: class map without its image" in refused(settings(root))
    assert f"{labels}: class map without its image" in refused(settings(root), "validation")


def test_folders_that_do_not_fit_are_named(root: Path) -> None:
    message = refused(settings(root, train=6))
    assert "data.train: 6 items wanted" in message and "without erfurt, monchengladbach, ulm has 5" in message
    (root / "leftImg8bit" / "train" / "aachen" / "Thumbs.db").write_text("no picture")
    assert len(load("train", settings(root))["image"]) == 5
    strays = [root / "leftImg8bit" / "train" / name for name in ("readme.txt", "aachen/notes.txt")]
    for stray in strays:
        stray.write_text("no city")
    assert data.other_files(settings(root)) == {".txt": 2}
    moved = root / "gtFine" / "train" / "aachen"
    moved.rename(root / "gtFine" / "train" / "aachn")
    assert f"{root / 'gtFine' / 'train' / 'aachn'}: class maps without their images" in refused(settings(root))
    (root / "gtFine" / "train" / "aachn").rename(moved)
    for city in cityscapes.VALIDATION_CITIES:
        for kind in ("leftImg8bit", "gtFine"):
            (root / kind / "train" / city).rename(root / f"{kind}-{city}")
    assert "data.validation: all items wanted but" in refused(settings(root), "validation")
    for kind in ("gtFine", "leftImg8bit"):
        (root / kind / "val").rename(root / f"{kind}-val")
        message = refused(settings(root), "test")
        assert message.startswith(f"{root / kind / 'val'}: no such folder") and cityscapes.CARD.layout in message


def test_archives_are_not_unpacked(tmp_path: Path) -> None:
    """torchvision would unpack 11 GB into the user's folder unasked."""
    for name in ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"):
        (tmp_path / name).write_bytes(b"")
    assert "no such folder" in refused(settings(tmp_path))
