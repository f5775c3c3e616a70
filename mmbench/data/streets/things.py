"""Records the things in a toy street: trees, cars, people, lamps and signs."""

from __future__ import annotations

from mmbench.data.streets.record import CAR, PERSON, POLE, SIGN, TREE, Shapes
from mmbench.data.streets.scene import Car, Person, Post, Tree

#: Half width, height of the body, height of the roof and length in metres, by kind.
CAR_SIZES = ((0.92, 0.86, 1.5, 4.2), (1.02, 1.15, 2.25, 5.0), (1.3, 1.3, 3.1, 9.5))
BLACK = (34, 34, 38)
#: Rim and face of a speed limit, no entry, an arrow.
ROUND_SIGNS = (((214, 36, 40), (244, 240, 236)), ((214, 36, 40), (214, 36, 40)), ((36, 92, 190), (36, 92, 190)))
#: The distance in metres beyond which small parts are left out.
DETAIL = 40


def record_things(s: Shapes) -> None:
    """Record everything between the houses, from far to near; shadows on the ground come first."""
    scene = s.scene
    for car in scene.cars:
        half, length = CAR_SIZES[car.kind][0], CAR_SIZES[car.kind][3]
        s.shadow((car.x - half - 0.15, car.x + half + 0.15), (car.z - 0.25, car.z + length))
    things: list[Tree | Car | Person | Post] = [*scene.trees, *scene.cars, *scene.people, *scene.posts]
    for thing in sorted(things, key=lambda item: -item.z):
        if isinstance(thing, Tree):
            if s.sees(thing.x - thing.radius, thing.x + thing.radius, thing.z):
                _tree(s, thing)
        elif isinstance(thing, Car):
            _car(s, thing)
        elif isinstance(thing, Person):
            _person(s, thing)
        else:
            _post(s, thing)


def _tree(s: Shapes, t: Tree) -> None:
    s.front((TREE, 104, 78, 58, 1.0), (t.x - 0.17, t.x + 0.17), (0, t.height * 0.5), t.z)
    dark, mid, light = (TREE, *t.colour, 0.74), (TREE, *t.colour, 1.0), (TREE, *t.colour, 1.24)
    sun = -s.light.sun_side
    if t.shape == 2:
        for k in range(3):
            low, high = t.height * (0.18 + 0.24 * k), t.height * (0.58 + 0.21 * k)
            s.taper((dark, mid, light)[k], t.x, (low, high), 0.03, t.radius * (1 - 0.24 * k), t.z)
        return
    ry = t.radius * (1.0 if t.shape == 0 else 2.0)
    crown = t.height - ry
    s.round(dark, t.x, crown, t.z, t.radius, ry)
    if t.z > DETAIL:
        s.round(mid, t.x - 0.2 * sun * t.radius, crown + 0.2 * ry, t.z, t.radius * 0.6, ry * 0.6)
        return
    for k in range(3):
        dx, dy = t.lumps[2 * k] * 0.55, t.lumps[2 * k + 1] * 0.5
        s.round(mid, t.x + (dx - 0.15 * sun) * t.radius, crown + (dy + 0.15) * ry, t.z, t.radius * 0.55, ry * 0.5)
    for k in range(2):
        dx, dy = t.lumps[6 + k] * 0.3, t.lumps[k] * 0.3
        s.round(light, t.x + (dx - 0.3 * sun) * t.radius, crown + (dy + 0.35) * ry, t.z, t.radius * 0.3, ry * 0.26)


def _car(s: Shapes, c: Car) -> None:
    half, body, roof, length = CAR_SIZES[c.kind]
    x, z, end = (c.x - half, c.x + half), c.z, c.z + length
    tyre = (CAR, *BLACK, 1.0)
    s.flank(tyre, x[1] if s.x0 > c.x else x[0], (0, 0.3), (z + 0.2, end - 0.2))
    s.box(CAR, c.colour, x, (0.28, body), (z, end))
    if not c.kind:
        cabin, glass = (x[0] + 0.12, x[1] - 0.12), (z + (0.9 if c.oncoming else 0.45), end - 0.5)
    else:
        cabin, glass = (x[0] + 0.03, x[1] - 0.03), (z + 0.02, end - 0.1)
    s.box(CAR, s.light.glass, cabin, (body, roof - 0.1), glass)
    s.box(CAR, c.colour, cabin, (roof - 0.12, roof), glass)
    if c.z > DETAIL:
        return
    if c.kind:
        s.front((CAR, *c.colour, 0.94), x, (body - 0.1, body + 0.15), z)
    for wheel in (x[0] + 0.08, x[1] - 0.32):
        s.front(tyre, (wheel, wheel + 0.24), (0, 0.32), z)
    _car_lights(s, c, half, body)


