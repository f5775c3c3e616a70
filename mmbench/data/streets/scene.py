"""The parts of a toy street, in metres: X right and Y up from the middle of the road, Z away from the camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Colour = tuple[float, float, float]
Side = int  # -1 left, 1 right

VERSION = 1
TIMES = ("day", "dusk", "night")
WEATHERS = ("clear", "rain", "fog")
LABELS = tuple(f"{time}, {weather}" for time in TIMES for weather in WEATHERS)
FACTORS = (
    "time", "weather", "vanishing_x", "vanishing_y", "focal", "camera_height", "camera_x", "road_half_width",
    "pavement_width", "lane_style", "buildings", "building_height", "trees", "cars", "people", "lamps", "signs",
    "clouds", "sun_x", "sun_y", "sun_side", "haze", "brightness", "saturation", "warmth", "rain_slope",
)  # fmt: skip


@dataclass(slots=True)
class Building:
    """A house along the street: its wall stands at |X| = wall from Z = near to far."""

    side: Side
    wall: float
    near: float
    far: float
    height: float
    storey: float
    bay: float
    window: tuple[float, float]
    colour: Colour
    roof: Colour | None
    shop: Colour | None
    lit: int


@dataclass(slots=True)
class Tree:
    """A tree: shape 0 round, 1 slender, 2 conifer; X and Z of the trunk, height and crown radius in metres."""

    x: float
    z: float
    height: float
    radius: float
    shape: int
    colour: Colour
    lumps: tuple[float, ...]


@dataclass(slots=True)
class Car:
    """A vehicle: kind 0 car, 1 van, 2 bus; an `oncoming` one shows its front and headlights."""

    x: float
    z: float
    kind: int
    colour: Colour
    oncoming: bool


@dataclass(slots=True)
class Person:
    """A person on the pavement or a crossing; `umbrella` is the colour of the umbrella, if there is one."""

    x: float
    z: float
    height: float
    coat: Colour
    trousers: Colour
    skin: Colour
    hair: Colour
    stride: float
    umbrella: Colour | None


@dataclass(slots=True)
class Post:
    """A lamp or a sign on a pole; the sign's shape is 0 round, 1 triangle, 2 square, 3 traffic light."""

    x: float
    z: float
    lamp: bool
    shape: int
    state: int


@dataclass(slots=True)
class Cloud:
    """A cloud: puffs (x, y, rx, ry) in image heights, x from -1 to 1."""

    puffs: tuple[tuple[float, float, float, float], ...]


@dataclass(slots=True)
class Scene:
    """A whole street; `factors` are the scalars named in FACTORS."""

    factors: dict[str, float]
    label: int
    buildings: list[Building] = field(default_factory=list)
    #: X from, X to, height.
    skyline: list[tuple[float, float, float]] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    clouds: list[Cloud] = field(default_factory=list)
    stars: list[list[float]] = field(default_factory=list)
    #: Rain: x, y, length, in image heights.
    streaks: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    crossing: float | None = None
    tone: tuple[Colour, Colour] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
