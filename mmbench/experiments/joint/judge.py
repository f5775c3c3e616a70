"""The judge of joint: networks that predict class map, label and depth of an image, as far as the data have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmbench.experiments.labels import judge as labels
from mmbench.experiments.segmentation import judge as segmentation
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.diffusion.supervised import Reader

TITLE = "Judge"
TASKS = ("from_image",)


class DepthJudge(Reader):
    """Predicts the distance of each pixel."""

    answers = "depth"


READERS = {"mask": segmentation.Method, "label": labels.Method, "depth": DepthJudge}


class Method(BaseMethod):
    """The judges of `segmentation` and `labels` and one of depth, which share no weights.

    Args:
        spec: modalities and network. Without any of the three modalities there is nothing to judge or to train.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.readers = nn.ModuleDict({name: make(spec) for name, make in READERS.items() if name in spec.modalities})

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The sum of their losses."""
        terms = {name: reader.loss(batch, generator)["loss"] for name, reader in self.readers.items()}  # type: ignore[operator]
        return {"loss": torch.stack(list(terms.values())).sum(), **{name: x.detach() for name, x in terms.items()}}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The outputs of the task, each from its own network in one pass."""
        answer: Batch = {}
        for name in task.want:
            answer |= self.readers[name].predict(task, given, count, sampling, generator)  # type: ignore[operator]
        return answer
