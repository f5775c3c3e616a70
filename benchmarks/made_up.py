"""Finished runs of any size with made-up arrays, and stand-ins for the networks, whose answers fill a real cache."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from mmbench.experiments.experiment import load_experiment, read_cases
from mmbench.experiments.labels.tasks import TASKS as LABEL_TASKS
from mmbench.experiments.segmentation.tasks import TASKS as MASK_TASKS
from mmbench.files.store import save_arrays, sha256_arrays, sha256_file, write_json
from mmbench.frozen.embedders import Scaling, Standardised
from mmbench.frozen.features import EXTRACTOR, Extractor, stored
from mmbench.frozen.judges import Judge
from mmbench.frozen.lpips import Net, weights_path
from mmbench.method import Batch, Method, Modality, Noise, Sampling, Spec, Task
from mmbench.scoring.composite import lpips_distances, same_truth
from mmbench.scoring.scores import Answered, Tools
from mmbench.stages.cases import write_cases

SIDE, WIDTH, CLASSES, SHA256 = 32, 512, 10, "0" * 64
CARD = {
    "name": "made-up",
    "modalities": ["image", "mask", "label", "embedding"],
    "classes": [f"class {i}" for i in range(CLASSES)],
    "labels": [f"label {i}" for i in range(CLASSES)],
    "embedding": {"extractor": EXTRACTOR, "size": WIDTH, "weights_sha256": SHA256},
    "size": [SIDE, SIDE],
}
#: As in config/experiments/*.yaml.
OPTIONS = {"shares": [0.1, 0.25, 0.5, 0.75], "noise_levels": [0.9, 0.5, 0.2, 0.05]}
JUDGED = {"segmentation": MASK_TASKS["segment"], "labels": LABEL_TASKS["classify"]}
MODALITIES = {
    "image": Modality("image", (3, SIDE, SIDE)),
    "mask": Modality("class_map", (SIDE, SIDE), CLASSES),
    "label": Modality("label", (), CLASSES),
    "embedding": Modality("vector", (WIDTH,)),
}

#: Names of the stand-ins that were asked, in order.
ASKED: list[str] = []


def made_up(name: str, count: int, seed: int) -> np.ndarray:
    """`count` items of a modality as predictions.npz stores them: blocky images and masks, probabilities, normals."""
    rng, modality = np.random.default_rng(seed), MODALITIES[name]
    if name == "label":
        return rng.dirichlet(np.full(CLASSES, 0.3), count).astype(np.float32)
    if name == "embedding":
        return rng.normal(size=(count, WIDTH)).astype(np.float32)
    shape = (count, *modality.shape[:-2], SIDE // 4, SIDE // 4)
    coarse = rng.integers(0, modality.classes or 256, shape, dtype=np.uint8)
    return coarse.repeat(4, axis=-2).repeat(4, axis=-1)


def features(count: int, seed: int) -> np.ndarray:
    """What might be VGG16's features, float32 (count, 512): never negative, many of them 0, correlated."""
    rng, mixing = np.random.default_rng(seed), np.random.default_rng(0).normal(size=(64, WIDTH)) / 8
    noise = rng.normal(size=(count, WIDTH)) / 2
    return (rng.normal(size=(count, 64)) @ mixing + noise).clip(min=0).astype(np.float32)


