"""What stands and moves in a toy street: trees, cars, people, lamps and signs."""

from __future__ import annotations

from mmbench.data._streets_camera import CAR, PERSON, POLE, SIGN, TREE, Painter
from mmbench.data._streets_scene import Car, Person, Post, Scene, Tree

#: Half width, height of the body, of the roof, length in metres; by kind.
CAR_SIZES = ((0.92, 0.86, 1.5, 4.2), (1.02, 1.15, 2.25, 5.0), (1.3, 1.3, 3.1, 9.5))
BLACK = (34, 34, 38)


def paint_things(painter: Painter) -> None:
    """Everything that stands between the houses, far to near; shadows on the ground first."""
    scene: Scene = painter.scene
    for car in scene.cars:
        half, length = CAR_SIZES[car.kind][0], CAR_SIZES[car.kind][3]
        painter.shadow((car.x - half - 0.15, car.x + half + 0.15), (car.z - 0.25, car.z + length))
    things: list[Tree | Car | Person | Post] = [*scene.trees, *scene.cars, *scene.people, *scene.posts]
    for thing in sorted(things, key=lambda item: -item.z):
        if isinstance(thing, Tree):
            _tree(painter, thing)
        elif isinstance(thing, Car):
            _car(painter, thing)
        elif isinstance(thing, Person):
            _person(painter, thing)
        else:
            _post(painter, thing)


def _tree(painter: Painter, t: Tree) -> None:
    painter.front(painter.new(TREE, (104, 78, 58)), (t.x - 0.17, t.x + 0.17), (0, t.height * 0.5), t.z)
    dark, mid, light = (painter.new(TREE, t.colour, shade) for shade in (0.74, 1.0, 1.24))
    sun, crown = -painter.light.sun_side, t.height - t.radius
    if t.shape == 2:
        for k in range(3):
            low, high = t.height * (0.18 + 0.24 * k), t.height * (0.58 + 0.21 * k)
            painter.taper((dark, mid, light)[k], t.x, (low, high), 0.03, t.radius * (1 - 0.24 * k), t.z)
        return
    ry = t.radius * (1.0 if t.shape == 0 else 2.0)
    crown = t.height - ry
    painter.round(dark, t.x, crown, t.z, t.radius, ry)
    for k in range(3):
        dx, dy = t.lumps[2 * k] * 0.55, t.lumps[2 * k + 1] * 0.5
        painter.round(mid, t.x + (dx - 0.15 * sun) * t.radius, crown + (dy + 0.15) * ry, t.z, t.radius * 0.55, ry * 0.5)
    for k in range(2):
        dx, dy = t.lumps[6 + k] * 0.3, t.lumps[k] * 0.3
        painter.round(
            light, t.x + (dx - 0.3 * sun) * t.radius, crown + (dy + 0.35) * ry, t.z, t.radius * 0.3, ry * 0.26
        )


def _car(painter: Painter, c: Car) -> None:
    half, body, roof, length = CAR_SIZES[c.kind]
    x, z, end = (c.x - half, c.x + half), c.z, c.z + length
    glass = painter.light.glass
    tyre = painter.new(CAR, BLACK)
    side = c.x + half if painter.x0 > c.x + half else c.x - half
    painter.flank(tyre, side, (0, 0.3), (z + 0.2, end - 0.2))
    painter.box(CAR, c.colour, x, (0.28, body), (z, end))
    front = z + (0.9 if c.oncoming else 0.45) if c.kind == 0 else z + (0.5 if c.kind == 1 else 0.02)
    inset = 0.12 if c.kind == 0 else 0.03
    cabin = (x[0] + inset, x[1] - inset)
    painter.box(CAR, glass, cabin, (body, roof - 0.1), (front, end - (0.5 if c.kind == 0 else 0.1)))
    painter.box(CAR, c.colour, cabin, (roof - 0.12, roof), (front, end - (0.5 if c.kind == 0 else 0.1)))
    if c.kind:
        painter.front(painter.new(CAR, c.colour, 0.94), (x[0], x[1]), (body - 0.1, body + 0.15), z)
    for wheel in (x[0] + 0.08, x[1] - 0.32):
        painter.front(tyre, (wheel, wheel + 0.24), (0, 0.32), z)
    _car_lights(painter, c, half, body)


def _car_lights(painter: Painter, c: Car, half: float, body: float) -> None:
    """Head or tail lights and a number plate; they shine when it is dark."""
    dark = painter.light.dark
    colour = (255, 244, 206) if c.oncoming else (236, 36, 36)
    lamp = painter.canvas.material(CAR, colour) if dark else painter.new(CAR, colour)
    low = body - 0.32
    for x in (c.x - half + 0.08, c.x + half - 0.38):
        painter.front(lamp, (x, x + 0.3), (low, low + 0.2), c.z)
        if dark:
            spill = (150, 138, 100) if c.oncoming else (96, 12, 10)
            painter.glow(x + 0.15, low + 0.1, c.z, 0.75 if c.oncoming else 0.5, spill)
    painter.front(painter.new(CAR, (240, 238, 220)), (c.x - 0.24, c.x + 0.24), (low - 0.12, low + 0.04), c.z)


