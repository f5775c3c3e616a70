"""The settings that only the experiment `joint` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mmbench.config.schema import distinct
from mmbench.errors import near
from mmbench.experiments.embedding.options import Options as EmbeddingOptions
from mmbench.experiments.joint.tasks import MODALITIES, TASKS


def with_image(names: list[str]) -> list[str]:
    """`names` if they are the image and at least one other modality."""
    for name in names:
        if name not in MODALITIES:
            raise ValueError(f"'{name}' does not exist{near(name, MODALITIES)}; there are {', '.join(MODALITIES)}")
    if "image" not in names or len(names) < 2:
        raise ValueError("name image and at least one other")
    return names


def of_tasks(names: list[str]) -> list[str]:
    """`names` if they are tasks, at least one."""
    for name in names:
        if name not in TASKS:
            raise ValueError(f"'{name}' does not exist{near(name, TASKS)}; there are {', '.join(TASKS)}")
    if not names:
        raise ValueError("name at least one, or take the key out to ask all")
    return names


class Options(EmbeddingOptions):
    """The embedding network, the hidden share of a masked image, and the modalities and tasks that are used."""

    share: Annotated[float, Field(gt=0, lt=1)]
    modalities: Annotated[list[str], AfterValidator(distinct), AfterValidator(with_image)] | None = None
    questions: Annotated[list[str], AfterValidator(distinct), AfterValidator(of_tasks)] | None = None
