"""The settings that only the experiment `masking` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mmbench.config.schema import Experiment, distinct_percent

Share = Annotated[float, Field(gt=0, lt=1)]


class Options(Experiment):
    """The shares of the pixels that are hidden in the test cases."""

    shares: Annotated[list[Share], Field(min_length=1), AfterValidator(distinct_percent)]
