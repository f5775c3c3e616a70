"""Toy streets: fixed, balanced, without duplicates, exact masks that lie where the image shows them."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from mmbench.data import DataSettings, card, load
from mmbench.data.streets.develop import draw, record
from mmbench.data.streets.plan import make_scene
from mmbench.data.streets.raster import rasterise
from mmbench.data.streets.record import BUILDING, QUAD, SKY, SKY_ELLIPSE, SKY_QUAD, Shapes
from mmbench.data.streets.scene import FACTORS, LABELS, Scene
from mmbench.files.store import Arrays


@pytest.fixture(scope="module")
def streets() -> Arrays:
    return load("train", DataSettings("toy_streets", 32, train=2000))


def empty_scene(horizon: float = 0.9) -> Scene:
    """A bare day without houses: the camera looks along Z with focal length 1 from 1 m above the ground."""
    scene = make_scene("train", 0)
    scene.factors.update(
        time=0, weather=0, vanishing_x=0.0, vanishing_y=horizon, focal=1.0, camera_height=1.0, camera_x=0.0, haze=0.0
    )
    return scene


def paint(scene: Scene, height: int, width: int, *shapes: tuple) -> np.ndarray:
    """Classes at the pixels' centres of a picture that consists of the sky, the ground and the given shapes."""
    recorded = Shapes(scene, width / height)
    recorded.backdrop((4, 0, 0, 0, 1.0))
    for method, *arguments in shapes:
        getattr(recorded, method)(*arguments)
    return rasterise([recorded], height, width).mask()[0]


@pytest.mark.parametrize("size", [32, 64, (96, 128), (40, 24)])
def test_shapes_and_types(size: int | tuple[int, int]) -> None:
    settings = DataSettings("toy_streets", size, validation=3)
    arrays = load("validation", settings)
    height, width = settings.shape
    assert arrays["image"].shape == (3, 3, height, width) and arrays["image"].dtype == np.uint8
    assert arrays["mask"].shape == (3, height, width) and arrays["mask"].dtype == np.uint8
    assert arrays["label"].shape == (3,) and arrays["label"].dtype == np.int64
    assert arrays["depth"].shape == (3, height, width) and arrays["depth"].dtype == np.float32
    assert arrays["factors"].shape == (3, len(FACTORS)) and arrays["factors"].dtype == np.float32
    assert arrays["mask"].max() < len(card(settings).classes)


def test_fixed_forever() -> None:
    """The generator may only change together with its VERSION; masks do not depend on rounding of colours."""
    items = load("test", DataSettings("toy_streets", 32, test=20))
    assert card(DataSettings("toy_streets")).version == 1
    assert (
        hashlib.sha256(items["mask"].tobytes()).hexdigest()
        == "217cb195d19d369a412ceeb47ae110a3492a096e892c1a22c5b430fe25458ec2"
    )
    assert (
        hashlib.sha256(items["label"].astype("<i8").tobytes()).hexdigest()
        == "c199f7a9766391c35d2acc1e063acac4bbc1c8f4f17a0f0bdd6dc7b27458138b"
    )
    assert items["image"].mean(axis=(0, 2, 3)) == pytest.approx([117.00, 108.86, 106.56], abs=0.05)


def test_the_same_pictures_to_the_bit() -> None:
    """One item of each label; no colour of theirs is as near to being rounded the other way as float32 is inexact."""
    scenes = [make_scene("test", i) for i in (405, 76, 13, 100, 338, 284, 373, 89, 59)]
    assert [scene.label for scene in scenes] == list(range(9))
    image, mask, _ = draw(scenes, 32, 32)
    factors = np.array([[scene.factors[name] for name in FACTORS] for scene in scenes], "<f4")
    assert [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in (image, mask, factors)] == [
        "54b8703552619403",
        "44b46fe4c1b87efb",
        "7c88ed2bfdfa4866",
    ]


def test_an_item_depends_on_its_number_only(streets: Arrays) -> None:
    few = load("train", DataSettings("toy_streets", 32, train=13))
    for name, array in few.items():
        np.testing.assert_array_equal(array, streets[name][:13])
    large = load("train", DataSettings("toy_streets", 64, train=13))
    np.testing.assert_array_equal(large["factors"], few["factors"])
    agree = np.mean(large["mask"][:, ::2, ::2] == few["mask"])
    assert agree > 0.85  # half a pixel of the larger size apart