class StandIn(Extractor):
    """An extractor that makes its features up."""

    def __call__(self, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
        """Features (n, 512), the same for as many images with the same first pixel."""
        ASKED.append(self.name)
        return features(len(images), int(images[0, 0, 0, 0]))


class FlatLpips(nn.Module):
    """LPIPS whose only layer are the colours."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer, self.lins = nn.Identity(), [nn.Conv2d(3, 1, 1)]

    def net(self, images: Tensor) -> list[Tensor]:
        """The layers of images (n, 3, h, w)."""
        ASKED.append("lpips")
        return [images]


class Guess(Method):
    """A judge that guesses."""

    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """Masks or class probabilities that have nothing to do with the images."""
        ASKED.append("judge")
        (want,) = task.want
        return {want: torch.from_numpy(made_up(want, count, seed=generator.first))}


class StandIns(Tools):
    """Tools without weights."""

    def lpips(self, net: Net) -> tuple[nn.Module, str]:
        """The stand-in of either trunk."""
        return FlatLpips(), SHA256

    @property
    def judge(self) -> Judge:
        """The stand-in of any experiment's judge."""
        return Judge("judge", Guess(Spec(MODALITIES)), SHA256, self.device)

    @cached_property
    def extractors(self) -> Sequence[Extractor]:
        """The stand-in of VGG16."""
        return [StandIn(EXTRACTOR, nn.Identity(), SHA256, self.device)]

    @cached_property
    def embedder(self) -> Standardised:
        """The same, with a scaling."""
        return Standardised(self.extractors[0], Scaling(np.full(WIDTH, 0.3), np.full(WIDTH, 0.5)))


def write_run(experiment: str, count: int, folder: Path, weights: Path | None = None) -> list[str]:
    """Make up a run of one experiment in `folder`, with a full cache of what stand-ins say.

    Args:
        experiment: its name.
        count: items of each case, and real ones.
        folder: to write to.
        weights: folder of the true networks, if they are to score; the cache is then empty.

    Returns:
        The words after `python -m mmbench.stages.evaluate` that score it.
    """
    test = {name: made_up(name, count, seed=0) for name in MODALITIES}
    test["label"] = test["label"].argmax(axis=1)
    save_arrays(folder / "data" / "test.npz", test)
    write_json(folder / "data" / "card.json", {**CARD, "splits": {"test": {"sha256": sha256_arrays(test)}}})
    settings = {"experiment": experiment, "evaluate": {"reconstructions": count, "samples": count}, **OPTIONS}
    write_json(folder / "settings.json", settings)
    if weights is None:
        write_json(folder / "weights" / "weights.json", {})
    write_cases(settings, folder / "data", folder / "cases")
    vectors = {name: test[name] for name in ("label", "embedding")}
    save_arrays(folder / "reference.npz", {**stored({EXTRACTOR: features(count, seed=0)}), **vectors})
    digest = sha256_file(weights_path("vgg", weights)) if weights else SHA256
    write_json(folder / "reference.json", {"extractors": {EXTRACTOR: {"weights_sha256": digest}}, "split": "test"})
    tasks, answered = load_experiment(experiment).tasks, []
    for seed, case in enumerate(read_cases(folder / "cases"), 1):
        answered.append((case, {want: made_up(want, count, seed) for want in tasks[case.task].want}))
    arrays = {f"{case.name}/{name}": array for case, answer in answered for name, array in answer.items()}
    save_arrays(folder / "method" / "predictions.npz", arrays)
    if weights is None:
        fill_cache(experiment, answered, folder / "cache")
    places = {
        "settings": "settings.json",
        "weights": weights.resolve() if weights else "weights",
        "data": "data",
        "cases": "cases",
        "cache": "cache",
    }
    places |= {"reference": "reference.npz", "predictions": "method", "out": "method"}
    flags = [word for flag, name in places.items() for word in (f"--{flag}", str(folder / name))]
    return [*flags, "--method", "made_up", "--seed", "0", "--device", "cpu"]


def fill_cache(experiment: str, answered: Answered, cache: Path) -> None:
    """Ask the stand-ins all that the scores of these answers will ask."""
    tools = StandIns(Path(), Path(), torch.device("cpu"), cache=cache)
    reconstructed = [(case, answer["image"]) for case, answer in answered if case.task == "reconstruct"]
    for group in same_truth(reconstructed):
        for net in get_args(Net):
            composites = [composite for _, composite in group]
            lpips_distances(net, group[0][0].truth["image"], composites, tools)
    for case, answer in answered:
        if "image" in answer and case.task != "reconstruct":
            tools.features(tools.extractors[0], answer["image"])
            if experiment in JUDGED:
                tools.judged(JUDGED[experiment], answer["image"])
