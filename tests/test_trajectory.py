"""How a sampled picture came about: recorded beside the answers, which it neither changes nor makes dearer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmbench.experiments.experiment import Case
from mmbench.inference.answer import answer_case
from mmbench.method import Batch, Method, Modality, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.process import Process
from mmbench.models.diffusion.sampler import Trace, sample
from mmbench.stages import predict


class Drawing(Method):
    """Samples an image, beside `more` channels, and answers with what `turn` makes of it."""

    def __init__(self, more: int, turn: float) -> None:
        super().__init__(Spec({"image": Modality("image", (3, 4, 4))}))
        self.more, self.turn, self.process, self.asked = more, turn, Process(), 0

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        def denoise(z: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            self.asked += 1
            return torch.sin(z + t[0]), []

        noise = generator.normal(count, 3 + self.more, 4, 4)
        z0 = sample(self.process, denoise, noise, sampler=sampling.sampler, nfe=sampling.nfe, generator=generator)
        return {"image": self.turn * z0[:, :3]}


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm++"])
@pytest.mark.parametrize("more", [0, 2])
def test_how_a_picture_came_about_costs_and_changes_nothing(sampler: str, more: int) -> None:
    method, case = Drawing(more, 1.0), Case("generate", "generate", 5, {}, {}, {}, ("image",))
    task, answers, trace = Task("generate", (), ("image",)), [], Trace()
    for seen in (None, trace):
        asked: dict[str, Any] = {
            "sampling": Sampling(sampler, 20),
            "batch_size": 2,
            "device": torch.device("cpu"),
            "trace": seen,
        }
        answers.append(answer_case(method, task, case, **asked))
    assert method.asked == 2 * 3 * 20
    np.testing.assert_array_equal(answers[0]["generate/image"], answers[1]["generate/image"])
    found = predict.trajectory("generate", trace, answers[1])
    assert found["generate/step"].tolist() == [1000, 1000, 850, 750, 600, 450, 300, 200, 50]
    np.testing.assert_array_equal(found["generate/image"][-1], answers[0]["generate/image"][0])
    assert not predict.trajectory("generate", [], answers[1])
    turned = {"generate/image": 255 - answers[1]["generate/image"]}  # what was sampled is not what was answered
    assert not predict.trajectory("generate", trace, turned)