def test_a_wider_picture_sees_more_of_the_same_street() -> None:
    scenes = [make_scene("test", i) for i in range(6)]
    square, wide = draw(scenes, 32, 32)[1], draw(scenes, 32, 64)[1]
    np.testing.assert_array_equal(wide[:, :, 16:48], square)


def test_no_two_alike(streets: Arrays) -> None:
    assert len({item.tobytes() for item in streets["image"]}) == 2000
    assert len({item.tobytes() for item in streets["mask"]}) == 2000
    others = load("test", DataSettings("toy_streets", 32, test=300))
    assert not {m.tobytes() for m in others["mask"]} & {m.tobytes() for m in streets["mask"]}


def test_not_near_copies_either(streets: Arrays) -> None:
    """The nearest of 2,000 training images is far from a test image: half as far, or more, as a random one."""
    test = load("test", DataSettings("toy_streets", 32, test=45))["image"].reshape(45, -1).astype(np.float32)
    train = streets["image"].reshape(2000, -1).astype(np.float32)
    gaps = np.sqrt(np.maximum((test**2).sum(1)[:, None] + (train**2).sum(1) - 2 * test @ train.T, 0) / test.shape[1])
    assert gaps.min() > 10  # grey levels, root mean square
    assert np.median(gaps.min(axis=1)) > 18


def test_classes_and_labels_are_all_there(streets: Arrays) -> None:
    classes = card(DataSettings("toy_streets")).classes
    assert len(classes) >= 8 and len(LABELS) >= 6
    present = [(streets["mask"] == k).any(axis=(1, 2)).mean() for k in range(len(classes))]
    assert min(present) > 0.5, dict(zip(classes, present, strict=True))
    counts = np.bincount(streets["label"], minlength=len(LABELS))
    assert counts.min() >= 222 and counts.max() <= 223


def test_label_follows_from_the_factors(streets: Arrays) -> None:
    column = {name: k for k, name in enumerate(FACTORS)}
    factors = streets["factors"]
    time, weather = factors[:, column["time"]].astype(int), factors[:, column["weather"]].astype(int)
    np.testing.assert_array_equal(streets["label"], 3 * time + weather)
    assert LABELS[3 * 2 + 1] == "night, rain"
    assert np.isfinite(factors).all()
    assert (factors.std(axis=0) > 0).all()


