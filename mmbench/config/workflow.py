"""Paths, inputs, options and params for the rules in workflow/rules/, from a configuration and its methods.

An option is a part of a shell command; it may be empty.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmbench.config.code_hash import stage_code
from mmbench.config.configuration import Config
from mmbench.config.discovery import find_judge
from mmbench.config.extractors import EFFICIENTNET, VGG16, described
from mmbench.config.selection import Methods

TO_STOP = 2  # minutes that a job may take to start and, when its time is up, to stop
PREPARED = ("train.npz", "validation.npz", "test.npz", "card.json")


class Workflow:
    """A run as its rules see it.

    Args:
        values: the merged top-level keys, as Snakemake hands them over.
        root: the checkout.

    Attributes:
        results: folder of the profile's results.
        weights: folder of the frozen networks, which all profiles share.
        snapshots: shares of a training at which it is looked at, by their folder below the seed's.
        extractors: the network that embeds an experiment's data, for the experiments whose configuration names one.
        judges: the file of each experiment's judge, below the checkout, for the experiments that have one.

    Raises:
        UserError: the configuration or a method's declaration is wrong.
    """

    def __init__(self, values: Mapping[str, Any], root: Path) -> None:
        self.root = root
        self.config = Config(values, root)
        self.methods = Methods(self.config)
        self.results = self.config.results
        self.weights = Path(self.config.top.results) / "weights"
        self.snapshots = {f"at{share}/": share for share in self.config.profile.snapshots}
        self.judges = {name: path for name in self.config.experiments if (path := find_judge(root, name))}
        options = {name: section.options() for name, section in self.config.experiments.items()}
        self.extractors = {name: values["extractor"] for name, values in options.items() if "extractor" in values}
        self._codes: dict[tuple[str, str | None, Path | None], str] = {}
        self._settings: dict[tuple[str | None, ...], str] = {}

    # Params that say when a job must run again.

    def settings(self, stage: str, experiment: str | None = None, method: str | None = None) -> str:
        """A stage's settings as JSON: only an edit of what the stage needs changes them, and runs its jobs again."""
        key = (stage, experiment, method)
        if key not in self._settings:
            source = self.methods.source(experiment, method) if experiment and method else None
            self._settings[key] = json.dumps(self.config.settings(stage, experiment, method, source))
        return self._settings[key]

    def judge_settings(self, experiment: str) -> str:
        """The settings of a judge's training as JSON: the profile's; a judge has none of its own."""
        return json.dumps(self.config.settings("train", experiment, "judge"))

    def code(self, stage: str, experiment: str | None = None, method: str | None = None) -> str:
        """The hash of a stage's code: of a thousand jobs, few have code of their own."""
        file = self.method(experiment, method) if experiment and method else None
        key = (stage, experiment, file)
        if key not in self._codes:
            judge = self.judges.get(experiment) if experiment else None
            names = {"experiment": experiment, "method": file, "judge": judge, "data": self.config.profile.data.name}
            kinds = [*self.config.kinds(experiment).values()] if experiment else []
            self._codes[key] = stage_code(self.root, stage, kinds, **names)
        return self._codes[key]

    # Files.

    def method(self, experiment: str, name: str) -> Path:
        """The file of a method, or of the one that a variant is of, below the checkout."""
        return self.methods(experiment, name).path

    def data(self, experiment: str) -> Path:
        """Folder of the data an experiment works on: the data set's, or those with the embeddings that it asks for."""
        name = self.extractors.get(experiment)
        return self.results / "embedded" / name if name else self.results / "data"

    def features(self, first: int | None = None) -> list[str]:
        """What the extractors of the metrics, or the first of them, are made of: inputs."""
        return [file for about in self.config.extractors()[:first] for file in about.files]

    def embedder(self, extractor: str) -> list[str]:
        """What the network that embeds images is made of, if this run fetches it: inputs."""
        return described(extractor, self.weights).files if extractor in (VGG16, EFFICIENTNET) else []

    def seed(self, experiment: str, method: str, seed: int | str, at: str = "") -> str:
        """Folder, with its last /, of a method's seed, or of a snapshot of its training."""
        return f"{self.results}/{experiment}/{method}/seed{seed}/{at}"

    def source(self, experiment: str, method: str, seed: int | str, at: str = "") -> str:
        """Folder, with its last /, of the weights that a method answers with: of the whole training or a snapshot."""
        return self.seed(experiment, self.methods.source(experiment, method), seed, at)

    def tuned(self, experiment: str, method: str, seed: int | str) -> list[str]:
        """The settings that a method has chosen on the validation split: an input, if there are any left to choose."""
        chooses = self.methods.chooses(experiment, method)
        return [f"{self.seed(experiment, method, seed)}tuned.json"] if chooses else []

    def judge(self, experiment: str) -> list[str]:
        """The judge's weights, if the experiment has one: an input."""
        return [f"{self.results}/{experiment}/judge/weights.safetensors"] if experiment in self.judges else []

    def seeds(self, experiment: str, more: Collection[str] = ()) -> list[str]:
        """Folders of every method and seed that an experiment scores, and of `more`."""
        names, seeds = self.methods.scored(experiment, more), self.config.profile.seeds
        return [self.seed(experiment, name, seed) for name in names for seed in seeds]

    def scores(self, experiment: str, more: Collection[str] = ()) -> list[str]:
        """The metrics.json of every method and seed of an experiment."""
        return [f"{folder}metrics.json" for folder in self.seeds(experiment, more)]

    def snapshot_scores(self, experiment: str) -> list[str]:
        """The metrics.json of every snapshot of an experiment's methods that are trained here; variants have none."""
        methods = [name for name in self.methods.scored(experiment) if "@" not in name]
        trained = [name for name in methods if self.methods.trained(experiment, name)]
        return [
            f"{self.seed(experiment, name, seed, at)}metrics.json"
            for name in trained
            for seed in self.config.profile.seeds
            for at in self.snapshots
        ]

    def model_cards(self, experiment: str) -> list[str]:
        """The README.md of every method and seed of an experiment."""
        return [f"{folder}README.md" for folder in self.seeds(experiment)]

    def cards(self, experiment: str) -> list[str]:
        """What an experiment's data and models are, in words."""
        return [str(self.data(experiment) / "README.md"), *self.model_cards(experiment)]

    # Options of commands.

    def limited(self, rule: str, folder: str | Path, method: str = "") -> str:
        """What a job's command begins with: what ends it when its time is up, or removes the note of an earlier end.

        Args:
            rule: of the job.
            folder: of its results, which the note is put into.
            method: what the job is of, if it is of a method or variant.
        """
        note = Path(folder) / "timed_out.json"
        if not (limit := self.config.limit(rule, method)):
            return f"rm -f {note}; "
        key, minutes = limit
        return f"python -m mmbench.stages._limited --key {key} --minutes {minutes:g} --note {note} -- "

    def runtime(self, rule: str) -> dict[str, int]:
        """The minutes that a rule's jobs ask a cluster for, if all have a time limit: the longest, and time to stop."""
        limits = [minutes for key, minutes in self.config.top.limits.items() if key.partition("/")[0] == rule]
        return {"runtime": math.ceil(max(limits)) + TO_STOP} if rule in self.config.top.limits else {}

    def keep_option(self, experiment: str, method: str) -> str:
        """Which weights a whole training keeps on its way, for the profile's snapshots."""
        if "@" in method or not self.snapshots or not self.methods(experiment, method).trained:
            return ""
        return " ".join(["--keep", *map(str, self.config.snapshots(experiment, method).values())])

    def until_option(self, experiment: str, method: str, seed: str, at: str) -> str:
        """Where the training of a snapshot ends, and where the whole one has kept its weights."""
        if not at:
            return ""
        step = self.config.snapshots(experiment, method)[self.snapshots[at]]
        return f"--until {step} --kept {self.seed(experiment, method, seed)}state"

    def processes_option(self, trained: bool = True) -> str:
        """How many processes share a training."""
        processes = self.config.top.processes
        return f"--processes {processes}" if trained and processes > 1 else ""

    def judge_option(self, experiment: str) -> str:
        """Where the judge is, if the experiment has one."""
        return f"--judge {self.results}/{experiment}/judge" if experiment in self.judges else ""

    def answers_option(self, experiment: str, method: str) -> str:
        """Which modalities a method answers, if not all that its tasks want."""
        answers = self.methods(experiment, method).answers
        return f"--answers {' '.join(answers)}" if answers else ""

    def title(self, experiment: str, method: str) -> str:
        """What a method or variant is called on the page."""
        return self.config.title(experiment, method, self.methods(experiment, method).title)
