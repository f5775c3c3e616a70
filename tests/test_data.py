"""Datasets from files, their errors, and the command that writes the splits."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from mmbench import data
from mmbench.data import SPLITS, DataSettings, camvid, card, image_folder, load, names, read_prepared
from mmbench.errors import UserError
from mmbench.files.store import sha256_arrays
from mmbench.stages import data as prepare_data

CAMVID = Path(__file__).parents[2] / "shared" / "data" / "CamVid"
needs_camvid = pytest.mark.skipif(not CAMVID.is_dir(), reason=f"no CamVid at {CAMVID}")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    monkeypatch.delenv("MMBENCH_DOWNLOAD", raising=False)


def refused(settings: DataSettings, split: str = "train") -> str:
    """The one line that `load` refuses with."""
    with pytest.raises(UserError) as caught:
        load(split, settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


def picture(seed: int, width: int = 20, height: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- names and settings -----------------------------------------------------------------------------------------------


def test_every_module_is_a_dataset() -> None:
    known = ["camvid", "cifar10", "cityscapes", "emoji", "fashion_mnist", "image_folder", "imagenet64"]
    known.append("toy_streets")
    assert names() == known


@pytest.mark.parametrize(
    "name", ["camvid", "cifar10", "cityscapes", "emoji", "fashion_mnist", "imagenet64", "toy_streets"]
)
def test_cards_are_whole(name: str) -> None:
    found = card(DataSettings(name))
    assert found.name == name and found.provenance and found.licence
    assert len(found.palette) == len(found.classes)
    assert found.labels or found.classes
    json.dumps(found.as_dict())


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"name": "toy_street"}, "'toy_streets'"),
        ({"nam": "toy_streets"}, "data.nam: unknown key; did you mean 'name'"),
        ({"size": [32]}, "data.size"),
        ({"size": "32"}, "data.size"),
        ({"size": 4}, "data.size"),
        ({"size": True}, "data.size"),
        ({"train": 0}, "data.train"),
        ({"test": 2.5}, "data.test"),
    ],
)
def test_bad_settings(section: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load("train", DataSettings.from_mapping(section))


def test_size_is_a_number_or_height_and_width_and_a_split_one_of_three() -> None:
    assert "did you mean 'validation'" in refused(DataSettings(), "valdation")
    assert DataSettings.from_mapping({"size": 48}).shape == (48, 48)
    assert DataSettings.from_mapping({"size": [96, 128]}).shape == (96, 128)


@pytest.mark.parametrize(
    "name", ["camvid", "cifar10", "cityscapes", "emoji", "fashion_mnist", "image_folder", "imagenet64"]
)
def test_missing_data_says_what_to_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused(DataSettings(name))
    assert "data.root" in message and "MMBENCH_DATA" in message and card_of(name).download in message
    monkeypatch.setenv("MMBENCH_DATA", str(tmp_path))
    assert str(tmp_path / name) in refused(DataSettings(name))
    assert card_of(name).layout in refused(DataSettings(name, root=str(tmp_path / "elsewhere")))


def card_of(name: str) -> data.Card:
    found = data._module(name).CARD
    assert isinstance(found, data.Card)
    return found


# --- CamVid -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_camvid(tmp_path: Path) -> Path:
    """Six frames of 20 x 16, their class maps in four bands: class 0, 4, 10 and unlabelled."""
    labels = np.repeat(np.array([0, 4, 10, 11], np.uint8), 4)[:, None] * np.ones(20, np.uint8)
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for folder in (split, split + "annot"):
            (tmp_path / folder).mkdir()
        for i in range(count):
            Image.fromarray(picture(i)).save(tmp_path / split / f"f{i}.png")
            Image.fromarray(labels).save(tmp_path / f"{split}annot" / f"f{i}.png")
    return tmp_path


def test_camvid_reads_pairs(small_camvid: Path) -> None:
    settings = DataSettings("camvid", (16, 20), root=str(small_camvid))
    arrays = load("test", settings)
    assert arrays["image"].shape == (2, 3, 16, 20) and arrays["mask"].shape == (2, 16, 20)
    originals = {picture(i).transpose(2, 0, 1).tobytes() for i in range(2)}
    assert {item.tobytes() for item in arrays["image"]} == originals  # the same size: not resized
    assert [np.unique(arrays["mask"][0, row]).tolist() for row in (0, 7, 8, 15)] == [[0], [4], [10], [255]]


def test_camvid_resizes_labels_by_nearest_neighbour(small_camvid: Path) -> None:
    mask = load("train", DataSettings("camvid", (8, 10), root=str(small_camvid)))["mask"]
    assert np.unique(mask).tolist() == [0, 4, 10, 255]
    np.testing.assert_array_equal(mask[0, :, 0], [0, 0, 4, 4, 10, 10, 255, 255])


def test_camvid_image_and_mask_stay_together_when_resized(small_camvid: Path) -> None:
    """An edge in both lies at the same place at any size, up to half a pixel of the result."""
    picture_ = np.zeros((120, 160, 3), np.uint8)
    picture_[:, 100:] = 255
    Image.fromarray(picture_).save(small_camvid / "val" / "f0.png")
    Image.fromarray((picture_[..., 0] // 255) * np.uint8(3)).save(small_camvid / "valannot" / "f0.png")
    for size in (32, 64, (96, 128)):
        arrays = load("validation", DataSettings("camvid", size, root=str(small_camvid)))
        middle = arrays["image"][0, 0, 10] > 127
        assert np.abs((arrays["mask"][0, 10] == 3).astype(int) - middle).sum() <= 1


def test_camvid_errors(small_camvid: Path) -> None:
    settings = DataSettings("camvid", 16, root=str(small_camvid))
    frame, labels = small_camvid / "train" / "f1.png", small_camvid / "trainannot" / "f1.png"
    good = labels.read_bytes()
    labels.unlink()
    assert str(labels) in refused(settings) and "missing class map" in refused(settings)
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(labels)
    assert str(labels) in refused(settings) and "10x8" in refused(settings) and "20x16" in refused(settings)
    Image.fromarray(np.full((16, 20), 12, np.uint8)).save(labels)
    assert "class 12" in refused(settings)
    Image.fromarray(picture(0)).save(labels)
    assert "mode RGB" in refused(settings)
    labels.write_bytes(good)
    whole = frame.read_bytes()
    frame.write_bytes(whole[: len(whole) // 2])
    assert f"{frame}: not a readable image" in refused(settings)
    Image.fromarray(picture(0)).convert("L").save(frame)
    assert f"{frame}: greyscale" in refused(settings)
    Image.fromarray(picture(0, 1, 1)).save(frame)
    assert f"{frame}: 1x1" in refused(settings)
    frame.unlink()
    assert f"{labels}: class map without its image" in refused(settings)
    labels.unlink()
    assert len(load("train", settings)["image"]) == 2
    (small_camvid / "val").rename(small_camvid / "validation")
    assert f"{small_camvid / 'val'}: no such folder" in refused(settings, "validation")


@needs_camvid
def test_camvid_itself() -> None:
    settings = DataSettings("camvid", (96, 128), train=40, root=str(CAMVID))
    arrays = load("train", settings)
    height, width = settings.shape
    assert arrays["image"].shape == (40, 3, height, width) and arrays["mask"].shape == (40, height, width)
    assert set(np.unique(arrays["mask"])) <= {*range(11), 255}
    assert {0, 1, 3, 5, 8} <= set(np.unique(arrays["mask"]).tolist())
    sky, road = (np.mean(np.nonzero(arrays["mask"] == k)[1]) / height for k in (0, 3))
    assert sky < 0.4
    assert road > 0.6
    top = arrays["image"].transpose(0, 2, 3, 1)[arrays["mask"] == 0].mean()
    assert top > arrays["image"].transpose(0, 2, 3, 1)[arrays["mask"] == 3].mean()


@needs_camvid
def test_camvid_split_sizes() -> None:
    sizes = [len(load(split, DataSettings("camvid", 16, root=str(CAMVID)))["image"]) for split in SPLITS]
    assert sizes == [367, 101, 233]
    assert camvid.CARD.classes[8] == "car"


# --- Fashion-MNIST ----------------------------------------------------------------------------------------------------


def write_idx(path: Path, values: np.ndarray) -> None:
    head = bytes((0, 0, 8, values.ndim)) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_fashion(folder: Path, suffix: str = "") -> np.ndarray:
    """48 training and 5 test pictures; picture i is all i, its label i mod 10."""
    for part, count in (("train", 48), ("t10k", 5)):
        values = np.arange(count, dtype=np.uint8)
        images = np.broadcast_to(values[:, None, None], (count, 28, 28))
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", values % 10)
    return values


@pytest.mark.parametrize(("place", "suffix"), [(".", ""), (".", ".gz"), ("FashionMNIST/raw", ""), ("raw", ".gz")])
def test_fashion_mnist(tmp_path: Path, place: str, suffix: str) -> None:
    write_fashion(tmp_path / place, suffix)
    settings = DataSettings("fashion_mnist", 32, root=str(tmp_path))
    parts = {split: load(split, settings) for split in SPLITS}
    assert [len(parts[split]["image"]) for split in SPLITS] == [44, 4, 5]
    shown = {split: parts[split]["image"][:, :, 16, 16] for split in SPLITS}
    assert set(shown["train"][:, 0]) | set(shown["validation"][:, 0]) == set(range(48))  # nothing twice, nothing lost
    for split in SPLITS:
        assert parts[split]["image"].shape[1:] == (3, 32, 32)
        np.testing.assert_array_equal(parts[split]["label"], shown[split][:, 1] % 10)
        assert parts[split]["image"][:, :, :2].max() == 0  # the border
    assert parts["train"]["image"][:, :, 2:-2, 2:-2].std(axis=(2, 3)).max() == 0


def test_fashion_mnist_sizes_and_counts(tmp_path: Path) -> None:
    write_fashion(tmp_path)
    for size, shape in ((28, (28, 28)), (64, (64, 64)), ((20, 40), (20, 40))):
        arrays = load("train", DataSettings("fashion_mnist", size, train=7, root=str(tmp_path)))
        assert arrays["image"].shape == (7, 3, *shape)
    first = load("train", DataSettings("fashion_mnist", 28, train=3, root=str(tmp_path)))["label"]
    more = load("train", DataSettings("fashion_mnist", 28, train=9, root=str(tmp_path)))["label"]
    np.testing.assert_array_equal(first, more[:3])
    assert more.tolist() != sorted(more.tolist())  # in the order of a hash, not of the file


def test_fashion_mnist_errors(tmp_path: Path) -> None:
    settings = DataSettings("fashion_mnist", 32, root=str(tmp_path))
    assert "holds no IDX files" in refused(settings)
    write_fashion(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:-1])
    assert f"{images}: not an IDX file of 3 axes, or cut off" in refused(settings)
    images.unlink()
    assert f"{images}: no such file" in refused(settings)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(whole)[:-9])
    assert "not a whole gzip file" in refused(settings)
    write_idx(images, np.zeros((3, 28, 28)))
    assert "do not belong together" in refused(settings)


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in CIFAR-10's format, with torchvision's list of hashes replaced by theirs."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: dict) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch(start: int, count: int) -> dict:
        number = np.arange(start, start + count, dtype=np.uint8)
        planes = np.stack([number, number + 100, 255 - number], axis=1)  # red, green, blue of item `number`
        return {"data": np.repeat(planes, 1024, axis=1), "labels": (number % 10).tolist()}

    monkeypatch.setattr(
        CIFAR10, "train_list", [write("data_batch_1", batch(0, 25)), write("data_batch_2", batch(25, 15))]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(40, 6))])
    name, md5 = write("batches.meta", {"label_names": [str(i) for i in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path


def test_cifar10(small_cifar: Path) -> None:
    for root in (small_cifar, small_cifar / "cifar-10-batches-py"):
        parts = {split: load(split, DataSettings("cifar10", 32, root=str(root))) for split in SPLITS}
        assert [len(parts[split]["image"]) for split in SPLITS] == [36, 4, 6]
    numbers = {split: parts[split]["image"][:, 0, 5, 5] for split in SPLITS}
    assert set(numbers["train"]) | set(numbers["validation"]) == set(range(40))
    for split, number in numbers.items():
        np.testing.assert_array_equal(parts[split]["label"], number % 10)
        np.testing.assert_array_equal(parts[split]["image"][:, 1, 0, 0], number + 100)
        np.testing.assert_array_equal(parts[split]["image"][:, 2, 31, 31], 255 - number)
    assert load("test", DataSettings("cifar10", (16, 24), root=str(small_cifar)))["image"].shape == (6, 3, 16, 24)


def test_cifar10_changed_files_are_refused(small_cifar: Path) -> None:
    path = small_cifar / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes() + b"x")
    assert "not the original ones" in refused(DataSettings("cifar10", 32, root=str(small_cifar)))


# --- folders of images ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(30):
            Image.fromarray(picture(100 * k + i)).save(tmp_path / name / f"{i}.{('png', 'bmp')[i % 2]}")
    return tmp_path


def test_image_folder_splits_by_hash(folder: Path) -> None:
    settings = DataSettings("image_folder", (16, 20), root=str(folder))
    parts = {split: load(split, settings) for split in SPLITS}
    items = [item.tobytes() for split in SPLITS for item in parts[split]["image"]]
    assert len(items) == len(set(items)) == 60
    assert len(parts["train"]["image"]) > 38 and min(len(p["image"]) for p in parts.values()) >= 2
    assert card(settings).labels == ("cat", "dog")
    dogs = {picture(100 + i).transpose(2, 0, 1).tobytes() for i in range(30)}
    assert [item.tobytes() in dogs for item in parts["train"]["image"]] == (parts["train"]["label"] == 1).tolist()
    assert image_folder.split_of("cat/3.bmp") == image_folder.split_of("cat/3.bmp")


def test_image_folder_with_splits(folder: Path) -> None:
    root = folder / "sorted"
    for i, (split, name) in enumerate((s, c) for s in ("train", "val", "test") for c in ("a", "b")):
        (root / split / name).mkdir(parents=True)
        Image.fromarray(picture(i)).save(root / split / name / "one.png")
    settings = DataSettings("image_folder", (16, 20), root=str(root))
    for k, split in enumerate(SPLITS):
        arrays = load(split, settings)
        found = {(item.tobytes(), int(label)) for item, label in zip(arrays["image"], arrays["label"], strict=True)}
        assert found == {(picture(2 * k + j).transpose(2, 0, 1).tobytes(), j) for j in range(2)}
    (root / "test" / "b" / "one.png").unlink()
    assert f"{root / 'test' / 'b'}: class folder without images" in refused(settings)
    (root / "test" / "b").rmdir()
    assert f"{root / 'test' / 'b'}: missing class folder" in refused(settings)
    (root / "val").rename(root / "other")
    assert f"{root / 'val'}: no such folder" in refused(settings)


def test_image_folder_crops_around_the_centre(tmp_path: Path) -> None:
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60] = (200, 100, 50)
    for i in range(12):
        (tmp_path / "c").mkdir(exist_ok=True)
        Image.fromarray(wide).save(tmp_path / "c" / f"{i}.png")
    image = load("train", DataSettings("image_folder", 15, root=str(tmp_path)))["image"]
    off = image[0].astype(int) - np.array([200, 100, 50])[:, None, None]
    assert np.abs(off).max() < 13 and np.abs(off[:, :, 3:-3]).max() == 0  # the filter reaches over the edge a little


def test_images_are_antialiased(tmp_path: Path) -> None:
    """Single-pixel stripes become grey instead of one of the two colours."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    (tmp_path / "c").mkdir()
    for i in range(12):
        Image.fromarray(stripes).save(tmp_path / "c" / f"{i}.png")
    image = load("train", DataSettings("image_folder", 16, root=str(tmp_path)))["image"]
    assert np.abs(image[0, :, :, 2:-2].astype(int) - 127).max() < 12


