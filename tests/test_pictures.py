"""Pictures that people give are read as they are seen, by every reader: upright, and on white where transparent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from mmbench.data import DataSettings, load
from mmbench.errors import UserError
from mmbench.files.pictures import as_colour, open_picture, upright
from mmbench.inference.inputs import as_stored
from mmbench.modalities import Modality

COLOURS = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
CLASSES = np.random.default_rng(1).integers(0, 3, (16, 20), dtype=np.uint8)
PALETTE = [[0, 0, 200], [0, 200, 0], [200, 0, 0]]
Save = Callable[[Path], None]


def turned(pixels: np.ndarray, orientation: int) -> Save:
    """Saves pixels with a note how the camera was held."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return lambda path: Image.fromarray(pixels).save(path, exif=exif)


# Readers: each saves a picture where it reads one, and returns what it reads, (h, w, 3).


def from_image_folder(folder: Path, save: Save, size: tuple[int, int]) -> np.ndarray:
    (folder / "train" / "cat").mkdir(parents=True)
    for split in ("val", "test"):
        (folder / split / "cat").mkdir(parents=True)
        Image.fromarray(COLOURS).save(folder / split / "cat" / "a.png")
    save(folder / "train" / "cat" / "a.png")
    return load("train", DataSettings("image_folder", size, root=str(folder)))["image"][0].transpose(1, 2, 0)


def from_camvid(folder: Path, save: Save, size: tuple[int, int]) -> np.ndarray:
    frame, labels = folder / "train" / "a.png", folder / "trainannot" / "a.png"
    for path in (frame, labels):
        path.parent.mkdir(parents=True)
    save(frame)
    Image.new("L", size[::-1], 1).save(labels)
    return load("train", DataSettings("camvid", size, root=str(folder)))["image"][0].transpose(1, 2, 0)


def given(folder: Path, save: Save, size: tuple[int, int]) -> np.ndarray:
    save(folder / "a.png")
    return as_stored("image", folder / "a.png", Modality("image", (3, *size)), {})[0].transpose(1, 2, 0)


def given_open(folder: Path, save: Save, size: tuple[int, int]) -> np.ndarray:
    save(folder / "a.png")
    with Image.open(folder / "a.png") as picture:
        return as_stored("image", picture, Modality("image", (3, *size)), {})[0].transpose(1, 2, 0)


READERS = [from_image_folder, from_camvid, given, given_open]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("orientation", [1, 2, 6, 8])
def test_the_orientation_is_applied(reader: Any, orientation: int, tmp_path: Path) -> None:
    save = turned(COLOURS, orientation)
    save(tmp_path / "seen.png")
    with Image.open(tmp_path / "seen.png") as picture:
        seen = np.asarray(ImageOps.exif_transpose(picture))  # what any viewer shows
    (tmp_path / "data").mkdir()
    np.testing.assert_array_equal(reader(tmp_path / "data", save, seen.shape[:2]), seen)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_once(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    turned(COLOURS, orientation)(path)
    picture = open_picture(path)
    with Image.open(path) as other:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(ImageOps.exif_transpose(other)))
    assert upright(picture) is picture


def test_a_class_map_turns_with_its_picture(tmp_path: Path) -> None:
    for name, pixels in (("train", COLOURS), ("trainannot", CLASSES)):
        (tmp_path / name).mkdir()
        turned(pixels, 6)(tmp_path / name / "a.png")
    arrays = load("train", DataSettings("camvid", (20, 16), root=str(tmp_path)))
    np.testing.assert_array_equal(arrays["mask"][0], np.rot90(CLASSES, -1))
    np.testing.assert_array_equal(arrays["image"][0].transpose(1, 2, 0), np.rot90(COLOURS, -1))
    read = as_stored("mask", tmp_path / "trainannot" / "a.png", Modality("class_map", (20, 16), 3), {})
    np.testing.assert_array_equal(read[0], np.rot90(CLASSES, -1))


def rgba(path: Path) -> None:
    Image.fromarray(
        np.dstack([COLOURS, np.where(np.arange(20) < 10, 0, 255) * np.ones((16, 1), np.uint8)]).astype(np.uint8)
    ).save(path)


def palette(path: Path) -> None:
    indices = Image.fromarray(np.tile(np.repeat(np.array([0, 1], np.uint8), 10), (16, 1)), "P")
    indices.putpalette([9, 8, 7, 1, 2, 3])
    indices.save(path, transparency=0)


