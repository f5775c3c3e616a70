"""What a toy street is lined with: sky, ground and houses."""

from __future__ import annotations

import numpy as np

from mmbench.data._streets_canvas import Region
from mmbench.data._streets_camera import BUILDING, MARKING, PAVEMENT, ROAD, SKY, Painter, Span
from mmbench.data._streets_scene import Building

FAR = 400.0
ROOF_RISE, ROOF_DEPTH, HOUSE_DEPTH = 2.8, 4.0, 8.0


def sky(painter: Painter) -> None:
    """Stars, sun or moon, clouds and the skyline at the far end of the street."""
    canvas, light, factors = painter.canvas, painter.light, painter.scene.factors
    bare = canvas.material(SKY, light.horizon)  # `develop` gives it the gradient
    star = canvas.material(SKY, (235, 235, 225))
    for x, y in painter.scene.stars:
        canvas.paint(canvas.rectangle(x, y, x + 0.007, y + 0.007), star)
    if factors["weather"] != 1:
        x, y = factors["sun_x"], factors["sun_y"]
        radius = (0.045, 0.06, 0.042)[int(factors["time"])]
        canvas.paint(canvas.ellipse(x, y, radius, radius), canvas.material(SKY, light.disc), 1.0)
        if factors["time"] == 2:  # a crescent
            canvas.paint(canvas.ellipse(x + 0.024, y - 0.01, 0.036, 0.036), bare)
        painter.glows.append((x, y, radius * 3.4, light.glow))
    for cloud in painter.scene.clouds:
        for k, (x, y, rx, ry) in enumerate(cloud.puffs):
            canvas.paint(canvas.ellipse(x, y, rx, ry), canvas.material(SKY, light.cloud(k == 0)))
    far = painter.new(BUILDING, (120, 126, 140), 0.9)
    for x0, x1, height in painter.scene.skyline:
        region = canvas.rectangle(x0, painter.vy - height, x1, painter.vy + 0.01)
        canvas.paint(region, far, max(0.0, 0.72 - 14 * painter.fog))


def ground(painter: Painter) -> None:
    """Pavement, curb, road and its markings, the shadow of the houses, haze by row."""
    canvas, factors = painter.canvas, painter.scene.factors
    half = factors["road_half_width"]
    near = painter.focal * painter.eye / (1.02 - painter.vy)
    region = canvas.rectangle(canvas.left, painter.vy, -canvas.left, 1)
    canvas.paint(region, painter.new(PAVEMENT, (178, 168, 156)))
    painter.flat(painter.new(PAVEMENT, (212, 206, 198)), (-half - 0.3, half + 0.3), 0, (near, FAR))
    painter.flat(painter.new(ROAD, (94, 96, 104)), (-half, half), 0, (near, FAR))
    _markings(painter, half, near)
    depth = painter.focal * painter.eye / np.maximum(canvas.y - painter.vy, 1e-3)
    canvas.clear[region[0]] = np.exp(-painter.fog * depth)[region[0], None]
    if factors["time"] == 0 and factors["weather"] == 0:
        side = int(factors["sun_side"])
        for b in painter.scene.buildings:
            if b.side == side and b.near < 60:
                edge = side * (b.wall - 0.35 * b.height)
                painter.shadow((min(edge, side * b.wall), max(edge, side * b.wall)), (max(b.near, 1.0), b.far))


def _markings(painter: Painter, half: float, near: float) -> None:
    """A crossing, and lanes apart by dashes, a solid yellow line or two rows of dashes."""
    white = painter.new(MARKING, (236, 234, 226))
    crossing = painter.scene.crossing
    if crossing is not None:
        stripes = int(half / 0.55)
        for k in range(stripes):
            x = (2 * k + 0.5 - stripes) * 0.55
            painter.flat(white, (x, x + 0.55), 0, (crossing, crossing + 3.0))
    style = int(painter.scene.factors["lane_style"])
    if style == 1:
        painter.flat(painter.new(MARKING, (240, 196, 72)), (-0.13, 0.13), 0, (near, 120))
        return
    for x in (0.0,) if style == 0 else (-half / 3, half / 3):
        for k in range(9):
            z = 4.0 + 6 * k
            if crossing is None or abs(z - crossing) > 4:
                painter.flat(white, (x - 0.14, x + 0.14), 0, (z, z + 3.2))


