"""The plan of a toy street: every random choice is made here, before anything is drawn, so none depends on the size."""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

from mmbench.data.streets.dice import Dice, dice_of
from mmbench.data.streets.scene import LABELS, WEATHERS, Building, Car, Cloud, Person, Post, Scene, Side, Tree

WALLS = ((196, 98, 74), (214, 160, 110), (226, 205, 168), (168, 78, 66), (150, 160, 172), (118, 134, 158),
         (206, 186, 150), (232, 222, 204), (180, 140, 120), (140, 150, 128), (222, 176, 150), (110, 98, 104),
         (190, 200, 196), (160, 112, 88), (236, 196, 120), (136, 170, 180))  # fmt: skip
ROOFS = ((122, 62, 52), (84, 84, 96), (96, 76, 66), (64, 70, 84), (150, 84, 62))
CARS = ((204, 40, 44), (38, 84, 170), (236, 236, 236), (40, 42, 48), (240, 190, 40), (150, 156, 164), (34, 130, 110),
        (230, 110, 40), (96, 32, 60), (110, 170, 214))  # fmt: skip
CLOTHES = ((210, 60, 60), (60, 90, 180), (240, 200, 70), (60, 150, 100), (235, 235, 235), (120, 60, 140),
           (235, 130, 60), (50, 55, 70), (230, 120, 160))  # fmt: skip
SKINS = ((244, 208, 178), (222, 170, 130), (172, 118, 84), (112, 74, 52))
LEAVES = ((70, 128, 58), (96, 150, 62), (52, 108, 66), (120, 152, 60), (82, 140, 84))
AUTUMN = ((206, 130, 44), (190, 84, 44), (214, 172, 62))
BLOSSOM = ((232, 176, 196), (240, 220, 226))


@lru_cache(maxsize=64)
def _label_block(split: str, block: int) -> tuple[int, ...]:
    dice = dice_of(split, "labels", block)
    return tuple(sorted(range(len(LABELS)), key=lambda _: dice.random()))


def label_of(split: str, index: int) -> int:
    """The scene label of an item: each block of 9 items holds every label once, in a random order."""
    block, place = divmod(index, len(LABELS))
    return _label_block(split, block)[place]


def make_scene(split: str, index: int) -> Scene:
    """The scene of item `index` of a split; it depends only on these two and on VERSION."""
    dice = dice_of(split, index)
    label = label_of(split, index)
    time, weather = divmod(label, len(WEATHERS))
    factors = _camera_and_weather(dice, time, weather)
    scene = Scene(factors, label)
    for side in (-1, 1):
        _line_street(dice, scene, side)
    _furnish(dice, scene)
    _fill_sky(dice, scene)
    factors["buildings"] = len(scene.buildings)
    factors["building_height"] = sum(b.height for b in scene.buildings) / max(len(scene.buildings), 1)
    factors["trees"], factors["cars"], factors["people"] = (
        len(things) for things in (scene.trees, scene.cars, scene.people)
    )
    factors["lamps"] = sum(post.lamp for post in scene.posts)
    factors["signs"] = len(scene.posts) - factors["lamps"]
    return scene


def _camera_and_weather(dice: Dice, time: int, weather: int) -> dict[str, float]:
    lanes = dice.pick((0, 0, 1, 1, 2))  # 0 dashed, 1 solid, 2 two dashed lines
    horizon = dice.between(0.36, 0.56)
    return {
        "time": time,
        "weather": weather,
        "vanishing_x": dice.between(-0.2, 0.2),
        "vanishing_y": horizon,
        "focal": dice.between(0.72, 1.15),
        "camera_height": dice.between(2.3, 4.6),
        "camera_x": dice.between(-2.2, 2.2),
        "road_half_width": dice.between(3.0, 4.6) + 1.4 * (lanes == 2),
        "pavement_width": dice.between(1.8, 4.5),
        "lane_style": lanes,
        "clouds": dice.pick((0, 2, 3, 4, 6)) if weather == 0 else 0,
        "sun_x": dice.between(-0.42, 0.42),
        "sun_y": dice.between(0.06, 0.2) if time != 1 else dice.between(0.2, horizon - 0.06),
        "sun_side": dice.pick((-1, 1)),
        "haze": (dice.between(0.002, 0.005), dice.between(0.006, 0.012), dice.between(0.022, 0.042))[weather],
        "brightness": dice.between(0.88, 1.12),
        "saturation": dice.between(0.85, 1.2),
        "warmth": dice.between(-0.06, 0.06),
        "rain_slope": dice.between(-0.35, 0.35) if weather == 1 else 0.0,
    }


