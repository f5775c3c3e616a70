"""Light and weather of a toy street: colours of sky and lamps before drawing, haze, rain and glow after it."""

from __future__ import annotations

import numpy as np

from mmbench.data._streets_canvas import Canvas, Colour, soft_disc
from mmbench.data._streets_scene import Scene

#: Sky at the zenith and at the horizon, light on white, by (time, weather).
SKIES: dict[tuple[int, int], tuple[Colour, Colour, Colour]] = {
    (0, 0): ((62, 132, 214), (196, 226, 244), (1.06, 1.03, 0.97)),
    (0, 1): ((112, 124, 140), (178, 186, 194), (0.78, 0.80, 0.84)),
    (0, 2): ((196, 204, 210), (222, 224, 222), (0.92, 0.93, 0.93)),
    (1, 0): ((72, 66, 140), (255, 172, 98), (1.00, 0.74, 0.62)),
    (1, 1): ((72, 70, 98), (176, 124, 116), (0.66, 0.56, 0.56)),
    (1, 2): ((150, 128, 146), (238, 186, 150), (0.86, 0.72, 0.66)),
    (2, 0): ((8, 12, 40), (44, 56, 104), (0.34, 0.38, 0.56)),
    (2, 1): ((14, 18, 32), (50, 54, 76), (0.29, 0.31, 0.42)),
    (2, 2): ((38, 44, 60), (84, 90, 104), (0.40, 0.42, 0.50)),
}


class Light:
    """Colours of one scene's light."""

    def __init__(self, scene: Scene) -> None:
        factors = scene.factors
        time, weather = int(factors["time"]), int(factors["weather"])
        zenith, horizon, light = SKIES[time, weather]
        self.zenith = _add(zenith, scene.tone[0])
        self.horizon = _add(horizon, scene.tone[1])
        warm, bright = factors["warmth"], factors["brightness"]
        self.white = (light[0] * bright * (1 + warm), light[1] * bright, light[2] * bright * (1 - warm))
        self.dark = time == 2 or (time == 1 and weather > 0)
        self.contrast = (0.24, 0.05, 0.04)[weather] * (1, 1, 0.5)[time]
        self.sun_side = int(factors["sun_side"])
        self.disc = ((255, 246, 204), (255, 226, 150), (240, 238, 220))[time]
        self.glow = ((90, 80, 40), (110, 70, 20), (50, 54, 60))[time]
        self.lamp = (255, 214, 128) if time else (250, 226, 170)
        self.glass = ((86, 112, 140), (104, 84, 104), (66, 76, 98))[time]

    def on(self, colour: Colour, shade: float = 1.0) -> Colour:
        """Colour of a surface in this light."""
        red, green, blue = (min(c * w * shade, 255.0) for c, w in zip(colour, self.white, strict=True))
        return red, green, blue

    def side(self, facing: int) -> float:
        """Shade of a wall that faces left (-1) or right (1)."""
        return 0.88 + self.contrast * (1 if facing == -self.sun_side else -1)

    def cloud(self, base: bool) -> Colour:
        """Colour of a cloud's base or of its puffs."""
        part = 0.42 if base else 0.16
        lit = (255, 255, 255) if not self.dark else self.horizon
        red, green, blue = ((1 - part) * c + part * h for c, h in zip(lit, self.horizon, strict=True))
        if self.disc[2] == 150:  # at dusk clouds are lit from below
            return (236 - 40 * base, 150 - 30 * base, 140 - 10 * base)
        return red, green, blue


def _add(colour: Colour, tone: Colour) -> Colour:
    red, green, blue = (min(max(c + t * (0.3 + c / 255), 0.0), 255.0) for c, t in zip(colour, tone, strict=True))
    return red, green, blue


def develop(
    canvas: Canvas, scene: Scene, light: Light, glows: list[tuple[float, float, float, Colour]], wet: tuple[int, ...]
) -> np.ndarray:
    """The image of a painted canvas: sky gradient, haze, averaging, wet road, rain, glow, tone.

    Args:
        canvas: what `Painter.paint` left; material 0 is the bare sky.
        scene: its factors and rain streaks.
        light: the scene's colours.
        glows: (x, y, radius, colour) to add.
        wet: classes that mirror the street when it rains.

    Returns:
        uint8 (3, height, width).
    """
    factors = scene.factors
    samples = canvas.colours()
    horizon = np.array(light.horizon, np.float32)
    up = np.clip(1 - canvas.y / factors["vanishing_y"], 0, 1).astype(np.float32)[:, None] ** 0.8
    gradient = horizon + up * (np.array(light.zenith, np.float32) - horizon)
    last = int(factors["vanishing_y"] * canvas.scale) + 1
    np.copyto(samples[:last], gradient[:last, None], where=(canvas.ids[:last] == 0)[..., None])
    samples -= horizon
    samples *= canvas.clear[..., None]
    image = canvas.average(samples)
    image += horizon
    if factors["weather"] == 1:
        _wet(canvas, image, factors["vanishing_y"], wet)
    for x, y, radius, colour in glows:
        image += soft_disc(canvas, x, y, radius)[..., None] * np.array(colour, np.float32)
    if scene.streaks:
        _rain(image, scene, light)
    grey = image @ np.array((0.299, 0.587, 0.114), np.float32)
    image = grey[..., None] + np.float32(factors["saturation"]) * (image - grey[..., None])
    return np.clip(image + 0.5, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def _wet(canvas: Canvas, image: np.ndarray, horizon: float, wet: tuple[int, ...]) -> None:
    """A wet road mirrors what stands above it, blurred over a few rows."""
    share = sum(canvas.coverage(cls) for cls in wet)
    rows = np.arange(canvas.height)
    mirrored = np.clip((2 * horizon * canvas.height - rows).astype(np.int64), 0, canvas.height - 1)
    reflection = (image[mirrored] + image[np.maximum(mirrored - canvas.height // 16, 0)]) / 2
    below = (rows > horizon * canvas.height)[:, None]
    image += (0.34 * share * below)[..., None].astype(np.float32) * (reflection - image)


def _rain(image: np.ndarray, scene: Scene, light: Light) -> None:
    """Slanted streaks, one soft line each: bilinear in x, so their brightness does not depend on the size."""
    height, width, _ = image.shape
    steps = max(2, height // 8)
    streaks = np.array(scene.streaks)
    along = np.linspace(0, 1, steps)
    y = (streaks[:, 1:2] + along * streaks[:, 2:3]) * height
    x = (streaks[:, :1] + along * streaks[:, 2:3] * scene.factors["rain_slope"]) * height + width / 2
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    alpha = np.zeros((height, width + 1), np.float32)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    weight = (streaks[:, 2:3] * height / steps) * min(1.0, 0.011 * height) * 0.55
    part = (x - column)[inside]
    strength = np.broadcast_to(weight, x.shape)[inside]
    np.add.at(alpha, (row[inside], column[inside]), strength * (1 - part))
    np.add.at(alpha, (row[inside], column[inside] + 1), strength * part)
    bright = np.array([min(c * 0.5 + 110, 255) for c in light.horizon], np.float32)
    image += np.minimum(alpha[:, :width], 0.5)[..., None] * (bright - image)
