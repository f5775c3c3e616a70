"""The data set of symbols in two styles, read from a made-up tree of the packages' layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmbench.data import SPLITS, DataSettings, card, load, other_files
from mmbench.data.emoji import LABELS, STYLES, VERSION, split_of, symbols
from mmbench.errors import UserError

COLOURS = {"google": (200, 30, 30), "twitter": (30, 30, 200)}
TONES = ("1f3fb", "1f3ff")


def entry(code: str, category: str, variants: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    drawn = {f"has_img_{style}": True for style in STYLES.values()}
    described = {"unified": code.upper(), "category": category, "image": f"{code}.png", **drawn, **more}
    tones = {tone: {"image": f"{code}-{tone}.png", **drawn} for tone in variants}
    return described | ({"skin_variations": tones} if tones else {})


def draw(path: Path, colour: tuple[int, int, int]) -> None:
    """A square of a colour in the middle of nothing."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[16:48, 16:48] = (*colour, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Forty symbols, every fourth with two variants."""
    entries = [entry(f"1f{n:03x}", LABELS[n % len(LABELS)], TONES if n % 4 == 0 else ()) for n in range(40)]
    entries.append(entry("1f3fb", "Component"))
    entries.append(entry("1faaa", LABELS[0], has_img_twitter=False))
    for style, colour in COLOURS.items():
        write(tmp_path / style / "emoji.json", entries)
        write(tmp_path / style / "package.json", {"version": VERSION})
        for described in entries:
            for picture in (described, *described.get("skin_variations", {}).values()):
                draw(tmp_path / style / "img" / style / "64" / picture["image"], colour)
    return tmp_path


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def settings(root: Path, **counts: int) -> DataSettings:
    return DataSettings("emoji", 32, root=str(root), **counts)


def test_an_item_is_a_symbol_in_two_styles_with_its_outline(tree: Path) -> None:
    arrays = load("train", settings(tree))
    known = card(settings(tree)).modalities
    assert arrays.keys() == set(known)
    for name, style in STYLES.items():
        assert arrays[name].dtype == np.uint8 and arrays[name].shape[1:] == (3, 32, 32)
        assert (arrays[name][:, :, 16, 16] == COLOURS[style]).all() and (arrays[name][:, :, 0, 0] == 255).all()
    assert arrays["mask"][:, 16, 16].all() and not arrays["mask"][:, 0, 0].any()
    assert arrays["mask"].mean() == pytest.approx(0.25, abs=0.02)
    assert arrays["label"].dtype == np.int64 and set(arrays["label"]) <= set(range(len(LABELS)))


def test_symbols_are_split_and_variants_are_for_training(tree: Path) -> None:
    by_split = {split: [s for s in symbols(tree) if split_of(s) == split] for split in SPLITS}
    assert all(by_split.values()) and sum(map(len, by_split.values())) == 40
    for split, members in by_split.items():
        pictures = sum(len(s.files) for s in members) if split == "train" else len(members)
        assert len(load(split, settings(tree))["image"]) == pictures
    assert any(len(s.files) > 1 for s in by_split["train"])


def test_fewer_are_the_first_of_a_fixed_order(tree: Path) -> None:
    some, whole = load("train", settings(tree, train=5)), load("train", settings(tree))
    assert all((some[name] == whole[name][:5]).all() for name in whole)


def test_what_is_left_out_is_counted(tree: Path) -> None:
    assert other_files(settings(tree)) == {"(no symbol)": 1, "(not in both styles)": 1}
    assert "1FAAA" not in {s.code for s in symbols(tree)}


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "another version": (lambda root: write(root / "twitter/package.json", {"version": "15.1.2"}), "version 15.1.2"),
    "no list": (lambda root: (root / "google/emoji.json").unlink(), "emoji.json: no such file; emoji needs"),
    "no style": (lambda root: (root / "twitter/package.json").unlink(), "package.json: no such file; emoji needs"),
    "a path": (
        lambda root: write(root / "google/emoji.json", [entry("../../evil", LABELS[0])]),
        "entry 0 is no symbol",
    ),
    "a category": (lambda root: write(root / "google/emoji.json", [entry("1f600", "Faces")]), "entry 0 is no symbol"),
    "no entries": (lambda root: write(root / "google/emoji.json", [7]), "entry 0 is no symbol"),
}


@pytest.mark.parametrize(("spoil", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_tree_is_named(tree: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(tree)
    with pytest.raises(UserError, match=says):
        load("train", settings(tree))