def _line_street(dice: Dice, scene: Scene, side: Side) -> None:
    """Add houses, gaps and parks along one side, up to a distance of 110 m."""
    factors = scene.factors
    edge = factors["road_half_width"] + factors["pavement_width"]
    park = dice.chance(0.18)
    typical = dice.between(5, 15)
    z = dice.between(2.0, 6.0)
    while z < 110:
        length = dice.between(7, 20) * (1 if z < 45 else 2.4)
        if park or dice.chance(0.14):
            for _ in range(2 if z < 40 else 1):
                scene.trees.append(_tree(dice, side * (edge + dice.between(1, 6)), z + dice.between(0, length)))
        else:
            scene.buildings.append(_building(dice, side, edge, z, length, typical, int(scene.factors["time"])))
        z += length + (dice.between(1, 4) if dice.chance(0.25) else 0)


def _building(dice: Dice, side: Side, edge: float, z: float, length: float, typical: float, time: int) -> Building:
    bits = dice.getrandbits(64)
    other = dice.getrandbits(64)
    return Building(
        side=side,
        wall=edge + (dice.between(0.3, 3.0) if dice.chance(0.4) else 0.0),
        near=z,
        far=z + length,
        height=max(4.2, typical * dice.between(0.65, 1.45)),
        storey=dice.between(2.9, 3.8),
        bay=dice.between(2.4, 4.2),
        window=(dice.between(0.4, 0.7), dice.between(0.45, 0.65)),
        colour=dice.tint(dice.pick(WALLS)),
        roof=dice.tint(dice.pick(ROOFS)) if dice.chance(0.55) else None,
        shop=dice.pick(CLOTHES) if dice.chance(0.4) else None,
        lit=(0, bits & other, bits)[time],
    )


def _tree(dice: Dice, x: float, z: float) -> Tree:
    height = dice.between(4.0, 8.5)
    shape = dice.pick((0, 0, 0, 1, 2))
    season = dice.random()
    palette = LEAVES if season < 0.78 or shape == 2 else AUTUMN if season < 0.93 else BLOSSOM
    radius = height * (dice.between(0.26, 0.38), dice.between(0.14, 0.2), dice.between(0.2, 0.28))[shape]
    lumps = tuple(byte / 127.5 - 1 for byte in dice.getrandbits(64).to_bytes(8, "little"))
    return Tree(x, z, height, radius, shape, dice.tint(dice.pick(palette)), lumps)


