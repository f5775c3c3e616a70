"""The settings that only the experiment `masking` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mmbench.config.schema import Experiment

Share = Annotated[float, Field(gt=0, lt=1)]


def distinct_percent(shares: list[float]) -> list[float]:
    """`shares` if no two round to the same whole percentage, which names the case."""
    percent = [round(100 * share) for share in shares]
    if len(set(percent)) < len(percent) or not all(0 < p < 100 for p in percent):
        raise ValueError("cases are named by whole percentages from 1 to 99: no two shares may round to the same")
    return shares


class Options(Experiment):
    """The shares of the pixels that are hidden in the test cases."""

    shares: Annotated[list[Share], Field(min_length=1), AfterValidator(distinct_percent)]