def grey(path: Path) -> None:
    Image.fromarray(picture(0)).convert("L").save(path)


def corrupt(path: Path) -> None:
    Image.fromarray(picture(0, 200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def dot(path: Path) -> None:
    Image.fromarray(picture(0, 1, 1)).save(path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (grey, "greyscale"),
        (corrupt, "not a readable image"),
        (dot, "1x1 pixels"),
    ],
)
def test_image_folder_names_the_bad_file(folder: Path, spoil: Callable[[Path], None], says: str) -> None:
    bad = next(p for p in sorted((folder / "dog").iterdir()) if image_folder.split_of(f"dog/{p.name}") == "train")
    bad = bad.rename(bad.with_suffix(".png"))
    while image_folder.split_of(f"dog/{bad.name}") != "train":
        bad = bad.rename(bad.with_name("x" + bad.name))
    spoil(bad)
    message = refused(DataSettings("image_folder", 32, root=str(folder)))
    assert message.startswith(f"{bad}: ") and says in message


def test_image_folder_without_classes(tmp_path: Path) -> None:
    settings = DataSettings("image_folder", 32, root=str(tmp_path))
    assert f"{tmp_path}: no class folder" in refused(settings)
    (tmp_path / "cat").mkdir()
    assert f"{tmp_path / 'cat'}: class folder without images" in refused(settings)
    Image.fromarray(picture(0)).save(tmp_path / "cat" / "a.png")
    least = next(split for split in SPLITS if split != image_folder.split_of("cat/a.png"))
    assert "items wanted" in refused(settings, least)


def test_image_folder_palette_and_transparency(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    colour = Image.fromarray(np.full((16, 16, 3), (10, 200, 30), np.uint8))
    for i in range(12):
        colour.convert("RGBA" if i % 2 else "P").save(tmp_path / "c" / f"{i}.png")
    image = load("train", DataSettings("image_folder", 16, root=str(tmp_path)))["image"]
    assert np.abs(image.mean(axis=(0, 2, 3)) - (10, 200, 30)).max() < 12


# --- the command ------------------------------------------------------------------------------------------------------


def test_prepare_and_read_back(tmp_path: Path) -> None:
    settings = {"data": {"name": "toy_streets", "size": [16, 24], "train": 5, "validation": 2, "test": 3, "root": None}}
    (tmp_path / "s.json").write_text(json.dumps(settings))
    prepare_data.main(["--settings", str(tmp_path / "s.json"), "--out", str(tmp_path / "data")])
    written = json.loads((tmp_path / "data" / "card.json").read_text())
    assert written["name"] == "toy_streets" and written["version"] == 1 and written["size"] == [16, 24]
    assert len(written["classes"]) == len(written["palette"]) == 10 and len(written["labels"]) == 9
    for split, count in (("train", 5), ("validation", 2), ("test", 3)):
        arrays = read_prepared(tmp_path / "data", split)
        direct = load(split, DataSettings.from_mapping(settings["data"]))
        assert set(arrays) == {"image", "mask", "label", "depth", "factors"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, direct[name])
        described = written["splits"][split]
        assert described["count"] == count and described["sha256"] == sha256_arrays(direct)
        assert sum(described["class_share"]) == pytest.approx(1, abs=1e-3)
        assert sum(described["label_counts"]) == count


def test_ignored_pixels_count_apart(small_camvid: Path, tmp_path: Path) -> None:
    settings = DataSettings("camvid", (16, 20), root=str(small_camvid))
    described = prepare_data.prepare(settings, tmp_path / "out")["splits"]["train"]
    assert described["ignored_share"] == 0.25
    assert described["class_share"][0] == described["class_share"][10] == pytest.approx(1 / 3, abs=1e-4)


def test_the_command_fails_in_one_line(tmp_path: Path) -> None:
    """As a shell sees it."""
    (tmp_path / "s.json").write_text('{"data": {"name": "toy_streets", "sise": 32}}')
    command = [sys.executable, "-m", "mmbench.stages.data", "--settings", "s.json", "--out", "out"]
    environment = {"PYTHONPATH": str(Path(data.__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "data.sise" in done.stderr
    assert not (tmp_path / "out").exists()


def test_datasets_do_not_import_torch_until_needed() -> None:
    code = "import sys, mmbench.data as d; d.load('test', d.DataSettings(test=1)); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(data.__file__).parents[2])
