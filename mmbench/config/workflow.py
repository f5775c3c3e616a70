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

TO_STOP = 2  # minutes that a job may take to start, and to stop after its time limit
PREPARED = ("train.npz", "validation.npz", "test.npz", "card.json")


class Workflow:
    """A run, in the form that its rules use.

    Args:
        values: the merged top-level keys, as Snakemake passes them.

    Attributes:
        results: folder of the profile's results.
        weights: folder of the frozen networks, which all profiles share.
        snapshots: the shares of a training run after which it is evaluated, by their folder below the seed's.
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

    # Params whose change makes a job run again.

    def settings(self, stage: str, experiment: str | None = None, method: str | None = None) -> str:
        """A stage's settings as JSON; only an edit of settings that the stage needs changes them."""
        key = (stage, experiment, method)
        if key not in self._settings:
            source = self.methods.source(experiment, method) if experiment and method else None
            self._settings[key] = json.dumps(self.config.settings(stage, experiment, method, source))
        return self._settings[key]

    def judge_settings(self, experiment: str) -> str:
        """The settings of a judge's training as JSON: those of the profile, since a judge has no own ones."""
        return json.dumps(self.config.settings("train", experiment, "judge"))

    def code(self, stage: str, experiment: str | None = None, method: str | None = None) -> str:
        """The hash of a stage's code, which many jobs share."""
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
        """The file of a method, or of a variant's method, below the checkout."""
        return self.methods(experiment, name).path

    def data(self, experiment: str) -> Path:
        """The folder of an experiment's data: those of the data set, or with the embeddings that it configures."""
        name = self.extractors.get(experiment)
        return self.results / "embedded" / name if name else self.results / "data"

    def features(self, first: int | None = None) -> list[str]:
        """The files of the extractors of the metrics, or of the first ones, as inputs."""
        return [file for about in self.config.extractors()[:first] for file in about.files]

    def embedder(self, extractor: str) -> list[str]:
        """The files of the network that embeds images, as inputs, if this run fetches it."""
        return described(extractor, self.weights).files if extractor in (VGG16, EFFICIENTNET) else []

    def seed(self, experiment: str, method: str, seed: int | str, at: str = "") -> str:
        """The folder, with its last /, of a method's seed, or of a snapshot of its training run."""
        return f"{self.results}/{experiment}/{method}/seed{seed}/{at}"

    def source(self, experiment: str, method: str, seed: int | str, at: str = "") -> str:
        """The folder, with its last /, of the weights that a method uses: of the whole training run or a snapshot."""
        return self.seed(experiment, self.methods.source(experiment, method), seed, at)

    def tuned(self, experiment: str, method: str, seed: int | str) -> list[str]:
        """The file of the choices on the validation split, as an input, if the method has anything to choose."""
        chooses = self.methods.chooses(experiment, method)
        return [f"{self.seed(experiment, method, seed)}tuned.json"] if chooses else []

    def judge(self, experiment: str) -> list[str]:
        """The judge's weights, as an input, if the experiment has a judge."""
        return [f"{self.results}/{experiment}/judge/weights.safetensors"] if experiment in self.judges else []

    def seeds(self, experiment: str, more: Collection[str] = ()) -> list[str]:
        """The folders of every method and seed that an experiment scores, and of `more` methods."""
        names, seeds = self.methods.scored(experiment, more), self.config.profile.seeds
        return [self.seed(experiment, name, seed) for name in names for seed in seeds]

    def scores(self, experiment: str, more: Collection[str] = ()) -> list[str]:
        """The metrics.json of every method and seed of an experiment."""
        return [f"{folder}metrics.json" for folder in self.seeds(experiment, more)]

    def snapshot_scores(self, experiment: str) -> list[str]:
        """The metrics.json of every snapshot of the methods that are trained here; variants have no snapshots."""
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
        """The cards of an experiment's data and models."""
        return [str(self.data(experiment) / "README.md"), *self.model_cards(experiment)]

    # Options of commands.

    def limited(self, rule: str, folder: str | Path, method: str = "") -> str:
        """The beginning of a job's command: it enforces the time limit, or removes the note of an earlier time-out.

        Args:
            folder: the folder of its results, in which the note is.
        """
        note = Path(folder) / "timed_out.json"
        if not (limit := self.config.limit(rule, method)):
            return f"rm -f {note}; "
        key, minutes = limit
        return f"python -m mmbench.stages._limited --key {key} --minutes {minutes:g} --note {note} -- "

    def runtime(self, rule: str) -> dict[str, int]:
        """The minutes that a rule's jobs request, if each has a time limit (the longest, plus time to stop)."""
        limits = [minutes for key, minutes in self.config.top.limits.items() if key.partition("/")[0] == rule]
        return {"runtime": math.ceil(max(limits)) + TO_STOP} if rule in self.config.top.limits else {}

    def keep_option(self, experiment: str, method: str) -> str:
        """The option for the steps whose weights a whole training run keeps, for the profile's snapshots."""
        if "@" in method or not self.snapshots or not self.methods(experiment, method).trained:
            return ""
        return " ".join(["--keep", *map(str, self.config.snapshots(experiment, method).values())])

    def until_option(self, experiment: str, method: str, seed: str, at: str) -> str:
        """The options for the last step of a snapshot, and for the folder of the weights that the whole run kept."""
        if not at:
            return ""
        step = self.config.snapshots(experiment, method)[self.snapshots[at]]
        return f"--until {step} --kept {self.seed(experiment, method, seed)}state"

    def processes_option(self, trained: bool = True) -> str:
        """The option for the number of processes of a training run."""
        processes = self.config.top.processes
        return f"--processes {processes}" if trained and processes > 1 else ""

    def judge_option(self, experiment: str) -> str:
        """The option for the judge's folder, if the experiment has a judge."""
        return f"--judge {self.results}/{experiment}/judge" if experiment in self.judges else ""

    def answers_option(self, experiment: str, method: str) -> str:
        """The option for the modalities that a method answers, if these are not all outputs of its tasks."""
        answers = self.methods(experiment, method).answers
        return f"--answers {' '.join(answers)}" if answers else ""

    def title(self, experiment: str, method: str) -> str:
        """The title of a method or variant on the page."""
        return self.config.title(experiment, method, self.methods(experiment, method).title)
