"""Depth of toy streets: exact, of the same surface as the mask, none for the sky."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mmbench.data import DataSettings, read_prepared, toy_streets
from mmbench.data.streets.develop import draw, record
from mmbench.data.streets.plan import make_scene
from mmbench.data.streets.raster import _collect, rasterise
from mmbench.data.streets.record import (
    BACKDROP,
    BUILDING,
    CAR,
    ELLIPSE,
    FAR,
    MARKING,
    PAVEMENT,
    ROAD,
    SHADOW,
    SIGN,
    SKY,
    SKY_ELLIPSE,
    SKY_QUAD,
    Shapes,
)
from mmbench.data.streets.scene import Scene
from mmbench.errors import UserError
from mmbench.stages.data import prepare

#: One test item of each label.
ITEMS = (405, 76, 13, 100, 338, 284, 373, 89, 59)
BLACK = (0.0, 0.0, 0.0)


def bare_scene() -> Scene:
    """A day that is looked at along Z with focal length 0.8 from (0.5, 3) metres."""
    scene = make_scene("train", 0)
    scene.factors.update(
        time=0, weather=0, vanishing_x=0.03, vanishing_y=0.41, focal=0.8, camera_height=3.0, camera_x=0.5, haze=0.0
    )
    return scene


def paint(height: int, width: int, *shapes: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Depth and mask of a picture of the bare scene that consists of the sky, the ground and the given shapes."""
    recorded = Shapes(bare_scene(), width / height)
    recorded.backdrop((PAVEMENT, *BLACK, 1.0))
    for method, *arguments in shapes:
        getattr(recorded, method)(*arguments)
    raster = rasterise([recorded], height, width)
    return raster.depth()[0], raster.mask()[0]


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


def test_ground_against_the_height_of_the_camera() -> None:
    """Z = focal x height / (y - horizon), whatever the column."""
    height, width = 24, 30
    depth, mask = paint(height, width)
    below = (np.arange(height) + 0.5) / height - 0.41
    expected = np.where(below > 0, 0.8 * 3.0 / np.where(below > 0, below, 1.0), np.nan)[:, None] * np.ones(width)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, expected, rtol=1e-7)
    np.testing.assert_array_equal(np.isnan(depth), mask == SKY)


def test_the_world_ends_before_the_horizon() -> None:
    """A row whose centre is 1/1000 of the height below the horizon would see the ground 2,400 metres away."""
    depth, mask = paint(500, 4)
    assert mask[205, 0] == PAVEMENT
    assert depth[205, 0] == FAR
    np.testing.assert_allclose(depth[250, 0], 0.8 * 3.0 / (250.5 / 500 - 0.41), rtol=1e-7)


def test_a_box_against_its_three_planes() -> None:
    """A box from (2, 0, 9) to (4.5, 1.6, 15): its front at Z = 9, its left side at X = 2, its top at Y = 1.6."""
    depth, mask = paint(96, 96, ("box", CAR, BLACK, (2.0, 4.5), (0.0, 1.6), (9.0, 15.0)))
    ray = rays(bare_scene(), 96, 96)
    eye = np.array([0.5, 3.0, 0.0])
    candidates = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis, plane in ((2, 9.0), (0, 2.0), (1, 1.6)):
            z = (plane - eye[axis]) / ray[..., axis]
            at = eye + z[..., None] * ray
            low, high = np.array([2.0, 0.0, 9.0]) - 1e-9, np.array([4.5, 1.6, 15.0]) + 1e-9
            candidates.append(np.where(((at >= low) & (at <= high)).all(axis=-1), z, np.inf))
    expected = np.min(candidates, axis=0)
    car = expected < np.inf
    np.testing.assert_array_equal(mask == CAR, car)
    np.testing.assert_allclose(depth[car], expected[car], rtol=1e-7)
    for face in candidates:
        assert (car & (face == expected)).sum() > 20  # each is seen


def test_a_pitched_roof_against_its_plane() -> None:
    """From (3, 4) up to (7, 6.8): 2.8 X - 4 Y = -7.6."""
    depth, mask = paint(96, 96, ("slope", (BUILDING, *BLACK, 1.0), (3.0, 4.0), (7.0, 6.8), (12.0, 30.0)))
    ray = rays(bare_scene(), 96, 96)
    expected = (-7.6 - 2.8 * 0.5 + 4 * 3.0) / (2.8 * ray[..., 0] - 4 * ray[..., 1])
    roof = mask == BUILDING
    assert roof.sum() > 40
    np.testing.assert_allclose(depth[roof], expected[roof], rtol=1e-7)