def test_the_image_shows_the_label(streets: Arrays) -> None:
    brightness = [streets["image"][streets["label"] // 3 == time].mean() for time in range(3)]
    assert brightness[0] > brightness[1] > 2 * brightness[2] * 0.75
    spread = streets["image"].max(axis=1).astype(float) - streets["image"].min(axis=1)
    clear, fog = (spread[streets["label"] == k].mean() for k in (0, 2))
    assert clear > 1.5 * fog  # fog takes the colour away


def test_mask_is_the_class_at_the_centre_of_the_pixel() -> None:
    """A house's front from x = -0.25 to 0.125 and y = 0.1875 to 0.5 of a 16 x 16 picture, pixel edges at 1/16."""
    mask = paint(empty_scene(), 16, 16, ("front", (BUILDING, 0, 0, 0, 1.0), (-0.25, 0.125), (1.4, 1.7125), 1.0))
    expected = np.where(np.arange(16)[:, None] >= 15, 4, SKY) * np.ones(16, int)  # horizon at 0.9: row 14.4
    expected[14] = 4  # its centre, 14.5 / 16, lies below 14.4 / 16
    expected[3:8, 4:10] = BUILDING
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("shift", [-0.02, -0.005, 0.0, 0.005, 0.02])
def test_mask_edges_against_arithmetic(shift: float) -> None:
    """Rectangles and discs at odd places: a pixel belongs to them exactly if its centre does."""
    height, width = 24, 36
    x = (np.arange(width) + 0.5 - width / 2) / height
    y = (np.arange(height)[:, None] + 0.5) / height
    left, right, top, bottom = -0.331 + shift, 0.207 + shift, 0.113 + shift, 0.62 + shift
    rectangle = ("front", (BUILDING, 0, 0, 0, 1.0), (left, right), (bottom, top), 1.0, SKY_QUAD)
    mask = paint(empty_scene(), height, width, rectangle)
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    np.testing.assert_array_equal(mask == BUILDING, inside)
    disc = ("round", (BUILDING, 0, 0, 0, 1.0), 0.1 + shift, 0.4 + shift, 1.0, 0.23, 0.17, SKY_ELLIPSE)
    mask = paint(empty_scene(), height, width, disc)
    inside = ((x - 0.1 - shift) / 0.23) ** 2 + ((y - 0.4 - shift) / 0.17) ** 2 < 1
    np.testing.assert_array_equal(mask == BUILDING, inside)


def test_walls_along_the_street_against_ray_casting() -> None:
    """Each pixel's ray is met with the plane X = 2 by hand: (X, Y, Z) = eye + s (x, -(y - horizon), 1)."""
    height = width = 30
    horizon, wall, near, far, top = 0.5, 2.0, 3.0, 9.0, 2.6
    scene = empty_scene(horizon)
    mask = paint(scene, height, width, ("flank", (BUILDING, 0, 0, 0, 1.0), wall, (0.0, top), (near, far)))
    x = (np.arange(width) + 0.5 - width / 2) / height
    y = (np.arange(height)[:, None] + 0.5) / height
    with np.errstate(divide="ignore"):
        z = wall / np.where(x > 0, x, np.nan)
    up = 1.0 - (y - horizon) * z
    inside = (z > near) & (z < far) & (up > 0) & (up < top)
    np.testing.assert_array_equal(mask == BUILDING, inside)
    assert inside.sum() > 30


def test_image_and_mask_are_aligned() -> None:
    """Where a region's samples all have one class, image colours change at the mask's edges and not beside them.

    The picture is correlated with its own class map, shifted by up to a pixel: no shift fits better than none.
    """
    arrays = load("train", DataSettings("toy_streets", 64, train=90))
    chosen = arrays["label"] % 3 == 0
    image, mask = arrays["image"][chosen].astype(float), arrays["mask"][chosen]

    def explained(dy: int, dx: int) -> float:
        """Share of the colours' variance, within each picture, that the shifted mask's classes explain."""
        total = left = 0.0
        for picture, classes in zip(image[:, :, 2:-2, 2:-2], mask, strict=True):
            shifted = classes[2 + dy : 62 + dy, 2 + dx : 62 + dx]
            total += ((picture - picture.mean(axis=(1, 2), keepdims=True)) ** 2).sum()
            for k in np.unique(shifted):
                part = picture[:, shifted == k]
                left += ((part - part.mean(axis=1, keepdims=True)) ** 2).sum()
        return 1 - left / total

    scores = {(dy, dx): explained(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    assert max(scores, key=lambda shift: scores[shift]) == (0, 0), scores


def test_edges_are_antialiased() -> None:
    """A white square that covers 40 % of a column of pixels makes it 40 % white, to the grain of the samples."""
    scene = empty_scene(0.99)
    height = 16
    covered = []
    for part in np.linspace(0, 1, 11):
        recorded = Shapes(scene, 1.0)
        recorded.backdrop((4, 0, 0, 0, 1.0))
        edge = -0.5 + (4 + part) / height
        recorded.front((BUILDING, 255, 255, 255, -1.0), (-0.5, edge), (1.0, -0.1), 1.0, SKY_QUAD)
        ids = rasterise([recorded], height, height).ids[0]
        covered.append((ids[12:15, 12:15] == 2).mean())
    np.testing.assert_allclose(covered, np.linspace(0, 1, 11), atol=1 / 9)
    assert len(set(covered)) >= 8


def test_recording_is_free_of_size() -> None:
    """Only what lies outside the picture may differ between sizes of one aspect."""
    scene = make_scene("validation", 4)
    first, second = record(scene, 1.0), record(scene, 1.0)
    assert first.shapes == second.shapes and first.lit == second.lit
    assert {int(kind) for kind in first.shapes[10::16]} >= {QUAD}


def test_fast_enough_to_draw_anew() -> None:
    """1.6 ms an image of 32 x 32 on one core of 2024; the bound leaves room for a machine five times slower."""
    start = time.process_time()
    load("train", DataSettings("toy_streets", 32, train=400))
    assert (time.process_time() - start) / 400 < 0.008
