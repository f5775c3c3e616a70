"""Records the surroundings of a toy street: sky, ground and houses."""

from __future__ import annotations

from mmbench.data.streets.record import (
    BUILDING,
    FAR,
    GROUND,
    MARKING,
    PAVEMENT,
    ROAD,
    SKY,
    SKY_ELLIPSE,
    SKY_QUAD,
    Paint,
    Shapes,
    Span,
)
from mmbench.data.streets.scene import Building

#: Distances in metres: of the nearest thing drawn, of the skyline, and of the farthest windows.
NEAR, SKYLINE, DETAIL = 1.0, 150.0, 45.0
ROOF_RISE, ROOF_DEPTH, HOUSE_DEPTH = 2.8, 4.0, 8.0
ALL_LIT = (1 << 64) - 1


def record_town(s: Shapes) -> None:
    """Record sky and ground, then the houses from far to near."""
    _sky(s)
    _ground(s)
    for building in sorted(s.scene.buildings, key=lambda b: -b.near):
        x = building.side * building.wall
        left, right = (-FAR, x) if building.side < 0 else (x, FAR)
        if left < s.x0 < right or not s.sees(left, right, building.far):
            continue  # the camera stands in it, or it lies outside the picture
        _building(s, building)


def _sky(s: Shapes) -> None:
    """Record stars, sun or moon, clouds and the skyline at the far end of the street."""
    light, factors = s.light, s.scene.factors
    for x, y in s.scene.stars:
        s.front((SKY, 235, 235, 225, -1.0), (x, x + 0.007), (y, y + 0.007), 1.0, SKY_QUAD)
    if light.weather != 1:
        x, y, radius = factors["sun_x"], factors["sun_y"], (0.045, 0.06, 0.042)[light.time]
        s.round((SKY, *light.disc, -1.0), x, y, 1.0, radius, radius, SKY_ELLIPSE)
        if light.time == 2:  # a crescent
            part = (y / factors["vanishing_y"]) ** 1.2
            behind = [z + part * (h - z) for z, h in zip(light.zenith, light.horizon, strict=True)]
            s.round((SKY, *behind, -1.0), x + 0.024, y - 0.01, 1.0, 0.036, 0.036, SKY_ELLIPSE)
        s.glow(x, y, 0.0, radius * 3.4, light.glow)
    for cloud in s.scene.clouds:
        for k, (x, y, rx, ry) in enumerate(cloud.puffs):
            s.round((SKY, *light.cloud(k == 0), -1.0), x, y, 1.0, rx, ry, SKY_ELLIPSE)
    for x0, x1, height in s.scene.skyline:
        s.front((BUILDING, 124, 130, 144, 0.9), (x0, x1), (0, height), SKYLINE)


def _ground(s: Shapes) -> None:
    """Record pavement, curb, road and its markings, and the shadows of the houses."""
    half = s.scene.factors["road_half_width"]
    s.backdrop((PAVEMENT, 178, 168, 156, 1.0))
    s.flat((PAVEMENT, 212, 206, 198, 1.0), (-half - 0.3, half + 0.3), 0, (NEAR, FAR), GROUND)
    s.flat((ROAD, 94, 96, 104, 1.0), (-half, half), 0, (NEAR, FAR), GROUND)
    _markings(s, half)
    if s.light.time == 0 and s.light.weather == 0:
        for b in s.scene.buildings:
            if b.side == s.light.sun_side and b.near < 60:
                edges = sorted((b.side * (b.wall - 0.35 * b.height), b.side * b.wall))
                s.shadow((edges[0], edges[1]), (max(b.near, NEAR), b.far))


def _markings(s: Shapes, half: float) -> None:
    """Record a crossing, and the lanes' dashes, solid yellow line or two rows of dashes."""
    white: Paint = (MARKING, 236, 234, 226, 1.0)
    crossing, style = s.scene.crossing, int(s.scene.factors["lane_style"])
    if crossing is not None:
        stripes = int(half / 0.55)
        for k in range(stripes):
            x = (2 * k + 0.5 - stripes) * 0.55
            s.flat(white, (x, x + 0.55), 0, (crossing, crossing + 3.0), GROUND)
    if style == 1:
        s.flat((MARKING, 240, 196, 72, 1.0), (-0.13, 0.13), 0, (NEAR, 120), GROUND)
        return
    for x in (0.0,) if style == 0 else (-half / 3, half / 3):
        for k in range(9):
            z = 4.0 + 6 * k
            if crossing is None or abs(z - crossing) > 4:
                s.flat(white, (x - 0.14, x + 0.14), 0, (z, z + 3.2), GROUND)


def _building(s: Shapes, b: Building) -> None:
    """Record a pitched roof, the wall that faces the camera, and the facade with its windows, shop and cornice."""
    x, near, shade = b.side * b.wall, max(b.near, NEAR), s.light.side(-b.side)
    back, span = x + b.side * HOUSE_DEPTH, (near, b.far)
    wall, end = (BUILDING, *b.colour, shade), (BUILDING, *b.colour, 0.78)
    if b.roof is not None:
        ridge = x + b.side * ROOF_DEPTH
        s.slope((BUILDING, *b.roof, shade), (x, b.height), (ridge, b.height + ROOF_RISE), span)
        s.taper(end, ridge, (b.height, b.height + ROOF_RISE), 0.0, ROOF_DEPTH, near)
    s.front(end, (min(x, back), max(x, back)), (0, b.height), near)
    pieces = max(1, round((b.far - near) / 6))  # each has its own haze
    s.grid(x, (0, b.height), span, (pieces, 1), (1.0, 1.0), wall, wall, 0)
    if b.near < DETAIL:
        _windows(s, b, x, span, max(1, round((b.far - near) / b.bay)), shade)
    s.flank((BUILDING, *(b.roof or b.colour), shade * 0.72), x, (b.height - 0.35, b.height), span)


def _windows(s: Shapes, b: Building, x: float, span: Span, bays: int, shade: float) -> None:
    """Record windows by bay and storey, lit by the bits of `lit`; some houses have a shop with an awning below."""
    glass: Paint = (BUILDING, *s.light.glass, shade)
    lamp: Paint = (BUILDING, *s.light.lamp, -1.0)
    storeys = max(1, int((b.height - 0.4) / b.storey))
    each = (b.height - 0.4) / storeys
    low = 0.0
    if b.shop is not None and storeys > 1:
        s.grid(x, (0.1, 0.7 * each), span, (bays, 1), (0.84, 0.9), glass, lamp, ALL_LIT if s.light.dark else 0)
        s.flank((BUILDING, *b.shop, shade), x, (0.7 * each, 0.95 * each), span)
        low, storeys = each, storeys - 1
    s.grid(x, (low, b.height - 0.4), span, (bays, storeys), b.window, glass, lamp, b.lit)
