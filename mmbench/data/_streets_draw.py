"""Draw a toy street."""

from __future__ import annotations

import numpy as np

from mmbench.data import _streets_things as things
from mmbench.data import _streets_town as town
from mmbench.data._streets_camera import MARKING, PAVEMENT, ROAD, Painter
from mmbench.data._streets_light import develop
from mmbench.data._streets_scene import Scene


def draw(scene: Scene, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene at a size.

    Returns:
        image uint8 (3, height, width) and mask uint8 (height, width), the class at each pixel's centre.
    """
    painter = Painter(scene, height, width)
    town.sky(painter)
    town.ground(painter)
    for building in sorted(scene.buildings, key=lambda b: -b.near):
        town.building(painter, building)
    things.paint_things(painter)
    image = develop(painter.canvas, scene, painter.light, painter.glows, (ROAD, MARKING, PAVEMENT))
    return image, painter.canvas.mask()
