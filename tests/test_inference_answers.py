"""A method's own answers are checked as others' are: keys, type, shape and range, before they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import MODALITIES

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case
from mmbench.inference.answer import answer_case
from mmbench.method import Batch, Method, Noise, Sampling, Spec, Task

WANT = ("image", "mask", "label", "embedding")
TASK = Task("generate", given=(), want=WANT)
COUNT = 3


def right() -> dict[str, Any]:
    """Answers that are as they should be."""
    shapes = {name: MODALITIES[name].shape for name in WANT}
    return {
        "image": torch.zeros(COUNT, *shapes["image"]),
        "mask": torch.zeros(COUNT, *shapes["mask"], dtype=torch.long),
        "label": torch.full((COUNT, MODALITIES["label"].classes), 1 / MODALITIES["label"].classes),
        "embedding": torch.zeros(COUNT, *shapes["embedding"]),
    }


class Answering(Method):
    """A method that answers what it was told to."""

    def __init__(self, answer: Any) -> None:
        super().__init__(Spec(MODALITIES))
        self.answer = answer

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        return self.answer


def ask(answer: Any) -> dict[str, np.ndarray]:
    """The stored answers of a method that answers so."""
    case, device = Case("case", "generate", COUNT), torch.device("cpu")
    return answer_case(Answering(answer), TASK, case, sampling=Sampling(), batch_size=COUNT, device=device)


def test_right_answers_are_stored() -> None:
    assert ask(right()).keys() == {f"case/{name}" for name in WANT}


def put(name: str, change: Callable[[Any], Any]) -> Callable[[], Any]:
    """Answers of which one is another."""
    return lambda: right() | {name: change(right()[name])}


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a tensor": (lambda: torch.zeros(3), "Tensor"),
    "nothing": (dict, "'image' is missing"),
    "one is missing": (lambda: {k: v for k, v in right().items() if k != "mask"}, "'mask' is missing"),
    "one too many": (lambda: right() | {"depth": torch.zeros(3)}, "'depth' is not wanted"),
    "None as one": (put("label", lambda _: None), "'label' is a NoneType"),
    "colours as bytes": (put("image", lambda x: x.to(torch.uint8)), "'image' is torch.uint8"),
    "colours of another scale": (put("image", lambda x: x + 255), "'image' is from 255 to 255"),
    "an item too few": (put("image", lambda x: x[:-1]), "'image' is torch.float32"),
    "no numbers": (put("image", lambda x: x / 0), "'image' is not finite"),
    "classes that a byte wraps": (put("mask", lambda x: x + 256), "'mask' holds classes from 256"),
    "classes as floats": (put("mask", lambda x: x.float()), "'mask' is torch.float32"),
    "logits of a mask": (put("mask", lambda x: x[:, None].float().expand(-1, 3, -1, -1)), "'mask' is torch.float32"),
    "logits of a label": (put("label", lambda x: x * 9), "'label' holds rows that do not add up to 1"),
    "an embedding too short": (put("embedding", lambda x: x[:, 1:]), "'embedding' is torch.float32"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_is_one_line_with_file_and_modality(wrong: str) -> None:
    answer, says = WRONG[wrong]
    with pytest.raises(UserError) as error:
        ask(answer())
    assert str(error.value).startswith(f"{Path(__file__)}: predict: task 'generate': ") and says in str(error.value)
