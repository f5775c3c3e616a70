"""Downsampled ImageNet on small npz files of the authors' format: colours, splits, which files are read, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_data import refused

from mmbench.data import SPLITS, DataSettings, imagenet64, load

#: Items of a training file; 2 of them are held out.
COUNT = 50
#: The blue of every item, which tells rows from columns.
SLOPE = np.arange(64)[:, None] * 2 + np.arange(64)


def write(path: Path, first: int, count: int, **changes: object) -> None:
    """Items `first` and on: red number // 256, green number % 256, blue a slope, label number % 1000 + 1."""
    number = np.arange(first, first + count)
    image = np.zeros((count, 3, 64, 64), np.uint8)
    image[:, 0], image[:, 1] = (number // 256)[:, None, None], (number % 256)[:, None, None]
    image[:, 2] = SLOPE
    arrays = {"data": image.reshape(count, -1), "labels": number % 1000 + 1, "mean": image.mean(0).ravel()} | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(10):
        write(tmp_path / f"train_data_batch_{i + 1}.npz", COUNT * i, COUNT)
    write(tmp_path / "val_data.npz", 990, 20, mean=None)
    return tmp_path


def settings(root: Path, size: int | tuple[int, int] = 64, **changes: int) -> DataSettings:
    return DataSettings("imagenet64", size, root=str(root), **changes)


def numbers(arrays: dict[str, np.ndarray]) -> list[int]:
    """Which items they are, read from their colours."""
    return (arrays["image"][:, 0, 0, 0].astype(int) * 256 + arrays["image"][:, 1, 0, 0]).tolist()


def test_every_item_is_in_one_split(root: Path) -> None:
    parts = {split: load(split, settings(root)) for split in SPLITS}
    assert [len(parts[split]["image"]) for split in SPLITS] == [480, 20, 20]
    assert sorted(numbers(parts["train"]) + numbers(parts["validation"])) == list(range(500))
    assert sorted(numbers(parts["test"])) == list(range(990, 1010))
    for arrays in parts.values():
        assert arrays["image"].dtype == np.uint8 and arrays["label"].dtype == np.int64
        np.testing.assert_array_equal(arrays["label"], np.array(numbers(arrays)) % 1000)  # 0 to 999
        assert (arrays["image"][:, 2] == SLOPE).all()


def test_order_is_fixed_and_not_that_of_the_file(root: Path) -> None:
    everything = numbers(load("train", settings(root)))
    assert numbers(load("train", settings(root, train=100))) == everything[:100]
    assert all(n < COUNT for n in everything[:48]) and everything[:48] != sorted(everything[:48])
    held = numbers(load("validation", settings(root)))
    assert numbers(load("validation", settings(root, validation=3))) == held[:3]


def test_only_files_that_are_needed_must_be_there(root: Path) -> None:
    wanted = settings(root, train=96, validation=4, test=5)
    before = {split: load(split, wanted) for split in SPLITS}
    for i in range(3, 11):
        (root / f"train_data_batch_{i}.npz").unlink()
    for split in SPLITS:
        np.testing.assert_array_equal(load(split, wanted)["image"], before[split]["image"])
    third = root / "train_data_batch_3.npz"
    message = refused(settings(root, train=97))
    assert message.startswith(f"{third}: no such file") and "set data.train to at most 96" in message
    assert "set data.validation to at most 4" in refused(settings(root), "validation")
    (root / "train_data_batch_1.npz").unlink()
    message = refused(settings(root, train=1))
    assert message.startswith(f"{root / 'train_data_batch_1.npz'}: no such file") and "at most" not in message
    assert imagenet64.CARD.download in message


def test_folders_of_the_archives(root: Path) -> None:
    before = load("train", settings(root, train=400))
    for i in range(1, 11):
        name = f"train_data_batch_{i}.npz"
        folder = root / f"Imagenet64_train_part{1 if i < 6 else 2}_npz"
        folder.mkdir(exist_ok=True)
        (root / name).rename(folder / name)
    np.testing.assert_array_equal(load("train", settings(root, train=400))["image"], before["image"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": np.zeros((50, 3072), np.uint8)}, "data is uint8 (50, 3072) instead of uint8 (50, 12288)"),
        ({"data": None}, "has no array data"),
        ({"labels": np.arange(50)}, "labels are 0 to 49 instead of 1 to 1000"),
        ({"labels": np.ones(50)}, "labels are float64 (50,) instead of whole numbers (n,)"),
        ({"labels": np.array([1] * 50, object)}, "not a whole npz file of plain arrays"),
    ],
)
def test_other_arrays_are_refused(root: Path, changes: dict, says: str) -> None:
    path = root / "train_data_batch_2.npz"
    write(path, COUNT, COUNT, **changes)
    message = refused(settings(root))
    assert message.startswith(f"{path}: ") and says in message


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(path: Path) -> None:
    """A member of the archive that cannot be unpacked."""
    with np.load(path) as archive:
        np.savez_compressed(path, **archive)
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)


def single(path: Path) -> None:
    """One array without a name, as numpy.save writes it."""
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


@pytest.mark.parametrize("spoil", [truncated, damaged, single])
def test_broken_files_are_refused(root: Path, spoil: Callable[[Path], None]) -> None:
    spoil(root / "val_data.npz")
    message = refused(settings(root), "test")
    assert message.startswith(f"{root / 'val_data.npz'}: not a whole npz file of plain arrays; unpack it again")
