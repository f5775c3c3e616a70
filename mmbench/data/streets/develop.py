"""Turns samples into images: light, haze, averaging, wet roads, rain, glow and tone, for many images at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mmbench.data.streets.raster import CAMERA, FACTOR, Raster, rasterise
from mmbench.data.streets.record import SKY, Shapes
from mmbench.data.streets.scene import Scene
from mmbench.data.streets.things import record_things
from mmbench.data.streets.town import record_town

SHADOW = np.float32(0.62)
F = np.float32


def draw(scenes: Sequence[Scene], height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw scenes at a size.

    Returns:
        The image, uint8 (n, 3, height, width); the class at each pixel's centre, uint8 (n, height, width); and its
        depth in metres along the camera's axis, float32 (n, height, width), NaN for the sky.
    """
    recorded = [record(scene, width / height) for scene in scenes]
    raster = rasterise(recorded, height, width)
    mask = raster.mask()
    image = _expose(recorded, raster)
    for picture, shapes in zip(image, recorded, strict=True):
        if shapes.light.weather == 1:
            _wet(picture, shapes)
    image = image[:, :3]
    _add_glows(image, recorded, mask)
    for picture, shapes in zip(image, recorded, strict=True):
        if len(shapes.scene.streaks):
            _rain(picture, shapes)
    grey = np.tensordot(image, np.array((0.299, 0.587, 0.114), F), (1, 0))[:, None]
    saturation = np.array([s.factors["saturation"] for s in scenes], F)[:, None, None, None]
    image = grey + saturation * (image - grey)
    return np.clip(image + F(0.5), 0, 255).astype(np.uint8), mask, raster.depth()


def record(scene: Scene, aspect: float) -> Shapes:
    """The shapes of a scene in painting order, as far as an image `aspect` times as wide as high may show them."""
    shapes = Shapes(scene, aspect)
    record_town(shapes)
    record_things(shapes)
    return shapes