def test_things_that_face_the_camera_have_one_depth() -> None:
    depth, mask = paint(
        64, 64, ("round", (SIGN, *BLACK, 1.0), 0.5, 2.5, 7.0, 0.5, 0.5), ("front", (CAR, *BLACK, 1), (1, 2), (1, 2), 5)
    )
    assert set(depth[mask == SIGN]) == {np.float32(7)}
    assert set(depth[mask == CAR]) == {np.float32(5)}


def test_clouds_and_the_sun_have_none() -> None:
    depth, mask = paint(
        32,
        32,
        ("round", (SKY, *BLACK, -1.0), 0.0, 0.2, 1.0, 0.1, 0.1, SKY_ELLIPSE),
        ("front", (SKY, *BLACK, -1.0), (-0.4, 0.4), (0.02, 0.3), 1.0, SKY_QUAD),
    )
    np.testing.assert_array_equal(np.isnan(depth), mask == SKY)


def test_a_nearer_thing_hides_and_never_adds_depth() -> None:
    """Things put into a street one after the other, far to near: no pixel's depth grows, and each thing is seen."""
    things = [("box", CAR, BLACK, (-2.5, 0.0), (0.3, 1.5 + 0.1 * z), (z, z + 4.0)) for z in (40.0, 25.0, 15.0, 8.0)]
    before = np.where(np.isnan(depth := paint(64, 64)[0]), np.inf, depth)
    for k in range(1, 5):
        depth, _ = paint(64, 64, *things[:k])
        after = np.where(np.isnan(depth), np.inf, depth)
        assert (after <= before).all() and (after < before).any()
        before = after


@pytest.mark.parametrize("size", [(32, 32), (24, 60)])
def test_whole_streets_against_ray_casting(size: tuple[int, int]) -> None:
    """Every pixel of nine streets against the shapes in space; painting order hides nearly nothing that is nearer."""
    scenes = [make_scene("test", i) for i in ITEMS]
    painted, nearest = np.moveaxis(np.array([cast(scene, *size) for scene in scenes]), 1, 0)
    depth = draw(scenes, *size)[2]
    expected = np.where(painted < np.inf, np.minimum(painted, FAR), np.nan)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    hidden = (nearest < painted * (1 - 1e-9)).mean()
    assert 0 < hidden < 0.01


@pytest.mark.parametrize("size", [(32, 32), (24, 60)])
def test_depth_agrees_with_the_mask(size: tuple[int, int]) -> None:
    """Sky has none and all else has one; the ground's is that of its row, and nothing lies below the ground."""
    scenes = [make_scene("validation", i) for i in range(180)]
    _, mask, depth = draw(scenes, *size)
    np.testing.assert_array_equal(np.isnan(depth), mask == SKY)
    seen = depth[mask != SKY]
    assert seen.min() > 1 and seen.max() <= FAR
    ground = np.array([cast_ground(scene, *size) for scene in scenes])
    level = np.isin(mask, (ROAD, MARKING, PAVEMENT))
    np.testing.assert_allclose(depth[level], np.minimum(ground, FAR)[level], rtol=1e-6)
    assert (depth[mask != SKY] <= ground[mask != SKY] * (1 + 1e-6)).all()


def cast_ground(scene: Scene, height: int, width: int) -> np.ndarray:
    """Depth of the bare ground, infinite above the horizon."""
    up = rays(scene, height, width)[..., 1]
    return np.where(up < 0, scene.factors["camera_height"] / np.where(up < 0, -up, 1.0), np.inf)


def test_another_size_sees_the_same_depth() -> None:
    """Every third pixel of a picture three times as large has its centre where the smaller one's pixel has it."""
    scenes = [make_scene("train", i) for i in range(20)]
    (_, small_mask, small), (_, large_mask, large) = draw(scenes, 32, 40), draw(scenes, 96, 120)
    same = large_mask[:, 1::3, 1::3] == small_mask
    assert same.mean() > 0.999  # some centres lie on an edge
    np.testing.assert_allclose(large[:, 1::3, 1::3][same], small[same], rtol=1e-5)


def test_the_same_depth_to_the_bit() -> None:
    depth = draw([make_scene("test", i) for i in ITEMS], 32, 32)[2]
    assert hashlib.sha256(depth.astype("<f4").tobytes()).hexdigest()[:16] == "bece47d64d72e9ce"


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
