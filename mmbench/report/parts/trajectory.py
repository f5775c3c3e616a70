"""The trajectory of a generated image: one item of each method that samples it, from noise to the answer."""

from __future__ import annotations

import numpy as np

from mmbench.config.methods import STUDIED
from mmbench.errors import UserError
from mmbench.report.draw.pictures import Grid, Tile, to_pixels
from mmbench.report.parts.section import Context
from mmbench.runs.run import Run


def trajectory(context: Context) -> Grid | None:
    """The trajectory of every method that stored one, for the case without inputs; None if none did."""
    results = context.experiment
    case = next((case["name"] for case in results.cases if not case["given"]), None)
    if case is None:
        return None
    strips = {}
    for method in results.methods:
        run = results.runs_of(method)[0]
        if strip := run.trajectory(case):
            strips[method] = run, _tiles(run, case, *strip)
    if not strips:
        return None
    width = max(len(tiles) for _, tiles in strips.values())
    rows = [
        (results.titles[method], [tiles[0], *[None] * (width - len(tiles)), *tiles[1:]])
        for method, (_, tiles) in strips.items()
    ]
    groups = [("Noise", 1), ("Estimates of the image", width - 2), ("Answer", 1)] if width > 2 else [("", width)]
    seed = next(iter(strips.values()))[0].seed
    caption = (
        "The trajectory of the first image that was generated without inputs, not selected: the noise that the "
        "sampler starts from (colours beyond black and white are clipped), then the network's estimate of the image "
        f"at some of the steps t, which count down to the image. The last estimate is the answer. Seed {seed}."
    )
    name = f"{results.name}-trajectory"
    emphasised = [results.titles[STUDIED]] if STUDIED in strips else []
    return context.grid(Grid(name, caption, groups, rows, emphasised, title="from noise to image"))


def _tiles(run: Run, case: str, images: np.ndarray, steps: np.ndarray) -> list[Tile]:
    if len(images) < 2:
        raise UserError(f"{run.folder / 'trajectory.npz'}: {case}/image has no steps; run mmbench.stages.predict again")
    names = ["noise", *["estimate of the image"] * (len(images) - 2), "answer"]
    return [
        Tile(to_pixels(image), f"{run.title}: {name} at step {step}", f"t = {step:,}")
        for name, image, step in zip(names, images, steps.tolist(), strict=True)
    ]
