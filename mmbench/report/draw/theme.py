"""Colours, markers and fonts of the figures, in a light and a dark theme."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from cycler import cycler

from mmbench.config.methods import STUDIED, is_studied

Mode = Literal["light", "dark"]
MODES: tuple[Mode, ...] = ("light", "dark")

# Okabe and Ito (2008), distinguishable with any colour vision; vermilion is reserved for the studied method.
_STUDIED = {"light": "#c2410c", "dark": "#ff8a4c"}
_VARIANTS = {
    "light": ("#7c2d12", "#b45309", "#9a3412", "#854d0e"),
    "dark": ("#fdba74", "#fcd34d", "#fed7aa", "#fde68a"),
}
_BASELINES = {
    "light": ("#0072b2", "#00805c", "#a8558a", "#94700a", "#0a8299", "#4b3f9e", "#6b6f76", "#1f2937"),
    "dark": ("#5db3ea", "#34c79a", "#e49bcb", "#e6c35c", "#6fdbe8", "#a79cf5", "#a6abb3", "#e5e7eb"),
}
_MARKERS = ("s", "^", "D", "v", "P", "X", "o", "h")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_PAPER = {
    "light": {"ink": "#1d1f23", "soft": "#5c626b", "line": "#dcdfe4", "paper": "#ffffff"},
    "dark": {"ink": "#e8eaed", "soft": "#a3a9b3", "line": "#363b44", "paper": "#16181d"},
}
#: From light to dark (in the light theme): a larger share is masked.
_STEPS = {
    "light": ("#9cc8e8", "#5a9fd0", "#1f6fae", "#0b3c6b", "#041f3a"),
    "dark": ("#1f5f94", "#3d8bc9", "#7dbcec", "#c6e2f8", "#f0f8ff"),
}


@dataclass(frozen=True)
class Style:
    """The style of one method, the same in every figure."""

    colour: str
    marker: str
    dash: Any
    width: float


def paper(mode: Mode) -> dict[str, str]:
    """Colours of text, secondary text, lines and background."""
    return _PAPER[mode]


def method_styles(methods: Sequence[str], mode: Mode) -> dict[str, Style]:
    """A style for each method: vermilion for the studied one, other warm colours for variants, cool for baselines.

    With more baselines than colours, colours are used again with another dash and marker.
    """
    styles: dict[str, Style] = {}
    variants = baselines = 0
    for method in methods:
        if method == STUDIED:
            styles[method] = Style(_STUDIED[mode], "o", "-", 2.4)
        elif is_studied(method):
            warm = _VARIANTS[mode]
            dash = _DASHES[1 + variants % (len(_DASHES) - 1)]
            styles[method] = Style(warm[variants % len(warm)], _MARKERS[variants % 8], dash, 1.6)
            variants += 1
        else:
            colours, turn = _BASELINES[mode], baselines // 8
            dash = _DASHES[turn % len(_DASHES)]
            styles[method] = Style(colours[baselines % 8], _MARKERS[(baselines + turn) % 8], dash, 1.5)
            baselines += 1
    return styles


def steps(count: int, mode: Mode) -> list[str]:
    """`count` colours in order, for increasing values."""
    return [_STEPS[mode][min(i, 4)] for i in range(count)]


@contextmanager
def figure_style(mode: Mode) -> Iterator[None]:
    """Matplotlib settings of all figures; text in SVG stays text."""
    colours = paper(mode)
    settings: Any = {
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "auto",
        "text.color": colours["ink"],
        "axes.labelcolor": colours["ink"],
        "axes.edgecolor": colours["soft"],
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 10,
        "axes.prop_cycle": cycler(color=_BASELINES[mode]),
        "grid.color": colours["line"],
        "grid.linewidth": 0.7,
        "xtick.color": colours["soft"],
        "ytick.color": colours["soft"],
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.parse_math": False,  # a dollar sign in a title is not mathematics
        "svg.fonttype": "none",
        "svg.hashsalt": "mmbench",
        "savefig.dpi": 160,
        "lines.solid_capstyle": "round",
    }
    with mpl.rc_context(settings):
        yield
