"""The settings that only the experiment `embedding` has."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from mmbench.config.extractors import EFFICIENTNET, VGG16
from mmbench.config.schema import Experiment

EXTRACTOR = re.compile(rf"{re.escape(VGG16)}|{re.escape(EFFICIENTNET)}|clip\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def known_extractor(name: str) -> str:
    """`name` if it has the form of an extractor's name; whether open_clip has such a CLIP is not checked."""
    if not EXTRACTOR.fullmatch(name):
        raise ValueError(f"write {VGG16}, {EFFICIENTNET}, or clip.<model>.<weights> as open_clip calls the two")
    return name


class Options(Experiment):
    """The network that makes the embeddings."""

    extractor: Annotated[str, AfterValidator(known_extractor)] = VGG16
