"""Records the shapes of a toy street in painting order, in metres."""

from __future__ import annotations

from mmbench.data.streets.light import Light
from mmbench.data.streets.scene import Colour, Scene

CLASSES = ("sky", "building", "road", "marking", "pavement", "tree", "car", "person", "pole", "sign")
SKY, BUILDING, ROAD, MARKING, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN = range(len(CLASSES))
#: The largest distance in metres of anything in the scene.
FAR = 400.0

#: The kinds of shapes. The camera projects the first two; the next two are in image heights already. GROUND has the
#: haze of its row, BACKDROP is ground that fills everything below the horizon behind all other shapes, and SHADOW
#: darkens the ground that is visible in the end.
QUAD, ELLIPSE, SKY_QUAD, SKY_ELLIPSE, GROUND, BACKDROP, SHADOW = range(7)
#: Numbers of a shape: two edges (x, y, x, y, z) each, kind, class, red, green, blue, shade.
SHAPE = 16
#: Numbers of a grid: position, x, y0, y1, z0, z1, bays, storeys, width, height, then two paints.
GRID = 20
#: Class, red, green, blue, shade; a negative shade shines by itself.
Paint = tuple[float, float, float, float, float]
Span = tuple[float, float]


class Shapes:
    """The shapes, grids of windows and glows of one scene. X is right, Y up, Z away from the camera, in metres."""

    def __init__(self, scene: Scene, aspect: float) -> None:
        self.scene, self.light, self.edge = scene, Light(scene), aspect / 2
        self.eye, self.x0 = scene.factors["camera_height"], scene.factors["camera_x"]
        self.vx, self.focal = scene.factors["vanishing_x"], scene.factors["focal"]
        self.shapes: list[float] = []
        self.grids: list[float] = []
        #: One 64-bit number for each grid: which of its windows are lit.
        self.lit: list[int] = []
        #: X, Y, Z, radius in metres, colour; Z = 0 for image coordinates.
        self.glows: list[tuple[float, ...]] = []

    def sees(self, left: float, right: float, z: float) -> bool:
        """Whether anything from X = left to right, Z metres away, can be in the image."""
        scale = self.focal / z
        return self.vx + scale * (left - self.x0) < self.edge and self.vx + scale * (right - self.x0) > -self.edge

    def front(self, paint: Paint, x: Span, y: Span, z: float, kind: int = QUAD) -> None:
        """An upright rectangle that faces the camera."""
        self.shapes.extend((x[0], y[1], x[1], y[1], z, x[0], y[0], x[1], y[0], z, kind, *paint))

    def taper(self, paint: Paint, x: float, y: Span, top: float, bottom: float, z: float) -> None:
        """An upright, symmetric trapezoid of half widths `top` and `bottom` that faces the camera."""
        self.shapes.extend(
            (x - top, y[1], x + top, y[1], z, x - bottom, y[0], x + bottom, y[0], z, QUAD, *paint)
        )  # fmt: skip

    def round(self, paint: Paint, x: float, y: float, z: float, rx: float, ry: float, kind: int = ELLIPSE) -> None:
        """An upright ellipse of radii rx and ry that faces the camera."""
        self.shapes.extend((x, y, x + rx, y + ry, z, x, y, x, y, z, kind, *paint))

    def flank(self, paint: Paint, x: float, y: Span, z: Span) -> None:
        """An upright rectangle along the street, at X = x."""
        self.shapes.extend((x, y[1], x, y[0], z[0], x, y[1], x, y[0], z[1], QUAD, *paint))

    def flat(self, paint: Paint, x: Span, y: float, z: Span, kind: int = QUAD) -> None:
        """A level rectangle."""
        self.shapes.extend((x[0], y, x[1], y, z[1], x[0], y, x[1], y, z[0], kind, *paint))

    def slope(self, paint: Paint, low: Span, high: Span, z: Span) -> None:
        """A rectangle along the street that rises from (x, y) = low to high."""
        self.shapes.extend((*low, *high, z[0], *low, *high, z[1], QUAD, *paint))

    def backdrop(self, paint: Paint) -> None:
        """Ground up to the horizon; each scene has one."""
        self.flat(paint, (0, 0), 0, (1, 1), BACKDROP)

    def shadow(self, x: Span, z: Span) -> None:
        """Shadow on a rectangle of the ground."""
        self.flat((PAVEMENT, 0, 0, 0, 1), x, 0, z, SHADOW)

    def grid(
        self, x: float, y: Span, z: Span, count: tuple[int, int], share: Span, dark: Paint, lit: Paint, bits: int
    ) -> None:
        """Bays x storeys rectangles on the wall at X = x; `share` is their width and height as a share of the cell.

        Those whose bit is set are painted `lit`. Their place is after the shapes recorded so far.
        """
        self.grids.extend((len(self.shapes) // SHAPE, x, *y, *z, *count, *share, *dark, *lit))
        self.lit.append(bits)

    def box(self, cls: int, colour: Colour, x: Span, y: Span, z: Span) -> None:
        """The visible faces of an axis-parallel box."""
        if self.x0 < x[0]:
            self.flank((cls, *colour, self.light.side(-1) * 0.86), x[0], y, z)
        elif self.x0 > x[1]:
            self.flank((cls, *colour, self.light.side(1) * 0.86), x[1], y, z)
        if self.eye > y[1]:
            self.flat((cls, *colour, 1.1), x, y[1], z)
        self.front((cls, *colour, 0.94), x, y, z[0])

    def glow(self, x: float, y: float, z: float, radius: float, colour: Colour) -> None:
        """A light that shines on its surroundings."""
        self.glows.append((x, y, z, radius, *colour))