def _car_lights(s: Shapes, c: Car, half: float, body: float) -> None:
    """Record head or tail lights and a number plate; the lights shine when it is dark."""
    dark = s.light.dark
    colour = (255, 244, 206) if c.oncoming else (236, 36, 36)
    lamp = (CAR, *colour, -1.0 if dark else 1.0)
    low = body - 0.32
    for x in (c.x - half + 0.08, c.x + half - 0.38):
        s.front(lamp, (x, x + 0.3), (low, low + 0.2), c.z)
        if dark:
            spill = (116, 106, 78) if c.oncoming else (96, 12, 10)
            s.glow(x + 0.15, low + 0.1, c.z, 0.75 if c.oncoming else 0.5, spill)
    s.front((CAR, 240, 238, 220, 1.0), (c.x - 0.24, c.x + 0.24), (low - 0.12, low + 0.04), c.z)


def _person(s: Shapes, p: Person) -> None:
    h, x, z = p.height, p.x, p.z
    s.shadow((x - 0.32, x + 0.32), (z - 0.12, z + 0.2))
    legs = (PERSON, *p.trousers, 0.8)
    for dx in (-0.11 - p.stride, 0.11 + 0.6 * p.stride):
        s.taper(legs, x + 0.65 * dx, (0, 0.5 * h), 0.13, 0.11, z)
    s.taper((PERSON, *p.coat, 1.0), x, (0.42 * h, 0.84 * h), 0.2, 0.27, z)
    s.front((PERSON, *p.coat, 0.8), (x + 0.16, x + 0.27), (0.46 * h, 0.78 * h), z)
    s.round((PERSON, *p.hair, 1.0), x, 0.93 * h, z, 0.15, 0.17)
    s.round((PERSON, *p.skin, 1.0), x, 0.9 * h, z, 0.12, 0.13)
    if p.umbrella is not None:
        s.front((PERSON, *BLACK, 1.0), (x + 0.17, x + 0.22), (0.6 * h, 1.2 * h), z)
        s.taper((PERSON, *p.umbrella, 1.0), x + 0.15, (1.04 * h, 1.3 * h), 0.14, 0.72, z)


def _post(s: Shapes, p: Post) -> None:
    if p.lamp:
        _lamp(s, p)
        return
    x, z = p.x, p.z
    top = 2.5 if p.shape < 3 else 2.7
    s.front((POLE, 138, 140, 148, 1.0), (x - 0.09, x + 0.09), (0, top), z)
    if p.shape == 0:
        rim, inner = ROUND_SIGNS[p.state]
        s.round((SIGN, *rim, 1.0), x, top, z, 0.5, 0.5)
        s.round((SIGN, *inner, 1.0), x, top, z, 0.32, 0.32)
        if p.state:
            s.front((SIGN, 244, 244, 244, 1.0), (x - 0.3, x + 0.3), (top - 0.09, top + 0.09), z)
    elif p.shape == 1:  # warning triangle
        s.taper((SIGN, 214, 36, 40, 1.0), x, (top - 0.45, top + 0.5), 0.0, 0.58, z)
        s.taper((SIGN, 250, 226, 90, 1.0), x, (top - 0.33, top + 0.2), 0.0, 0.33, z)
    elif p.shape == 2:  # blue or green plate
        s.front((SIGN, 240, 240, 240, 1.0), (x - 0.48, x + 0.48), (top - 0.42, top + 0.42), z)
        colour = ((36, 92, 190), (30, 124, 76), (226, 150, 30))[p.state]
        s.front((SIGN, *colour, 1.0), (x - 0.38, x + 0.38), (top - 0.32, top + 0.32), z)
    else:
        s.front((SIGN, 44, 46, 50, 1.0), (x - 0.26, x + 0.26), (top - 0.3, top + 1.05), z)
        for k, colour in enumerate(((60, 224, 120), (250, 196, 50), (250, 48, 44))):
            s.round((SIGN, *colour, -1.0 if k == p.state else 0.3), x, top - 0.08 + 0.42 * k, z, 0.17, 0.17)
            if k == p.state and s.light.dark:
                s.glow(x, top - 0.08 + 0.42 * k, z, 0.6, (0.35 * colour[0], 0.35 * colour[1], 0.35 * colour[2]))


def _lamp(s: Shapes, p: Post) -> None:
    side = -1 if p.x > 0 else 1
    metal = (POLE, 92, 96, 104, 1.0)
    s.front(metal, (p.x - 0.1, p.x + 0.1), (0, 5.4), p.z)
    arm = (p.x - 0.1, p.x + 1.5) if side > 0 else (p.x - 1.5, p.x + 0.1)
    s.front(metal, arm, (5.25, 5.4), p.z)
    x = p.x + side * 1.3
    dark = s.light.dark
    bulb = (POLE, 255, 236, 180, -1.0) if dark else (POLE, 214, 214, 204, 1.0)
    s.front(bulb, (x - 0.35, x + 0.35), (5.05, 5.28), p.z)
    if dark:
        s.glow(x, 5.1, p.z, 1.3, (150, 116, 56))
        s.glow(x, 0.2, p.z, 2.4, (44, 34, 16))
