"""The multitask model of the image and one other modality, for comparison with the model of all modalities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mmbench.method import Spec
from mmbench.models.mt_diffusion import Method as MultitaskMethod


class Pair(MultitaskMethod):
    """MT-Diffusion of two modalities; a subclass names the second one as `other`.

    Args:
        spec: modalities and network.
        settings: as for `MT-Diffusion`.
    """

    other: str

    def __init__(self, spec: Spec, **settings: Any) -> None:
        two = {name: spec.modalities[name] for name in ("image", self.other)}
        super().__init__(replace(spec, modalities=two), **settings)