def building(painter: Painter, b: Building) -> None:
    """The wall facing us, a pitched roof, the facade along the street with its windows, shop and cornice."""
    canvas, x, near = painter.canvas, b.side * b.wall, max(b.near, 1.0)
    if (x - painter.x0) * b.side <= 0:
        return
    if b.roof is not None:
        _roof(painter, b, near)
    back = x + b.side * HOUSE_DEPTH
    painter.front(painter.new(BUILDING, b.colour, 0.78), (min(x, back), max(x, back)), (0, b.height), near)
    shade = painter.light.side(-b.side)
    region = _facade(painter, x, (0, b.height), (near, b.far))
    rows, columns, inside = region
    if inside is None:
        return
    z = painter.focal * (x - painter.x0) / (canvas.x[columns] - painter.vx)
    canvas.paint(region, painter.new(BUILDING, b.colour, shade), np.exp(-painter.fog * z))
    if b.near < 60:
        _windows(painter, b, (rows, columns, inside), z, shade)
    cornice = painter.new(BUILDING, b.roof or b.colour, shade * 0.72)
    painter.flank(cornice, x, (b.height - 0.35, b.height), (near, b.far))


def _facade(painter: Painter, x: float, y: Span, z: Span) -> Region:
    return painter.canvas.upright(painter.px(x, z[0]), painter.py(y[1], z[0]), painter.py(y[0], z[0]),
                                  painter.px(x, z[1]), painter.py(y[1], z[1]), painter.py(y[0], z[1]))  # fmt: skip


def _windows(painter: Painter, b: Building, region: Region, z: np.ndarray, shade: float) -> None:
    """Windows by bay and storey, lit as the bits of `lit` say; some houses have a shop with an awning below.

    Args:
        painter: camera and canvas.
        b: the house.
        region: its facade.
        z: distance of each of the facade's columns, metres.
        shade: of the facade.
    """
    canvas, (rows, columns, inside) = painter.canvas, region
    ids = canvas.ids[rows, columns]
    bays = max(1, round((b.far - b.near) / b.bay))
    along = (z - b.near) * (bays / (b.far - b.near))
    bay = along.astype(np.int64)
    storeys = max(1, int((b.height - 0.4) / b.storey))
    up = (painter.eye - (canvas.y[rows, None] - painter.vy) * (z / painter.focal)) * (storeys / (b.height - 0.4))
    storey = up.astype(np.int64)
    glass = np.abs(up - storey - 0.5) < b.window[1] / 2
    glass &= (np.abs(along - bay - 0.5) < b.window[0] / 2) & (up < storeys)
    glass &= inside
    dark = painter.new(BUILDING, painter.light.glass, shade)
    bright = canvas.material(BUILDING, painter.light.lamp)
    lit = np.unpackbits(np.frombuffer(b.lit.to_bytes(8, "little"), np.uint8)).astype(bool)
    np.copyto(ids, np.where(lit, bright, dark).astype(np.uint16)[(bay * 7 + storey * 13) & 63], where=glass)
    if b.shop is not None:
        shop = (up > 0.06) & (up < 0.66) & (np.abs(along - bay - 0.5) < 0.42) & inside
        np.copyto(ids, bright if painter.light.dark else dark, where=shop, casting="unsafe")
        awning = (up > 0.7) & (up < 0.95) & inside
        np.copyto(ids, painter.new(BUILDING, b.shop, shade), where=awning, casting="unsafe")


def _roof(painter: Painter, b: Building, near: float) -> None:
    """The slope towards the street, hidden where we look from too steep below, and the gable facing us."""
    assert b.roof is not None
    eave, ridge, back = (b.side * (b.wall + depth) for depth in (0, ROOF_DEPTH, 2 * ROOF_DEPTH))
    top = b.height + ROOF_RISE
    slope = [(painter.px(eave, near), painter.py(b.height, near)), (painter.px(eave, b.far), painter.py(b.height, b.far)),
             (painter.px(ridge, b.far), painter.py(top, b.far)), (painter.px(ridge, near), painter.py(top, near))]  # fmt: skip
    corners = tuple(slope if b.side < 0 else slope[::-1])
    colour = painter.new(BUILDING, b.roof, painter.light.side(-b.side))
    clear = painter.clear(near)
    painter.canvas.paint(painter.canvas.quad(corners), colour, clear)
    left, right = sorted((painter.px(eave, near), painter.px(back, near)))
    middle = painter.px(ridge, near)
    gable = painter.canvas.level(painter.py(top, near), middle, middle, painter.py(b.height, near), left, right)
    painter.canvas.paint(gable, painter.new(BUILDING, b.colour, 0.78), clear)
