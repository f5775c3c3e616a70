"""The keys that only the experiment `labels` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mmbench.config.schema import Experiment

Level = Annotated[float, Field(gt=0, lt=1)]


def distinct_percent(levels: list[float]) -> list[float]:
    """`levels` if no two are the same whole percentage, after which cases are named."""
    percent = [round(100 * level) for level in levels]
    if len(set(percent)) < len(percent) or not all(0 < p < 100 for p in percent):
        raise ValueError("cases are named by whole percentages from 1 to 99: no two levels may round to the same")
    return levels


class Options(Experiment):
    """At which alpha_bar, the share of an image's variance that is left, noised images are classified."""

    noise_levels: Annotated[list[Level], Field(min_length=1), AfterValidator(distinct_percent)]