def _person(painter: Painter, p: Person) -> None:
    h, x, z = p.height, p.x, p.z
    painter.shadow((x - 0.32, x + 0.32), (z - 0.12, z + 0.2))
    legs = painter.new(PERSON, p.trousers, 0.8)
    for dx in (-p.stride - 0.1, p.stride * 0.6 + 0.02):
        hip = x + (dx * 0.3 if dx < 0 else dx * 0.3)
        painter.taper(legs, (x + dx + hip) / 2, (0, 0.5 * h), 0.13, 0.11, z)
    painter.taper(painter.new(PERSON, p.coat), x, (0.42 * h, 0.84 * h), 0.2, 0.27, z)
    painter.front(painter.new(PERSON, p.coat, 0.8), (x + 0.16, x + 0.27), (0.46 * h, 0.78 * h), z)
    painter.round(painter.new(PERSON, p.hair), x, 0.93 * h, z, 0.15, 0.17)
    painter.round(painter.new(PERSON, p.skin), x, 0.9 * h, z, 0.12, 0.13)
    if p.umbrella is not None:
        painter.front(painter.new(PERSON, BLACK), (x + 0.17, x + 0.22), (0.6 * h, 1.2 * h), z)
        painter.taper(painter.new(PERSON, p.umbrella), x + 0.15, (1.04 * h, 1.3 * h), 0.14, 0.72, z)


def _post(painter: Painter, p: Post) -> None:
    if p.lamp:
        _lamp(painter, p)
        return
    x, z = p.x, p.z
    top = 2.5 if p.shape < 3 else 2.7
    painter.front(painter.new(POLE, (138, 140, 148)), (x - 0.09, x + 0.09), (0, top), z)
    if p.shape == 0:  # round: no entry, speed limit, blue arrow
        rim, inner = (((214, 36, 40), (244, 240, 236)), ((214, 36, 40), (214, 36, 40)), ((36, 92, 190), (36, 92, 190)))[
            p.state
        ]
        painter.round(painter.new(SIGN, rim), x, top, z, 0.5, 0.5)
        painter.round(painter.new(SIGN, inner), x, top, z, 0.32, 0.32)
        if p.state:
            painter.front(painter.new(SIGN, (244, 244, 244)), (x - 0.3, x + 0.3), (top - 0.09, top + 0.09), z)
    elif p.shape == 1:  # warning triangle
        painter.taper(painter.new(SIGN, (214, 36, 40)), x, (top - 0.45, top + 0.5), 0.0, 0.58, z)
        painter.taper(painter.new(SIGN, (250, 226, 90)), x, (top - 0.33, top + 0.2), 0.0, 0.33, z)
    elif p.shape == 2:  # blue or green plate
        painter.front(painter.new(SIGN, (240, 240, 240)), (x - 0.48, x + 0.48), (top - 0.42, top + 0.42), z)
        colour = ((36, 92, 190), (30, 124, 76), (226, 150, 30))[p.state]
        painter.front(painter.new(SIGN, colour), (x - 0.38, x + 0.38), (top - 0.32, top + 0.32), z)
    else:
        painter.front(painter.new(SIGN, (44, 46, 50)), (x - 0.26, x + 0.26), (top - 0.3, top + 1.05), z)
        for k, colour in enumerate(((60, 224, 120), (250, 196, 50), (250, 48, 44))):
            on = painter.canvas.material(SIGN, colour) if k == p.state else painter.new(SIGN, colour, 0.3)
            painter.round(on, x, top - 0.08 + 0.42 * k, z, 0.17, 0.17)
            if k == p.state and painter.light.dark:
                painter.glow(x, top - 0.08 + 0.42 * k, z, 0.6, tuple(0.35 * c for c in colour))


def _lamp(painter: Painter, p: Post) -> None:
    side = -1 if p.x > 0 else 1
    metal = painter.new(POLE, (92, 96, 104))
    painter.front(metal, (p.x - 0.1, p.x + 0.1), (0, 5.4), p.z)
    arm = (p.x - 0.1, p.x + 1.5) if side > 0 else (p.x - 1.5, p.x + 0.1)
    painter.front(metal, arm, (5.25, 5.4), p.z)
    x = p.x + side * 1.3
    dark = painter.light.dark
    bulb = painter.canvas.material(POLE, (255, 236, 180)) if dark else painter.new(POLE, (214, 214, 204))
    painter.front(bulb, (x - 0.35, x + 0.35), (5.05, 5.28), p.z)
    if dark:
        painter.glow(x, 5.1, p.z, 1.3, (150, 116, 56))
        painter.glow(x, 0.2, p.z, 2.4, (44, 34, 16))