def _expose(recorded: Sequence[Shapes], raster: Raster) -> np.ndarray:
    """The mean colour of each pixel with haze, and as fourth channel its share of ground, float32 (n, 4, h, w)."""
    horizon, zenith, white = (
        np.array([getattr(r.light, name) for r in recorded], F) for name in ("horizon", "zenith", "white")
    )
    fog, eye, focal, vy = (
        np.array([r.scene.factors[name] for r in recorded], F)[:, None]
        for name in ("haze", "camera_height", "focal", "vanishing_y")
    )
    n, rows, columns = raster.ids.shape
    height, which = rows // FACTOR, _shaded(raster)
    y = (np.arange(rows, dtype=F) + F(0.5)) / F(rows)
    haze = np.exp(-fog * focal * eye / np.maximum(y - vy, F(1e-3)))  # of the ground, by row
    table = _table(raster, horizon, white, fog[:, 0])
    ground = np.take(table[3], which)
    clear = 1 + ground * (haze - 1)[..., None]
    image = np.empty((n, 4, height, columns // FACTOR), F)
    for channel in range(3):
        image[:, channel] = _average(np.take(table[channel], which) * clear)
    image[:, 3] = _average(ground)
    sky = _average((raster.ids == 0).astype(F))
    up = np.clip(1 - (np.arange(height, dtype=F) + F(0.5)) / F(height) / vy, 0, 1) ** F(0.8)
    gradient = up[:, None, :, None] * (zenith - horizon)[:, :, None, None]
    image[:, :3] += horizon[:, :, None, None] + sky[:, None] * gradient
    return image


def _shaded(raster: Raster) -> np.ndarray:
    """The row of `_table` for each sample; ground in shadow uses the second half."""
    rows = raster.ids.copy()
    dark = np.flatnonzero(raster.shadow)
    shape = raster.ids.reshape(-1)[dark]
    rows.reshape(-1)[dark] += len(raster.middle) * (raster.middle < 0)[shape]
    return rows


def _table(raster: Raster, horizon: np.ndarray, white: np.ndarray, fog: np.ndarray) -> np.ndarray:
    """Each shape's colour minus the horizon's, dimmed by haze, and 1 for ground; then again in shadow; (4, 2 p)."""
    shade, picture = raster.paint[:, 4:].astype(F), raster.picture
    light = np.where(shade < 0, F(1), white[picture] * shade)
    colour = np.minimum(raster.paint[:, 1:4].astype(F) * light, F(255))
    clear = np.exp(-fog[picture] * np.maximum(raster.middle, 0).astype(F))[:, None]
    lit, dark = ((colour * part - horizon[picture]) * clear for part in (F(1), SHADOW))
    lit[0] = 0
    ground = (raster.middle < 0)[:, None].astype(F)
    return np.concatenate([np.hstack([lit, ground]), np.hstack([dark, ground])]).T.copy()


def _average(samples: np.ndarray) -> np.ndarray:
    """Mean over each pixel's samples: (n, rows, columns) to (n, h, w)."""
    down = samples[:, ::FACTOR].copy()
    for k in range(1, FACTOR):
        down += samples[:, k::FACTOR]
    mean = down[:, :, ::FACTOR].copy()
    for k in range(1, FACTOR):
        mean += down[:, :, k::FACTOR]
    mean *= F(1 / FACTOR**2)
    return mean


def _wet(image: np.ndarray, shapes: Shapes) -> None:
    """Mirror what stands above a wet ground in it, blurred over a few rows."""
    height, horizon = image.shape[1], shapes.scene.factors["vanishing_y"]
    rows = np.arange(height)
    mirrored = np.clip((2 * horizon * height - rows).astype(np.int64), 0, height - 1)
    reflection = (image[:3, mirrored] + image[:3, np.maximum(mirrored - height // 16, 0)]) / 2
    share = F(0.34) * image[3] * (rows > horizon * height)[:, None]
    image[:3] += share * (reflection - image[:3])


def _add_glows(image: np.ndarray, recorded: Sequence[Shapes], mask: np.ndarray) -> None:
    """Add every glow: a round Gaussian of its colour, faint around a sun or moon that something hides."""
    n, _, height, width = image.shape
    owner = np.repeat(np.arange(n), [len(r.glows) for r in recorded])
    x, y, z, radius, *colour = np.array([glow for r in recorded for glow in r.glows]).reshape(-1, 7).T
    names = (*CAMERA, "haze")
    vx, vy, focal, eye, x0, fog = np.array([[r.scene.factors[name] for name in names] for r in recorded])[owner].T
    flat = z == 0
    scale = focal / np.where(flat, 1, z)
    x, y = np.where(flat, x, vx + scale * (x - x0)), np.where(flat, y, vy + scale * (eye - y))
    radius = np.where(flat, radius, np.minimum(radius * scale, 0.2))[:, None]
    row, column = np.clip(y * height, 0, height - 1), np.clip(x * height + width / 2, 0, width - 1)
    hidden = flat & (mask[owner, row.astype(np.int64), column.astype(np.int64)] != SKY)
    strength = (np.exp(-fog * z) * np.where(hidden, 0.3, 1.0))[:, None] * np.array(colour).T
    down = np.exp(-((((np.arange(height) + 0.5) / height - y[:, None]) / radius) ** 2)).astype(F)
    across = np.exp(-((((np.arange(width) + 0.5 - width / 2) / height - x[:, None]) / radius) ** 2))
    spread = (strength[:, :, None] * across[:, None]).astype(F)  # (glows, 3, w)
    ends = np.searchsorted(owner, np.arange(n + 1))
    for k, (start, end) in enumerate(pairwise(ends)):
        image[k] += down[start:end].T @ spread[start:end].transpose(1, 0, 2)


def _rain(image: np.ndarray, shapes: Shapes) -> None:
    """Add slanted streaks, linear in x between two columns, so that their brightness does not depend on the size."""
    _, height, width = image.shape
    steps = max(2, height // 8)
    x0, y0, length = shapes.scene.streaks.T[:, :, None]
    along = (np.arange(steps) + 0.5) / steps * length
    y = (y0 + along) * height
    x = (x0 + along * shapes.scene.factors["rain_slope"]) * height + width / 2
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    weight = np.broadcast_to(length * (height / steps * min(1.0, 0.011 * height) * 0.55), x.shape)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    part, weight, at = (x - column)[inside], weight[inside], (row * (width + 1) + column)[inside]
    cells = height * (width + 1)
    alpha = np.bincount(at, weight * (1 - part), cells) + np.bincount(at + 1, weight * part, cells)
    alpha = np.minimum(alpha.reshape(height, width + 1)[:, :width], 0.5).astype(F)
    bright = np.minimum(np.array(shapes.light.horizon, F) * F(0.5) + F(110), F(255))[:, None, None]
    image += alpha * (bright - image)
