"""The figures of docs/concepts.md, drawn by the code that they are about: `python -m tools.figures`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import matplotlib as mpl
import numpy as np
import torch
from cycler import cycler
from matplotlib.figure import Figure
from torch import Tensor

import mmbench.data
from mmbench.data import DataSettings
from mmbench.experiments.experiment import to_batch
from mmbench.modalities import of_card
from mmbench.modalities.class_map import ClassMapEncoder
from mmbench.modalities.image import to_uint8
from mmbench.models.diffusion.process import OmegaShape, Process, Schedule, alpha_bars, w_from_omega
from mmbench.models.mt_diffusion import SCALE

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
#: Legible on white and on black paper.
INK = "#80868f"
COLOURS = ("#c2410c", "#2f8fc9", "#1d9a74", "#b0629a", "#a5811a")
STYLE: dict[Any, Any] = {
    "font.size": 9, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": INK, "axes.facecolor": "none", "savefig.facecolor": "none", "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "svg.hashsalt": "mmbench", "svg.fonttype": "path",
    "figure.constrained_layout.use": True, "axes.prop_cycle": cycler(color=COLOURS),
}  # fmt: skip
STEPS = (1, 250, 500, 750, 1000)


def schedules() -> Figure:
    """How much of z_0 and how much noise z_t holds, for each schedule."""
    figure = Figure(figsize=(6.4, 2.4))
    axes = figure.subplots()
    for schedule, dash in zip(get_args(Schedule), ("-", "--"), strict=True):
        alpha_bar = alpha_bars(schedule)
        axes.plot(alpha_bar.sqrt(), dash, color=COLOURS[0], label=rf"$\sqrt{{\bar\alpha_t}}$, {schedule}")
        axes.plot((1 - alpha_bar).sqrt(), dash, color=COLOURS[1], label=rf"$\sqrt{{1-\bar\alpha_t}}$, {schedule}")
    return labelled(figure, "share in $z_t$")


def omegas() -> Figure:
    """How strongly an encoding is in z_t, and what is added at each step, for each shape."""
    figure = Figure(figsize=(7.4, 2.4))
    left, right = figure.subplots(ncols=2)
    for shape in get_args(OmegaShape):
        if shape != "learned":  # it starts as the bridge
            process = Process(1, omega=shape, scale=SCALE)
            left.plot(process.omega()[:, 0])
            right.plot(w_from_omega(process.omega(), process.alpha_bar)[1:, 0], label=shape)
    left.set(ylabel=r"$\omega_t$", xlabel="step $t$")
    right.set(ylabel="$w_t$", xlabel="step $t$", ylim=(-1e-4, 2e-3))
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def labelled(figure: Figure, height: str) -> Figure:
    """A figure over steps with its legend beside it."""
    axes = figure.axes[0]
    axes.set(xlabel="step $t$", ylabel=height)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def forward() -> Figure:
    """A toy street and its class map on the way to noise: what each adds to the mean of z_t, that mean, and z_t."""
    settings = DataSettings("toy_streets", size=(64, 64), train=1, test=5)
    card, items = mmbench.data.card(settings), mmbench.data.load("test", settings)
    modalities = of_card({**card.as_dict(), "size": settings.shape})
    batch = to_batch({name: items[name][4:5] for name in ("image", "mask")}, modalities)
    encoder = ClassMapEncoder(len(card.classes), 3)  # its colours are learned; here they are those of the card
    with torch.no_grad():
        encoder.colours.copy_(torch.tensor(card.palette) / 127.5 - 1)
        encoding = encoder(batch["mask"]).expand(len(STEPS), -1, -1, -1)
        z_0 = batch["image"].expand(len(STEPS), -1, -1, -1)
        eps = torch.randn(batch["image"].shape, generator=torch.Generator().manual_seed(0)).expand_as(z_0)
        t, process = torch.tensor(STEPS), Process(1, omega="bridge", scale=SCALE)
        drift = process.drift([encoding], t)
        z_t = process.marginal(z_0, [encoding], t, eps)
        assert isinstance(drift, Tensor)
        mean = process.marginal(z_0, [encoding], t, torch.zeros_like(eps))
        rows = {"image": mean - drift, "class map": drift, "both": mean, "$z_t$": z_t}
    return tiles(rows, batch["image"], encoding[:1])


def tiles(rows: dict[str, Tensor], image: Tensor, encoding: Tensor) -> Figure:
    """A row of pictures for each quantity, a column for each step; before them what goes in."""
    figure = Figure(figsize=(7.2, 4.4))
    grid = figure.subplots(len(rows), len(STEPS) + 1)
    first = [("$z_0$", image), ("$E(x)$", encoding), ("", None), ("", None)]
    for line, (name, shown), (title, start) in zip(grid, rows.items(), first, strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        if start is not None:
            line[0].imshow(picture(start)[0])
            line[0].set_title(title, fontsize=8)
        for axes, tile in zip(line[1:], picture(shown), strict=True):
            axes.imshow(tile)
        line[1].set_ylabel(name, fontsize=8)
    for axes, t in zip(grid[0][1:], STEPS, strict=True):
        axes.set_title(f"t = {t}", fontsize=8)
    return figure


def picture(z: Tensor) -> np.ndarray:
    """(n, h, w, 3) uint8 of z (n, 3, h, w); [-1, 1] is black to white."""
    return to_uint8(z).transpose(0, 2, 3, 1)


FIGURES = {"schedules.svg": schedules, "omegas.svg": omegas, "forward.png": forward}


def draw(folder: Path, names: Sequence[str] = tuple(FIGURES)) -> None:
    """Write the figures to a folder; the same code writes the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for name in names:
            metadata = {"Date": None, "Creator": None} if name.endswith(".svg") else {"Software": None}
            FIGURES[name]().savefig(folder / name, dpi=100, metadata=metadata)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
