"""The settings that only the experiment `labels` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mmbench.config.schema import Experiment

Level = Annotated[float, Field(gt=0, lt=1)]


def distinct_percent(levels: list[float]) -> list[float]:
    """`levels` if no two round to the same whole percentage, which names the case."""
    percent = [round(100 * level) for level in levels]
    if len(set(percent)) < len(percent) or not all(0 < p < 100 for p in percent):
        raise ValueError("cases are named by whole percentages from 1 to 99: no two levels may round to the same")
    return levels


class Options(Experiment):
    """The values of alpha_bar, the remaining share of an image's variance, at which noised images are classified."""

    noise_levels: Annotated[list[Level], Field(min_length=1), AfterValidator(distinct_percent)]
