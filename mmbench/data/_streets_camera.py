"""The camera of a toy street and the primitives drawn through it; far things are painted before near ones."""

from __future__ import annotations

from math import exp

import numpy as np

from mmbench.data._streets_canvas import Canvas, Colour
from mmbench.data._streets_light import Light
from mmbench.data._streets_scene import Scene

CLASSES = ("sky", "building", "road", "marking", "pavement", "tree", "car", "person", "pole", "sign")
SKY, BUILDING, ROAD, MARKING, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN = range(len(CLASSES))
Span = tuple[float, float]


class Painter:
    """A pinhole camera and a canvas. X and Y are metres right and up of the road's middle, Z metres away."""

    def __init__(self, scene: Scene, height: int, width: int) -> None:
        self.scene, self.canvas, self.light = scene, Canvas(height, width), Light(scene)
        factors = scene.factors
        self.vx, self.vy, self.focal = factors["vanishing_x"], factors["vanishing_y"], factors["focal"]
        self.eye, self.x0, self.fog = factors["camera_height"], factors["camera_x"], factors["haze"]
        #: Glows to add after averaging: (x, y, radius, colour).
        self.glows: list[tuple[float, float, float, Colour]] = []

    def px(self, x: float, z: float) -> float:
        """Image x of a point X metres right and Z metres away."""
        return self.vx + self.focal * (x - self.x0) / z

    def py(self, y: float, z: float) -> float:
        """Image y of a point Y metres up and Z metres away."""
        return self.vy + self.focal * (self.eye - y) / z

    def clear(self, z: float) -> float:
        """Share of the light that comes through the haze from Z metres away."""
        return exp(-self.fog * z)

    def new(self, cls: int, colour: Colour, shade: float = 1.0) -> int:
        """A material in this scene's light."""
        return self.canvas.material(cls, self.light.on(colour, shade))

    def front(self, material: int, x: Span, y: Span, z: float) -> None:
        """An upright rectangle that faces the camera."""
        region = self.canvas.rectangle(self.px(x[0], z), self.py(y[1], z), self.px(x[1], z), self.py(y[0], z))
        self.canvas.paint(region, material, self.clear(z))

    def round(self, material: int, x: float, y: float, z: float, rx: float, ry: float) -> None:
        """An upright ellipse of radii rx and ry metres that faces the camera."""
        scale = self.focal / z
        region = self.canvas.ellipse(self.px(x, z), self.py(y, z), rx * scale, ry * scale)
        self.canvas.paint(region, material, self.clear(z))

    def taper(self, material: int, x: float, y: Span, top: float, bottom: float, z: float) -> None:
        """An upright, symmetric trapezoid of half widths `top` and `bottom` that faces the camera."""
        region = self.canvas.level(self.py(y[1], z), self.px(x - top, z), self.px(x + top, z),
                                   self.py(y[0], z), self.px(x - bottom, z), self.px(x + bottom, z))  # fmt: skip
        self.canvas.paint(region, material, self.clear(z))

    def flank(self, material: int, x: float, y: Span, z: Span, haze: np.ndarray | float | None = None) -> None:
        """An upright rectangle along the street, at X = x from Z = z[0] to z[1]."""
        region = self.canvas.upright(self.px(x, z[0]), self.py(y[1], z[0]), self.py(y[0], z[0]),
                                     self.px(x, z[1]), self.py(y[1], z[1]), self.py(y[0], z[1]))  # fmt: skip
        self.canvas.paint(region, material, self.clear(z[0]) if haze is None else haze)

    def flat(self, material: int, x: Span, y: float, z: Span) -> None:
        """A level rectangle, seen from above."""
        region = self.canvas.level(self.py(y, z[1]), self.px(x[0], z[1]), self.px(x[1], z[1]),
                                   self.py(y, z[0]), self.px(x[0], z[0]), self.px(x[1], z[0]))  # fmt: skip
        self.canvas.paint(region, material, self.clear(z[0]))

    def shadow(self, x: Span, z: Span) -> None:
        """Put a rectangle of the ground into shadow."""
        self.canvas.shade(self.canvas.level(self.py(0, z[1]), self.px(x[0], z[1]), self.px(x[1], z[1]),
                                            self.py(0, z[0]), self.px(x[0], z[0]), self.px(x[1], z[0])))  # fmt: skip

    def box(self, cls: int, colour: Colour, x: Span, y: Span, z: Span) -> None:
        """The visible faces of an axis-parallel box."""
        if self.x0 < x[0]:
            self.flank(self.new(cls, colour, self.light.side(-1) * 0.86), x[0], y, z)
        if self.x0 > x[1]:
            self.flank(self.new(cls, colour, self.light.side(1) * 0.86), x[1], y, z)
        if self.eye > y[1]:
            self.flat(self.new(cls, colour, 1.1), x, y[1], z)
        self.front(self.new(cls, colour, 0.94), x, y, z[0])

    def glow(self, x: float, y: float, z: float, radius: float, colour: Colour) -> None:
        """Light that spills over its surroundings, `radius` in metres."""
        red, green, blue = (c * self.clear(z) for c in colour)
        self.glows.append((self.px(x, z), self.py(y, z), radius * self.focal / z, (red, green, blue)))
