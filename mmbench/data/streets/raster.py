"""A point-sampling rasteriser in numpy for many small images at once.

Each pixel is sampled on a grid of FACTOR x FACTOR points. The image is the mean of the samples' colours, the mask is
the class of the middle sample, which lies exactly on the pixel's centre because FACTOR is odd, and the depth is that of
the same sample: all come from one raster and cannot be shifted against each other. Rows of samples are staggered within
a pixel, so that upright edges have FACTOR^2 shades instead of FACTOR; the middle row is not staggered.

Every shape is convex, so it covers one span of a row of samples. The spans of all shapes of all images are computed
together and written in painting order by one assignment, in which later values overwrite earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmbench.data.streets.depth import depth_at_centres, planes
from mmbench.data.streets.record import BACKDROP, ELLIPSE, GRID, GROUND, SHADOW, SHAPE, SKY_ELLIPSE, SKY_QUAD, Shapes

FACTOR = 3
#: The factors of the camera's position and direction.
CAMERA = ("vanishing_x", "vanishing_y", "focal", "camera_height", "camera_x")


@dataclass(frozen=True)
class Raster:
    """The samples of n images.

    Attributes:
        ids: the shape of each sample, 0 for bare sky, int (n, rows, columns).
        shadow: the samples that lie in shadow if they show ground, bool (n, rows, columns).
        paint: class, red, green, blue and shade of each shape; row 0 is the bare sky.
        picture: the image of each shape.
        middle: distance of each shape's middle in metres, which determines its haze; negative for ground, 0 for things
            in the sky.
        planes: inverse depth of each shape, see `planes`; NaN for the bare sky.
    """

    ids: np.ndarray
    shadow: np.ndarray
    paint: np.ndarray
    picture: np.ndarray
    middle: np.ndarray
    planes: np.ndarray

    def mask(self) -> np.ndarray:
        """The class of the sample at each pixel's centre, uint8 (n, height, width)."""
        return self.paint[:, 0].astype(np.uint8)[self._centres()]

    def depth(self) -> np.ndarray:
        """The depth in metres of the sample at each pixel's centre, float32 (n, height, width); NaN for the sky."""
        return depth_at_centres(self._centres(), self.planes)

    def _centres(self) -> np.ndarray:
        return self.ids[:, FACTOR // 2 :: FACTOR, FACTOR // 2 :: FACTOR]


def rasterise(recorded: Sequence[Shapes], height: int, width: int) -> Raster:
    """Sample images of height x width pixels; x runs from -aspect/2 to aspect/2, y from 0 down to 1."""
    shapes, picture = _collect(recorded)
    cameras = np.array([[r.scene.factors[name] for name in CAMERA] for r in recorded])[picture]
    corners, middle = _project(shapes, cameras)
    rows, columns = height * FACTOR, width * FACTOR
    corners *= rows
    corners[:, :, 0] += columns / 2
    kind = shapes[:, 10]
    round_ = (kind == ELLIPSE) | (kind == SKY_ELLIPSE)
    which, row, left, right = _spans(corners, round_, rows, columns)
    below = np.arange(rows) + 0.5 >= rows * np.array([[r.scene.factors["vanishing_y"]] for r in recorded])
    ids = np.empty((len(recorded), rows, columns), np.intp)
    ids[:] = (below * (np.flatnonzero(kind == BACKDROP) + 1)[:, None])[..., None]
    shadow = np.zeros(ids.shape, bool)
    start = (picture[which] * rows + row) * columns + left
    dark = kind[which] == SHADOW
    for chosen, target in ((~dark, ids), (dark, shadow)):
        _fill(target, start[chosen], (right - left)[chosen], which[chosen] + 1)
    sky = np.array([[0, 0, 0, 0, -1.0]])
    return Raster(
        ids,
        shadow,
        paint=np.concatenate([sky, shapes[:, 11:]]),
        picture=np.append(0, picture),
        middle=np.append(0, middle),
        planes=np.hstack([np.full((3, 1), np.nan), planes(shapes, cameras)]),
    )


def _collect(recorded: Sequence[Shapes]) -> tuple[np.ndarray, np.ndarray]:
    """All shapes in painting order, including those of the grids, and the image of each."""
    parts = [np.fromiter(r.shapes, float, len(r.shapes)).reshape(-1, SHAPE) for r in recorded]
    grids = [np.fromiter(r.grids, float, len(r.grids)).reshape(-1, GRID) for r in recorded]
    offsets = np.cumsum([0] + [len(p) for p in parts[:-1]])
    shapes, grid = np.concatenate(parts), np.concatenate(grids)
    picture = np.repeat(np.arange(len(recorded)), [len(p) for p in parts])
    on = np.repeat(np.arange(len(recorded)), [len(g) for g in grids])
    bits = np.array([b for r in recorded for b in r.lit], np.uint64)
    cells, owner = _cells(grid, bits)
    # A grid's cells come just before the shape that was recorded after it, in the order of recording.
    position = np.concatenate([np.arange(len(shapes)), (offsets[on] + grid[:, 0])[owner] - 0.5])
    order = np.argsort(position, kind="stable")
    return np.concatenate([shapes, cells])[order], np.concatenate([picture, on[owner]])[order]


def _cells(grid: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rectangles of all grids as shapes, and the grid of each."""
    bays, storeys = grid[:, 6].astype(np.int64), grid[:, 7].astype(np.int64)
    count = bays * storeys
    owner = np.repeat(np.arange(len(grid)), count)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    bay, storey = index % bays[owner], index // bays[owner]
    _, x, y0, y1, z0, z1, _, _, wide, high, *_ = grid[owner].T
    step_z, step_y = (z1 - z0) / bays[owner], (y1 - y0) / storeys[owner]
    near, far = (z0 + (bay + 0.5 + s * wide / 2) * step_z for s in (-1, 1))
    low, top = (y0 + (storey + 0.5 + s * high / 2) * step_y for s in (-1, 1))
    lit = (bits[owner] >> ((bay * 7 + storey * 13) & 63).astype(np.uint64)) & np.uint64(1)
    paint = np.where(lit[:, None], grid[owner, 15:20], grid[owner, 10:15])
    return np.column_stack([x, top, x, low, near, x, top, x, low, far, np.zeros(len(x)), paint]), owner


def _project(shapes: np.ndarray, cameras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners (p, 4, 2) of each shape in image heights, in order, and the distance of its middle, see `Raster`."""
    vx, vy, focal, eye, x0 = cameras.T[:, :, None]
    edge = shapes[:, :10].reshape(-1, 2, 5)
    kind = shapes[:, 10]
    scale = focal / edge[:, :, 4]
    x, y = edge[:, :, 0:4:2], edge[:, :, 1:4:2]
    flat_sky = (kind == SKY_QUAD) | (kind == SKY_ELLIPSE)
    keep = flat_sky[:, None, None]
    px = np.where(keep, x, vx[:, None] + scale[..., None] * (x - x0[:, None]))
    py = np.where(keep, y, vy[:, None] + scale[..., None] * (eye[:, None] - y))
    corners = np.stack([px, py], axis=-1).reshape(-1, 4, 2)[:, (0, 1, 3, 2)]
    middle = np.where((kind == GROUND) | (kind == BACKDROP), -1.0, np.where(flat_sky, 0.0, edge[:, :, 4].mean(axis=1)))
    return corners, middle


def _spans(
    corners: np.ndarray, round_: np.ndarray, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The shape, row, first column and end column of every span that holds a sample, in painting order."""
    x, y = corners[..., 0], corners[..., 1]
    radius = np.abs(corners[:, 1] - corners[:, 0])
    top = np.where(round_, y[:, 0] - radius[:, 1], y.min(axis=1))
    bottom = np.where(round_, y[:, 0] + radius[:, 1], y.max(axis=1))
    first = np.clip(np.ceil(top - 0.5), 0, rows).astype(np.int64)
    count = np.clip(np.ceil(bottom - 0.5), 0, rows).astype(np.int64) - first
    reach = np.where(round_, radius[:, 0], 0)
    count[(x.max(axis=1) + reach < 0) | (x.min(axis=1) - reach > columns)] = 0
    which = np.repeat(np.arange(len(x)), count)
    row = np.arange(len(which)) - np.repeat(np.cumsum(count) - count - first, count)
    left, right = np.empty(len(which)), np.empty(len(which))
    level = (y[:, 0] == y[:, 1]) & (y[:, 2] == y[:, 3])
    _chords(x, y, which, row + 0.5, level, (left, right))
    ring = np.flatnonzero(round_[which])
    disc = which[ring]
    half = 1 - ((row[ring] + 0.5 - y[disc, 0]) / radius[disc, 1]) ** 2
    half = np.where(half > 0, radius[disc, 0] * np.sqrt(np.maximum(half, 0)), -1.0)
    left[ring], right[ring] = x[disc, 0] - half, x[disc, 0] + half
    shift = 0.5 + (row % FACTOR - FACTOR // 2) / FACTOR
    start = np.clip(np.ceil(left - shift), 0, columns).astype(np.int64)
    end = np.clip(np.ceil(right - shift), 0, columns).astype(np.int64)
    seen = np.flatnonzero(end > start)
    return which[seen], row[seen], start[seen], end[seen]


def _chords(
    x: np.ndarray,
    y: np.ndarray,
    which: np.ndarray,
    at: np.ndarray,
    level: np.ndarray,
    out: tuple[np.ndarray, np.ndarray],
) -> None:
    """Write to `out` where the rows `at` enter and leave the quadrilaterals `which`.

    Quadrilaterals that are `level` lie between two level edges.
    """
    left, right = out
    run = np.where(level, y[:, 3] - y[:, 0], 1.0)
    run[run == 0] = 1.0
    for target, a, b in ((left, 0, 3), (right, 1, 2)):
        slope = (x[:, b] - x[:, a]) / run
        target[:] = (x[:, a] - slope * y[:, 0])[which] + slope[which] * at
    rest = np.flatnonzero(~level[which])
    which, at = which[rest], at[rest]
    low, high = np.full(len(which), np.inf), np.full(len(which), -np.inf)
    for a in range(4):
        b = (a + 1) % 4
        run = np.where(y[:, a] == y[:, b], 1.0, y[:, b] - y[:, a])
        slope = (x[:, b] - x[:, a]) / run
        ya, yb = y[:, a][which], y[:, b][which]
        hit = (ya <= at) != (yb <= at)
        crossing = (x[:, a] - slope * y[:, a])[which] + slope[which] * at
        np.minimum(low, crossing, out=low, where=hit)
        np.maximum(high, crossing, out=high, where=hit)
    left[rest], right[rest] = low, high


def _fill(target: np.ndarray, start: np.ndarray, length: np.ndarray, value: np.ndarray) -> None:
    """Write `value` to `length` samples from `start` on; where spans overlap, the last one counts."""
    offset = np.repeat(start - (np.cumsum(length) - length), length)
    offset += np.arange(len(offset))
    target.reshape(-1)[offset] = np.repeat(value, length)