def _furnish(dice: Dice, scene: Scene) -> None:
    """Add cars on the road, trees, posts and people on the pavements, and sometimes a crossing."""
    half, pavement = scene.factors["road_half_width"], scene.factors["pavement_width"]
    if dice.chance(0.3):
        scene.crossing = dice.between(9, 20)
    for side in (-1, 1):
        curb = side * (half + 0.5)
        if dice.chance(0.6):
            step, z = dice.between(8, 16), dice.between(7, 16)
            while z < 52:
                scene.trees.append(_tree(dice, curb, z))
                z += step * dice.between(0.85, 1.15)
        if dice.chance(0.65):
            step, z = dice.between(16, 26), dice.between(8, 20)
            scene.posts += [Post(curb, z + k * step, True, 0, 0) for k in range(3)]
        for _ in range(dice.pick((0, 0, 1, 1, 2))):
            scene.posts.append(Post(curb, dice.between(7, 22), False, int(dice.random() * 4), int(dice.random() * 3)))
        for _ in range(dice.pick((0, 1, 1, 2, 3))):
            scene.people.append(
                _person(dice, scene, side * (half + dice.between(0.5, pavement)), dice.between(6.5, 20))
            )
        if dice.chance(0.3):
            z = dice.between(8, 18)
            for _ in range(1 + int(dice.random() * 3)):
                scene.cars.append(_car(dice, side * (half - 1.05), z, oncoming=side < 0, parked=True))
                z += dice.between(6.5, 9)
        z = dice.between(9, 24)
        for _ in range(dice.pick((0, 1, 1, 2))):
            scene.cars.append(_car(dice, side * half * dice.between(0.36, 0.48), z, oncoming=side < 0, parked=False))
            z += dice.between(12, 28)
    if scene.crossing is not None and dice.chance(0.7):
        for _ in range(1 + int(dice.random() * 2)):
            scene.people.append(
                _person(dice, scene, dice.between(-half, half), scene.crossing + dice.between(0.4, 2.4))
            )


def _car(dice: Dice, x: float, z: float, oncoming: bool, parked: bool) -> Car:
    kind = dice.pick((0, 0, 0, 0, 1)) if parked else dice.pick((0, 0, 0, 0, 0, 1, 2))
    return Car(x, z, kind, dice.tint(dice.pick(CARS), 10), oncoming)


def _person(dice: Dice, scene: Scene, x: float, z: float) -> Person:
    hair = dice.pick(((50, 36, 28), (98, 66, 40), (196, 160, 96), (30, 28, 30), (180, 180, 184)))
    umbrella = dice.pick(CLOTHES) if scene.factors["weather"] == 1 and dice.chance(0.65) else None
    return Person(x, z, dice.between(1.55, 1.95), dice.tint(dice.pick(CLOTHES)), dice.tint(dice.pick(CLOTHES[5:])),
                  dice.pick(SKINS), hair, dice.between(0.0, 0.3), umbrella)  # fmt: skip


def _fill_sky(dice: Dice, scene: Scene) -> None:
    """Add clouds, stars, rain and the houses at the far end of the town."""
    factors = scene.factors
    for _ in range(int(factors["clouds"])):
        x, y, size = dice.between(-0.9, 0.9), dice.between(0.03, 0.3), dice.between(0.05, 0.11)
        puffs = [(x, y, size * 1.9, size * 0.42)]
        for k in range(3):
            r = size * dice.between(0.5, 0.8)
            puffs.append((x + (k - 1) * size * dice.between(0.6, 0.9), y - size * dice.between(0.15, 0.4), r, r * 0.8))
        scene.clouds.append(Cloud(tuple(puffs)))
    if factors["time"] == 2 and factors["weather"] == 0:
        scene.stars = (dice.many(40, 2) * (2, factors["vanishing_y"] - 0.02) - (1, 0)).tolist()
    if factors["weather"] == 1:
        scene.streaks = dice.many(130, 3) * (2.2, 1.1, 0.07) + (-1.1, -0.1, 0.05)
    x = -190.0
    while x < 190:
        width = dice.between(12, 32)
        scene.skyline.append((x, x + width, factors["camera_height"] + dice.between(1, 7) + 9 * dice.random() ** 4))
        x += width
    turn = dice.between(0, 2 * pi)  # a slight hue cast of sky and light
    top = tuple(9 * sin(turn + k * 2.1) for k in range(3))
    horizon = tuple(9 * cos(turn + k * 1.7) for k in range(3))
    scene.tone = ((top[0], top[1], top[2]), (horizon[0], horizon[1], horizon[2]))
