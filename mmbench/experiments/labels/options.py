"""The settings that only the experiment `labels` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mmbench.config.schema import Experiment, distinct_percent

Level = Annotated[float, Field(gt=0, lt=1)]


class Options(Experiment):
    """The values of alpha_bar, the remaining share of an image's variance, at which noised images are classified."""

    noise_levels: Annotated[list[Level], Field(min_length=1), AfterValidator(distinct_percent)]
