"""Pictures that are in two splits, or nearly: counted when data are prepared, and shown on the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_results import METHODS, write_results
from PIL import Image

from mmbench.data import DataSettings, _duplicates, load, toy_streets
from mmbench.data._duplicates import boxes, fingerprints, nearly, shared, shrunk
from mmbench.files.store import read_json, write_json
from mmbench.report.cards import data_card
from mmbench.report.data_notes import data_notes
from mmbench.runs.records import read_card
from mmbench.stages import report
from mmbench.stages.data import prepare

STREETS = {split: load(split, DataSettings("toy_streets", 32, 60, 30, 40))["image"] for split in ("train", "test")}
Change = Callable[[np.ndarray], np.ndarray]


def as_jpeg(image: np.ndarray) -> np.ndarray:
    """A picture (3, h, w), compressed and read back."""
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, "JPEG", quality=90)
    return np.asarray(Image.open(stream)).transpose(2, 0, 1)


def enlarged(image: np.ndarray) -> np.ndarray:
    """A picture (3, h, w), enlarged and made smaller again."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    return np.asarray(picture.resize((48, 48), 3).resize((32, 32), 3)).transpose(2, 0, 1)


def brighter(image: np.ndarray) -> np.ndarray:
    return np.clip(image.astype(int) + 2, 0, 255).astype(np.uint8)


def test_streets_are_in_one_split_only() -> None:
    """Though all of them look alike: sky above, a road below."""
    splits = {split: load(split, DataSettings("toy_streets", 32, 400, 100, 150))["image"] for split in STREETS}
    assert shared({split: fingerprints(images) for split, images in splits.items()}) == [
        {"split": "test", "other": "train", "exact": 0, "near": 0}
    ]


def test_exact_ones_are_counted_once() -> None:
    train, test = STREETS["train"], STREETS["test"].copy()
    test[[3, 4, 9]] = train[[7, 7, 20]]
    found = shared({"train": fingerprints(train), "test": fingerprints(test)})
    assert found == [{"split": "test", "other": "train", "exact": 3, "near": 0}]


@pytest.mark.parametrize("change", [as_jpeg, enlarged, brighter])
def test_near_ones_are_seen(change: Change) -> None:
    train, test = STREETS["train"], STREETS["test"].copy()
    test[10:40] = [change(image) for image in train[10:40]]
    seen = nearly(fingerprints(train), fingerprints(test))
    assert not seen[:10].any() and seen[10:].sum() >= 28


def test_the_search_finds_what_comparing_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_duplicates, "BITS", 26)
    monkeypatch.setattr(_duplicates, "LEVELS", 40)
    first, second = fingerprints(STREETS["train"]), fingerprints(STREETS["test"])
    bits = np.bitwise_count(first.hashes[None] ^ second.hashes[:, None])
    levels = np.abs(first.greys[None].astype(int) - second.greys[:, None]).mean(axis=2)
    expected = ((bits <= 26) & (levels <= 40)).any(axis=1)
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(nearly(first, second), expected)


def test_flat_pictures_of_other_colours_differ() -> None:
    """Their difference hashes are all zero."""
    flat = np.broadcast_to(np.array([0, 100, 200], np.uint8)[:, None, None, None], (3, 3, 32, 32))
    assert not nearly(fingerprints(flat[:1]), fingerprints(flat[1:])).any()


@pytest.mark.parametrize("size", [(8, 8), (33, 47), (96, 128)])
def test_boxes_are_means_of_equal_parts(size: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).random((2, *size)).astype(np.float32)
    np.testing.assert_allclose(boxes(9, size[1]).sum(axis=1), 1, rtol=1e-5)
    small = shrunk(grey, 8, 9)
    assert small.shape == (2, 8, 9)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), grey.mean(axis=(1, 2)), rtol=1e-4)


def test_the_card_and_the_page_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    whole = toy_streets.load

    def repeated(split: str, settings: DataSettings) -> dict[str, np.ndarray]:
        arrays, train = whole(split, settings), whole("train", settings)
        if split == "test":
            arrays["image"][:2] = train["image"][:2]
            arrays["image"][2] = as_jpeg(train["image"][2])
        return arrays

    monkeypatch.setattr(toy_streets, "load", repeated)
    card = prepare(DataSettings("toy_streets", 32, 12, 4, 6), tmp_path / "data")
    assert card["shared"][1] == {"split": "test", "other": "train", "exact": 2, "near": 1}
    assert "2 pictures are in train, too, and 1 more nearly are" in capsys.readouterr().out
    sentence = data_notes(card)[0]
    assert "2" in sentence and "1 more" in sentence and sentence in data_card(tmp_path / "data")
    run = write_results(tmp_path / "run", methods=METHODS[:1], seeds=(0,), items=6, predictions=False)
    described = read_json(run / "data/card.json")
    write_json(run / "data/card.json", {**described, "shared": card["shared"], "other_files": {".txt": 2}})
    report.main(["--results", str(run), "--out", str(tmp_path / "page")])
    page = (tmp_path / "page/index.html").read_text()
    assert all(note in page for note in data_notes(read_card(run / "data")))
    assert "2 .txt" in page and sentence in page
