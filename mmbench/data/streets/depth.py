"""The depth of a toy street's shapes: the plane of each shape, as its inverse depth in the image.

Depth is Z, metres along the camera's axis, not along the ray to the pixel. The 1 / Z of a plane is linear in the
image's x and y, so three numbers give it exactly at every point of a shape. Data sets of stereo and depth cameras also
use Z.
"""

from __future__ import annotations

import numpy as np

from mmbench.data.streets.record import BACKDROP, FAR, SKY_ELLIPSE, SKY_QUAD


def planes(shapes: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Inverse depth 1 / Z = a + b x + c y of each shape at a point (x, y) of the image, in image heights.

    A shape either faces the camera, at one Z, or runs along the street: then its edges differ only in Z, and its plane
    is (X - x0) dy = (Y - y0) dx, with (x0, y0) and (dx, dy) the beginning and the direction of an edge.

    Args:
        shapes: float (p, SHAPE).
        cameras: the factors `raster.CAMERA` of each shape's scene, float (p, 5).

    Returns:
        a, b, c, float (3, p) in 1/m; NaN for things in the sky, which have no place in the street.
    """
    vx, vy, focal, eye, camera_x = cameras.T
    x0, y0, x1, y1, z = shapes[:, :5].T
    kind = shapes[:, 10]
    along = (z != shapes[:, 9]) | (kind == BACKDROP)
    dx, dy = np.where(kind == BACKDROP, 1.0, x1 - x0), y1 - y0
    # X = camera_x + Z (x - vx) / focal and Y = eye - Z (y - vy) / focal, put into the plane:
    # 1 / Z = ((x - vx) dy + (y - vy) dx) / (focal ((x0 - camera_x) dy + (eye - y0) dx))
    base = focal * ((x0 - camera_x) * dy + (eye - y0) * dx)
    part = np.divide(1.0, base, out=np.zeros(len(base)), where=along & (base != 0))  # 0 is seen edge-on: nowhere
    b, c = dy * part, dx * part
    a = np.where(along, -(vx * b + vy * c), 1 / z)
    a[(kind == SKY_QUAD) | (kind == SKY_ELLIPSE)] = np.nan
    return np.stack([a, b, c])


def depth_at_centres(seen: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """The depth of the shape at each pixel's centre.

    Args:
        seen: the shape at each pixel's centre, int (n, height, width).
        planes: the planes of the shapes, see `planes`, float (3, p).

    Returns:
        Metres, float32 (n, height, width), above 0; NaN for the sky. Ground between FAR and the horizon counts as FAR.
    """
    height, width = seen.shape[1:]
    x = (np.arange(width) + 0.5 - width / 2) / height
    y = (np.arange(height)[:, None] + 0.5) / height
    a, b, c = (np.take(number, seen) for number in planes)
    inverse = a + b * x + c * y
    return (1 / np.maximum(inverse, 1 / FAR)).astype(np.float32)
