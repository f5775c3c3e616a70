"""Frozen judges: networks that predict what generated images show, for comparison with what they should show.

The module `judge` of an experiment is a method's file. The judge is trained on the real training split like any method,
by `python -m mmbench.stages.judge`, and is in no table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmbench.errors import UserError
from mmbench.experiments import part_file
from mmbench.experiments.experiment import to_batch, to_stored
from mmbench.files.store import Arrays, sha256_file
from mmbench.files.weights import load_weights
from mmbench.method import Method, Modality, Noise, Sampling, Spec, Task, load_method
from mmbench.runs.records import Training, checked


@dataclass(frozen=True)
class Judge:
    """A trained judge.

    Attributes:
        name: the name in the records of metrics.
        weights_sha256: hash of the file of its weights.
    """

    name: str
    method: Method
    weights_sha256: str
    device: torch.device

    @torch.no_grad()
    def answer(self, task: Task, given: Arrays, batch_size: int = 100) -> Arrays:
        """The judge's answers to stored arrays, as stored arrays: masks uint8 (n, h, w), labels (n, classes)."""
        count = len(next(iter(given.values())))
        parts: list[Arrays] = []
        for start in range(0, count, batch_size):
            arrays = {name: array[start : start + batch_size] for name, array in given.items()}
            batch = to_batch(arrays, self.method.spec.modalities, self.device)
            items = min(batch_size, count - start)
            answer = self.method.predict(task, batch, items, Sampling(), Noise(first=start))
            parts.append(to_stored(answer, self.method.spec.modalities, items))
        return {name: np.concatenate([part[name] for part in parts]) for name in task.want}


def load_judge(folder: Path, experiment: str, modalities: Mapping[str, Modality], device: torch.device) -> Judge:
    """The judge of an experiment from the folder that `python -m mmbench.stages.train` wrote.

    Args:
        folder: of weights.safetensors and training.json.

    Raises:
        UserError: a file is missing or broken, or the judge is another experiment's or was trained on other data.
    """
    settings = checked(folder / "training.json", Training, "train the judge again, or name its folder")["settings"]
    if settings["experiment"] != experiment:
        raise UserError(
            f"{folder / 'training.json'}: not a judge of '{experiment}'; train it again, or name its folder"
        )
    spec = Spec(modalities, settings["network"], settings["method_settings"])
    method = load_method(part_file(experiment, "judge"), spec)
    load_weights(folder / "weights.safetensors", method)
    digest = sha256_file(folder / "weights.safetensors")
    return Judge(f"judge-{experiment}", method.to(device).eval(), digest, device)
