"""The light and the weather of a toy street: the colours of sky, lamps and walls."""

from __future__ import annotations

from mmbench.data.streets.scene import Colour, Scene

#: Sky at the zenith and at the horizon, light on white, by (time, weather).
SKIES: dict[tuple[int, int], tuple[Colour, Colour, Colour]] = {
    (0, 0): ((62, 132, 214), (196, 226, 244), (1.06, 1.03, 0.97)),
    (0, 1): ((112, 124, 140), (178, 186, 194), (0.78, 0.80, 0.84)),
    (0, 2): ((196, 204, 210), (222, 224, 222), (0.92, 0.93, 0.93)),
    (1, 0): ((72, 66, 140), (255, 172, 98), (1.00, 0.74, 0.62)),
    (1, 1): ((72, 70, 98), (176, 124, 116), (0.66, 0.56, 0.56)),
    (1, 2): ((150, 128, 146), (238, 186, 150), (0.86, 0.72, 0.66)),
    (2, 0): ((8, 12, 40), (44, 56, 104), (0.38, 0.42, 0.60)),
    (2, 1): ((16, 20, 38), (54, 58, 82), (0.38, 0.40, 0.52)),
    (2, 2): ((38, 44, 60), (84, 90, 104), (0.42, 0.44, 0.52)),
}


class Light:
    """The colours of one scene's light."""

    def __init__(self, scene: Scene) -> None:
        factors = scene.factors
        time, weather = int(factors["time"]), int(factors["weather"])
        zenith, horizon, light = SKIES[time, weather]
        self.time, self.weather = time, weather
        self.zenith, self.horizon = _cast(zenith, scene.tone[0]), _cast(horizon, scene.tone[1])
        warm, bright = factors["warmth"], factors["brightness"]
        self.white = (light[0] * bright * (1 + warm), light[1] * bright, light[2] * bright * (1 - warm))
        self.dark = time == 2 or (time == 1 and weather > 0)
        self.contrast = (0.24, 0.05, 0.04)[weather] * (1, 1, 0.5)[time]
        self.sun_side = int(factors["sun_side"])
        self.disc = ((255, 246, 204), (255, 226, 150), (240, 238, 220))[time]
        self.glow = ((90, 80, 40), (110, 70, 20), (50, 54, 60))[time]
        self.lamp = (255, 214, 128) if time else (250, 226, 170)
        self.glass = ((86, 112, 140), (104, 84, 104), (66, 76, 98))[time]

    def side(self, facing: int) -> float:
        """The shade of a wall that faces left (-1) or right (1)."""
        return 0.88 + self.contrast * (1 if facing == -self.sun_side else -1)

    def cloud(self, base: bool) -> Colour:
        """The colour of a cloud's base or of its puffs; at dusk clouds are lit from below."""
        if self.time == 1:
            return (196, 120, 136) if base else (240, 156, 136)
        part, lit = (0.42 if base else 0.16), (255.0 if self.time == 0 else 0.0)
        red, green, blue = ((1 - part) * (lit or c * 0.8) + part * c for c in self.horizon)
        return red, green, blue


def _cast(colour: Colour, tone: Colour) -> Colour:
    red, green, blue = (min(max(c + t * (0.3 + c / 255), 0.0), 255.0) for c, t in zip(colour, tone, strict=True))
    return red, green, blue
