"""Timings of a profile's stages on this machine, with artificial items of the profile's sizes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from lpips import LPIPS

from mmbench.config.choice import first_drawing
from mmbench.config.configuration import Config
from mmbench.config.discovery import MethodFile, read_literals
from mmbench.config.extractors import EFFICIENTNET, VGG16
from mmbench.data import DataSettings, card, load
from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, asked, load_experiment, to_batch, used_modalities
from mmbench.files.store import Arrays
from mmbench.frozen.efficientnet import EfficientNetLite0
from mmbench.inference.answer import Evaluations, answer_case, unused_modalities
from mmbench.method import Method, Sampling, Task, load_method
from mmbench.modalities import kind_of, kinds_of_card, of_card
from mmbench.training.loop import Training

#: The numbers of test items that stand for the profile's; they differ, so that they identify the kind of a case.
RECONSTRUCTIONS, SAMPLES = 16, 17
EMBEDDING = 512  # numbers in an embedding
PATIENCE = 2.0  # seconds that one timing may take; a longer one uses fewer items
CLASSES = 10  # the assumed number of classes, if only the files of a data set have it
WARM = 3  # steps before timing starts, since the first ones fill buffers and caches


@dataclass(frozen=True)
class Step:
    """Seconds of a usual training step, of one that compares gradients, and of the first; number of parameters."""

    usual: float
    compared: float
    first: float
    parameters: int


class Bench:
    """Times the work of jobs.

    Args:
        threads: the number of threads of one job.
    """

    def __init__(self, config: Config, device: torch.device, threads: int) -> None:
        self.config, self.device = config, device
        self.on_core = device.type == "cpu" and threads == 1
        settings = DataSettings.from_mapping(config.profile.data.model_dump(mode="json"))
        self.settings, self.card = settings, described(settings)
        self.rng = np.random.default_rng(0)

    def clock(self) -> float:
        """Seconds: CPU time if a job has one thread, so that other programs do not count; else wall time."""
        if self.on_core:
            return time.process_time()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def timed(self, call: Callable[[], Any]) -> float:
        """Seconds of one call."""
        began = self.clock()
        call()
        return self.clock() - began

    def arrays(self, count: int) -> Arrays:
        """Artificial items of the data set, in stored form."""
        return {name: kind_of(modality).made_up(count, self.rng) for name, modality in of_card(self.card).items()}

    def build(self, experiment: str, file: Path, settings: Mapping[str, Any]) -> Method:
        """A method, built as in a job."""
        torch.manual_seed(0)
        module = load_experiment(experiment)
        modalities = used_modalities(module, self.card, settings)
        method = load_method(file, module.spec(modalities, settings))
        return method.to(self.device)

    def prepare(self, method: Method, experiment: str) -> None:
        """Give a few items to a method that reads the training set before it is trained."""
        if type(method).prepare is not Method.prepare:
            module = load_experiment(experiment)
            modalities = module.modalities(self.card)
            batch = to_batch(self.arrays(16), modalities, self.device)
            method.prepare(module.training_batch(batch, modalities, torch.Generator()))

    def step(self, experiment: str, name: str, file: Path) -> Step | None:
        """The timings of a method's training steps; None for a method without any."""
        settings = self.config.settings("train", experiment, name)
        method = self.build(experiment, file, settings)
        if not read_literals(file).get("TRAINED", True) or not any(p.requires_grad for p in method.parameters()):
            return None
        whole = settings["train"]["batch_size"]
        few = self._steps(experiment, method, settings, min(whole, 4))
        if few.usual * whole / min(whole, 4) <= PATIENCE:
            return self._steps(experiment, method, settings, whole)
        scale = whole / min(whole, 4)
        return Step(few.usual * scale, few.compared * scale, few.first * scale, few.parameters)

    def _steps(self, experiment: str, method: Method, settings: Mapping[str, Any], batch: int) -> Step:
        endless = {**settings, "train": {**settings["train"], "batch_size": batch, "steps": 10**6, "warmup": 1}}
        module = load_experiment(experiment)
        self.prepare(method, experiment)
        training = Training(
            method,
            module,
            endless,
            self.arrays(max(batch, 8)),
            modalities=module.modalities(self.card),
            seed=0,
            device=self.device,
            state=Path(),
            key="",
        )
        training.method.train()
        first = self.timed(lambda: training.counted_step(1))
        parameters = sum(p.numel() for p in method.parameters() if p.requires_grad)
        if first > 2 * PATIENCE:  # a network this large needs no warm-up
            usual = self.timed(lambda: training.step(2))
            return Step(usual, usual, max(first, usual), parameters)
        for step in range(2, 2 + WARM):
            training.step(step)
        usual = median(self.timed(lambda step=step: training.step(step)) for step in range(11, 16))  # type: ignore[misc]
        compared = self.timed(lambda: training.step(50_000))  # a multiple of the interval of comparisons
        return Step(usual, max(compared, usual), max(first, usual), parameters)

    def cases(self, experiment: str) -> list[Case]:
        """The experiment's cases, over a few artificial items."""
        settings = self.config.settings("cases", experiment)
        module = load_experiment(experiment)
        few = {**settings["evaluate"], "reconstructions": RECONSTRUCTIONS, "samples": SAMPLES}
        used = used_modalities(module, self.card, settings)
        return module.cases(self.arrays(SAMPLES + 15), used, {**settings, "evaluate": few})

    def task(self, experiment: str, case: Case) -> Task:
        """The task of a case."""
        return asked(load_experiment(experiment), case)

    def count(self, case: Case) -> int:
        """The number of items that a case has in the profile."""
        evaluate = self.config.profile.evaluate
        return {RECONSTRUCTIONS: evaluate.reconstructions, SAMPLES: evaluate.samples}.get(case.count, case.count)

    def answers(self, experiment: str, name: str, file: Path, entry: MethodFile) -> dict[str, float]:
        """Seconds of an item of each case that a method answers, by the case's name."""
        settings = self.config.settings("predict", experiment, name, entry.weights_from)
        method = self.build(experiment, file, settings).eval()
        self.prepare(method, experiment)
        evaluations = Evaluations(getattr(method, "backbone", None))
        module, sample, by_task = load_experiment(experiment), settings["sample"], {}
        answered = {}
        for case in self.cases(experiment):
            task = asked(module, case, entry.answers or None)
            if case.task not in entry.tasks or not task.want or unused_modalities(task, settings):
                continue
            if case.task not in by_task:

                def ask(count: int, nfe: int, case: Case = case, task: Task = task) -> tuple[float, float]:
                    given = {k: np.resize(v, (count, *v.shape[1:])) for k, v in case.given.items()}
                    few = Case(case.name, case.task, count, given)
                    before = evaluations.items
                    drawing = first_drawing(settings, case.task, method.heeds(task))
                    sampling = Sampling(**{**drawing, "nfe": nfe})
                    seconds = self.timed(
                        lambda: answer_case(method, task, few, sampling=sampling, batch_size=count, device=self.device)
                    )
                    return seconds, (evaluations.items - before) / count

                by_task[case.task] = self._item(ask, sample["nfe"], min(self.count(case), sample["batch_size"]))
            answered[case.name] = by_task[case.task]
        return answered

    def _item(self, ask: Callable[[int, int], tuple[float, float]], nfe: int, whole: int) -> float:
        """Seconds of an item, from a few evaluations of as many items as `PATIENCE` allows."""
        short = min(nfe, 4)
        ask(1, short)
        count = min(whole, 4)
        seconds, evaluations = ask(count, short)
        if count < whole and seconds * whole / count <= PATIENCE:
            count = whole
            seconds, evaluations = ask(count, short)
        return seconds / count * (nfe / short if evaluations > 1 else 1)

    def networks(self, count: int = 8) -> dict[str, float]:
        """Seconds of an image in the networks of the metrics; they do not depend on the weights."""
        height, width = self.settings.shape
        seconds = {}
        for net in ("alex", "vgg"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False).to(self.device).eval()
            module = module.to(memory_format=torch.channels_last)
            x = torch.rand(count, 3, max(height, 32), max(width, 32), device=self.device)
            with torch.inference_mode():
                module(x, x)
                seconds[f"lpips-{net}"] = self.timed(lambda m=module, x=x: m(x, x)) / count  # type: ignore[misc]
                if net == "vgg":
                    module.net(x)
                    seconds[VGG16] = self.timed(lambda m=module, x=x: m.net(x)) / count  # type: ignore[misc]
        if EFFICIENTNET in self.config.profile.evaluate.features:
            seer, images = (
                EfficientNetLite0().to(self.device).eval(),
                torch.rand(count, 3, 224, 224, device=self.device),
            )
            with torch.inference_mode():
                seer(images)
                seconds[EFFICIENTNET] = self.timed(lambda: seer(images)) / count
        return seconds

    def reading(self, count: int = 8) -> float | None:
        """Seconds of reading or drawing one item; None if the files are missing."""
        few = DataSettings(self.settings.name, self.settings.size, count, count, count, self.settings.root)
        try:
            return self.timed(lambda: load("validation", few)) / count
        except UserError:
            return None


def described(settings: DataSettings) -> dict[str, Any]:
    """The card's entries that the modalities of a data set depend on, even if its files are missing."""
    try:
        facts = card(settings).as_dict()
    except UserError:
        facts = {"modalities": ("image", "label"), "classes": (), "labels": ()}
    facts["classes"] = facts["classes"] or tuple(f"class {n}" for n in range(CLASSES))
    facts["labels"] = facts["labels"] or tuple(f"label {n}" for n in range(CLASSES))
    modalities = {**kinds_of_card(facts), "embedding": "vector"}
    return {**facts, "name": settings.name, "size": list(settings.shape), "modalities": modalities,
            "embedding": {"size": EMBEDDING}}  # fmt: skip


def starting(modules: str) -> float:
    """CPU seconds of importing these modules, `a, b`, in a separate process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
