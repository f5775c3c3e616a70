"""Numbers for readers: rounded, with their unit, a true minus sign, and a dash for a missing number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial

DASH = "—"
MINUS = "\u2212"
_SI = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float | None, decimals: int) -> str:
    """Fixed decimals; a value that would round to zero keeps two significant digits instead."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:,.{decimals}f}"
    if value != 0 and float(text.replace(",", "")) == 0:
        text = f"{value:.1e}"
    return text.replace("-", MINUS)


def signed(value: float | None, decimals: int) -> str:
    """Like `number`, with a plus sign for positive numbers."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and value > 0 else text


def brackets(ends: tuple[float, float] | None, form: Callable[[float], str]) -> str:
    """`[low, high]`, each end formatted by `form`; a dash without an interval."""
    return f"[{', '.join(map(form, ends))}]" if ends else DASH


def interval(ends: tuple[float, float] | None, decimals: int) -> str:
    """`[low, high]` of a difference, with signs; a dash without an interval."""
    return brackets(ends, partial(signed, decimals=decimals))


def p_value(p: float | None) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    if p is None:
        return DASH
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.995 else "p = 1"


def quantity(value: float | None, unit: str = "", digits: int = 3) -> str:
    """A count with an SI prefix: 2.69 M, 41.2 TFLOP."""
    if value is None:
        return DASH
    for size, prefix in _SI:
        if abs(value) >= size:
            return f"{_significant(value / size, digits)} {prefix}{unit}".rstrip()
    return f"{_significant(value, digits)} {unit}".rstrip()


def storage(value: float | None) -> str:
    """Bytes as MiB or GiB."""
    if value is None:
        return DASH
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def duration(seconds: float | None) -> str:
    """Seconds as `0.4 s`, `12 s`, `3 min 20 s` or `2 h 05 min`."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def percent(share: float) -> str:
    """0.25 as `25 %` (with a space that does not break)."""
    return f"{100 * share:g}\u00a0%"


def listing(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def shorten(name: str, most: int) -> str:
    """A name of at most `most` characters; a longer one ends with an ellipsis."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def slug(name: str) -> str:
    """A name for files and anchors: lower case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _significant(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e" in text else text