def one_colour(path: Path) -> None:
    pixels = np.where(np.arange(20)[None, :, None] < 10, np.array([9, 8, 7], np.uint8), np.array([1, 2, 3], np.uint8))
    Image.fromarray(np.broadcast_to(pixels, (16, 20, 3)).copy()).save(path, transparency=(9, 8, 7))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("save", [rgba, palette, one_colour])
def test_what_is_transparent_is_white(reader: Any, save: Save, tmp_path: Path) -> None:
    read = reader(tmp_path, save, (16, 20))
    assert (read[:, :10] == 255).all()
    assert not (read[:, 10:] == 255).all(axis=2).any()


def test_half_transparent_is_a_blend_with_white(tmp_path: Path) -> None:
    half = Image.new("RGBA", (20, 16), (0, 100, 255, 128))
    read = given(tmp_path, half.save, (16, 20))
    assert np.abs(read.astype(int) - (127, 177, 255)).max() <= 1


def test_hidden_colours_do_not_bleed_when_resized(tmp_path: Path) -> None:
    """Compositing comes before the filter, which would spread colours that were never seen."""
    rgba(tmp_path / "b.png")
    small = as_stored("image", tmp_path / "b.png", Modality("image", (3, 8, 10)), {}, resize=True)
    assert (small[0, :, :, :4] > 250).all()


@pytest.mark.parametrize("order", "<>")
def test_of_sixteen_bits_the_upper_eight_count(order: str, tmp_path: Path) -> None:
    deep = (np.arange(320).reshape(16, 20) * 200).astype(f"{order}u2")
    Image.fromarray(deep).save(tmp_path / "a.tif")
    read = as_stored("image", tmp_path / "a.tif", Modality("image", (3, 16, 20)), {})
    np.testing.assert_array_equal(read[0], np.broadcast_to(deep >> 8, (3, 16, 20)))


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 16), (255, 0, 0, 0)).save(tmp_path / "a.tif")
    read = as_stored("image", tmp_path / "a.tif", Modality("image", (3, 16, 20)), {})
    assert read[0, :, 3, 3].tolist() == [0, 255, 255]


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_numbers_that_are_no_colours_are_refused(mode: str) -> None:
    with pytest.raises(UserError, match=f"^a.tif: mode {mode}"):
        as_colour(Image.new(mode, (20, 16)), "a.tif")


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_of_several_pictures_in_a_file_none_is_left_out_in_silence(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    pictures = [Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1].copy())]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    with pytest.raises(UserError, match="holds more than one image") as caught:
        open_picture(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("mode", ["1", "P", "L", "I;16", "I"])
def test_a_class_map_keeps_its_numbers(mode: str, tmp_path: Path) -> None:
    """Whatever its palette and its transparency are."""
    suffix = "tif" if mode == "I" else "png"
    numbers = CLASSES % 2 if mode == "1" else CLASSES
    types = {"1": bool, "I;16": np.uint16, "I": np.int32}
    picture = Image.fromarray(numbers.astype(types.get(mode, np.uint8)))
    if mode == "P":
        picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        picture.info["transparency"] = 0
    picture.save(tmp_path / f"a.{suffix}")
    read = as_stored("mask", tmp_path / f"a.{suffix}", Modality("class_map", (16, 20), 3), {"palette": PALETTE})
    np.testing.assert_array_equal(read[0], numbers)


def test_a_transparent_pixel_of_a_coloured_map_has_no_class(tmp_path: Path) -> None:
    pixels = np.dstack([np.array(PALETTE, np.uint8)[CLASSES], np.full((16, 20, 1), 255, np.uint8)])
    pixels[0, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = as_stored("mask", tmp_path / "a.png", Modality("class_map", (16, 20), 3), {"palette": PALETTE})
    assert (read[0, 0] == 255).all()
    np.testing.assert_array_equal(read[0, 1:], CLASSES[1:])


def test_a_palette_with_transparency_hides_pixels(tmp_path: Path) -> None:
    palette(tmp_path / "a.png")
    read = as_stored("masked_image", tmp_path / "a.png", Modality("masked_image", (4, 16, 20)), {})
    assert (read[0, 3, :, :10] == 0).all() and (read[0, 3, :, 10:] == 255).all()
