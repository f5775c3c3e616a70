"""Toy streets: fixed to the bit, balanced, with exact masks and depths."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mmbench.data import DataSettings, card, load, read_prepared, toy_streets
from mmbench.data.streets.develop import draw, record
from mmbench.data.streets.plan import make_scene
from mmbench.data.streets.raster import _collect, rasterise
from mmbench.data.streets.record import BACKDROP, BUILDING, ELLIPSE, FAR, SHADOW, SKY, SKY_ELLIPSE, SKY_QUAD, Shapes
from mmbench.data.streets.scene import FACTORS, LABELS, Scene
from mmbench.errors import UserError
from mmbench.files.store import Arrays
from mmbench.stages.data import prepare

#: One test item of each label.
ITEMS = (405, 76, 13, 100, 338, 284, 373, 89, 59)


@pytest.fixture(scope="module")
def streets() -> Arrays:
    return load("train", DataSettings("toy_streets", 32, train=900))


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


def test_the_same_pictures_to_the_bit() -> None:
    """One item of each label; no colour of theirs is as near to being rounded the other way as float32 is inexact."""
    assert card(DataSettings("toy_streets")).version == 1, "the generator may only change together with its VERSION"
    scenes = [make_scene("test", i) for i in ITEMS]
    assert [scene.label for scene in scenes] == list(range(9))
    image, mask, depth = draw(scenes, 32, 32)
    factors = np.array([[scene.factors[name] for name in FACTORS] for scene in scenes], "<f4")
    assert [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in (image, mask, depth, factors)] == [
        "54b8703552619403",
        "44b46fe4c1b87efb",
        "bece47d64d72e9ce",
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


def test_classes_and_labels_are_all_there(streets: Arrays) -> None:
    classes = card(DataSettings("toy_streets")).classes
    assert len(classes) >= 8 and len(LABELS) >= 6
    present = [(streets["mask"] == k).any(axis=(1, 2)).mean() for k in range(len(classes))]
    assert min(present) > 0.5, dict(zip(classes, present, strict=True))
    counts = np.bincount(streets["label"], minlength=len(LABELS))
    assert counts.min() == counts.max() == 100


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


# Depth


def rays(scene: Scene, height: int, width: int) -> np.ndarray:
    """Directions (dX, dY, 1) through the pixels' centres, float64 (height, width, 3): their length is a depth of 1."""
    f = scene.factors
    x = (np.arange(width) + 0.5 - width / 2) / height
    y = (np.arange(height)[:, None] + 0.5) / height
    right, up = (x - f["vanishing_x"]) / f["focal"], (f["vanishing_y"] - y) / f["focal"]
    return np.stack(np.broadcast_arrays(right, up, 1.0), axis=-1)


def meet(shape: np.ndarray, eye: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Depths at which rays meet a shape in space, infinite where they miss it."""
    x0, y0, x1, y1, z0, x2, y2, x3, y3, z1, kind = shape[:11]
    if kind == ELLIPSE:
        at = eye + z0 * ray
        inside = ((at[..., 0] - x0) / (x1 - x0)) ** 2 + ((at[..., 1] - y0) / (y1 - y0)) ** 2 < 1
        return np.where(inside, z0, np.inf)
    corners = np.array([[x0, y0, z0], [x1, y1, z0], [x3, y3, z1], [x2, y2, z1]]) - eye
    following = np.roll(corners, -1, axis=0)
    normal = np.cross(corners, following).sum(axis=0)
    inwards = np.cross(normal, following - corners)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = corners[0] @ normal / (ray @ normal)
        inside = (depth > 0) & ((depth[..., None] * ray) @ inwards.T >= (corners * inwards).sum(axis=1)).all(axis=-1)
    return np.where(inside, depth, np.inf)


def cast(scene: Scene, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth of what is painted last at each pixel, and of the nearest thing that is met there; infinite for the sky."""
    shapes, _ = _collect([record(scene, width / height)])
    eye, ray = np.array([scene.factors["camera_x"], scene.factors["camera_height"], 0.0]), rays(scene, height, width)
    ground = np.where(ray[..., 1] < 0, -eye[1] / ray[..., 1], np.inf)
    painted, nearest = ground.copy(), ground.copy()
    for shape in shapes[~np.isin(shapes[:, 10], (SHADOW, BACKDROP, SKY_QUAD, SKY_ELLIPSE))]:
        depth = meet(shape, eye, ray)
        painted = np.where(depth < np.inf, depth, painted)
        nearest = np.minimum(nearest, depth)
    return painted, nearest


@pytest.mark.parametrize("size", [(32, 32), (24, 60)])
def test_depth_of_whole_streets_against_ray_casting(size: tuple[int, int]) -> None:
    """Every pixel of nine streets against the shapes in space; painting order hides nearly nothing that is nearer."""
    scenes = [make_scene("test", i) for i in ITEMS]
    painted, nearest = np.moveaxis(np.array([cast(scene, *size) for scene in scenes]), 1, 0)
    _, mask, depth = draw(scenes, *size)
    expected = np.where(painted < np.inf, np.minimum(painted, FAR), np.nan)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(depth), mask == SKY)
    assert 0 < (nearest < painted * (1 - 1e-9)).mean() < 0.01


def test_a_prepared_data_set_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distance that cannot be is refused."""
    settings = DataSettings("toy_streets", (24, 40), train=3, validation=2, test=2)
    prepare(settings, tmp_path)
    arrays = read_prepared(tmp_path, "train")
    np.testing.assert_array_equal(arrays["depth"], draw([make_scene("train", i) for i in range(3)], 24, 40)[2])
    for wrong in (0.0, -1.0, np.inf):
        monkeypatch.setattr(toy_streets, "load", lambda *_: {**arrays, "depth": np.full_like(arrays["depth"], wrong)})  # noqa: B023
        with pytest.raises(UserError, match="toy_streets: train: depth has"):
            prepare(settings, tmp_path)
