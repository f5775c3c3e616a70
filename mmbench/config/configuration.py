"""The configuration, checked against the existing parts and split into the settings of each stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmbench.config import consistency
from mmbench.config.check import TOP, check, origin
from mmbench.config.extractors import Described, described
from mmbench.config.literals import data_modalities
from mmbench.config.method_section import LABELLED, MODALITIES, SAMPLE, MethodSection
from mmbench.config.methods import tag_of
from mmbench.config.profiles import find_named, find_profile
from mmbench.config.schema import Experiment, Profile, Top, experiment_schema, merge
from mmbench.config.yaml_files import read_yaml, shown, typed
from mmbench.errors import UserError
from mmbench.experiments import Tasks, load_tasks
from mmbench.modalities import can_be_missing

#: The sections of a stage's settings; an edit of another section does not affect the stage's results.
STAGE_SECTIONS = {
    "data": ("data",),
    "cases": ("data", "evaluate"),
    "train": ("data", "network", "train"),
    "predict": ("data", "network", "sample"),
    "tune": ("data", "network", "train", "sample", "evaluate"),
    "evaluate": ("evaluate",),
    "reference": ("evaluate",),
}


class Config:
    """The whole configuration, checked.

    Args:
        values: the merged top-level keys, as Snakemake passes them.

    Attributes:
        top: config/config.yaml.
        override: its key `override`, with YAML's types.
        profile: the sections of the run.
        name, file: of the profile, for paths and for errors.
        experiments: the file of each experiment.

    Raises:
        UserError: a file is missing or not YAML, a key is unknown or has a wrong value.
    """

    def __init__(self, values: Mapping[str, Any], root: Path) -> None:
        self.root = root
        self.top = check(Top, dict(values), TOP)
        path = find_profile(self.top.profile, root)
        self.name, self.file = path.stem, shown(path, root)
        self.override = typed(self.top.override)
        self.profile = check(Profile, merge(read_yaml(path, root), self.override), self.file, self.override)
        self.experiments = {name: self._read_experiment(name) for name in self.profile.experiments}
        self._sections: dict[tuple[str, str], MethodSection] = {}
        consistency.check_data(self.profile, self.file, self.override, root)
        for name, section in self.experiments.items():
            consistency.check_ablations(section, experiment_file(name))
            for method in {*section.methods, *section.every_variant()}:
                self.section(name, method).check()
        consistency.check_processes(self.top, self.profile, self.file, self.override)
        consistency.check_limits(self.top)
        self.extractors()
        consistency.check_listed(self.profile, self.file, self.experiments)
        for name, section in self.experiments.items():
            consistency.check_choices(section.choice, list(self.tasks(name).tasks), experiment_file(name))

    def _read_experiment(self, name: str) -> Experiment:
        file = find_named(name, self.root / "config" / "experiments", f"{self.file}: experiments")
        return check(experiment_schema(name), read_yaml(file, self.root), shown(file, self.root))

    def check_methods(self, methods: Mapping[str, Collection[str]]) -> None:
        """Check that every method in the configuration exists; `methods` has the names by experiment.

        Raises:
            UserError: a method does not exist, an experiment has no method left, or a training run is too short for
                the profile's snapshots.
        """
        for name, section in self.experiments.items():
            consistency.check_described(section, methods[name], experiment_file(name))
        consistency.check_chosen(self.profile, self.file, methods, self.root)
        variants = {name for section in self.experiments.values() for name in section.every_variant()}
        consistency.check_limited(self.top, {*variants, *(name for names in methods.values() for name in names)})
        for name, names in methods.items():
            if not self.chosen(name, names):
                raise UserError(f"{self.file}: methods: none is of experiment '{name}'; add one of {', '.join(names)}")
            for method in names:
                self.snapshots(name, method)

    @property
    def results(self) -> Path:
        """Folder of this profile's results."""
        return Path(self.top.results) / self.name

    # Experiments.

    def tasks(self, experiment: str) -> Tasks:
        """The tasks of an experiment of this checkout."""
        return load_tasks(experiment, self.root)

    def modalities(self, experiment: str) -> list[str]:
        """The used modalities of an experiment that also runs with fewer than all; empty for other experiments.

        They are also the tasks of learning for a model of all modalities: the tasks of the experiment are many more,
        but combine the same modalities. If the data set's module does not list its modalities, all are expected.
        """
        options, tasks = self.experiments[experiment].options(), self.tasks(experiment)
        in_data = data_modalities(self.root, self.profile.data.name)
        made = [*tasks.made, *(["embedding"] if "extractor" in options else [])]
        wanted = options.get(MODALITIES, tasks.optional)
        return [
            name for name in tasks.optional if name in wanted and (in_data is None or name in in_data or name in made)
        ]

    def kinds(self, experiment: str) -> dict[str, str]:
        """The kinds of an experiment's modalities, by name, except those that only the data set's files define."""
        return self.tasks(experiment).kinds(data_modalities(self.root, self.profile.data.name) or {})

    def can_be_missing(self, experiment: str) -> list[str]:
        """The modalities of an experiment that an item may lack, including those of a kind not yet known."""
        kinds, folder = self.kinds(experiment), self.root / "mmbench" / "modalities"
        return [x for x in self.tasks(experiment).known if x not in kinds or can_be_missing(kinds[x], folder)]

    def extractors(self) -> list[Described]:
        """The extractors for metrics that compare images as sets.

        Raises:
            UserError: an extractor does not exist, or two have the same name.
        """
        where = f"{origin(typed(self.top.override), ['evaluate', 'features'], self.file)}: evaluate.features"
        weights = Path(self.top.results) / "weights"
        extractors = [described(entry, weights, where) for entry in self.profile.evaluate.features]
        names = [about.name for about in extractors]
        if twins := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"{where}: two are called '{twins[0]}'; rename a file")
        return extractors

    def limit(self, rule: str, method: str = "") -> tuple[str, float] | None:
        """The key and the minutes of a job's time limit: of its method, of a variant's method, or of all."""
        keys = [f"{rule}/{method}", f"{rule}/{method.partition('@')[0]}", rule]
        return next(((f"limits.{key}", self.top.limits[key]) for key in keys if key in self.top.limits), None)

    def ablations(self, experiment: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Names and settings of an experiment's ablation, by axis: all axes, or those that the profile names."""
        axes, wanted = self.experiments[experiment].ablations, self.profile.ablations
        return {axis: entries for axis, entries in axes.items() if wanted is None or axis in wanted}

    # Methods.

    def section(self, experiment: str, name: str) -> MethodSection:
        """The configuration of a method; that of a variant `<method>@<tag>` overrides its method's."""
        key = (experiment, name)
        if key not in self._sections:
            configured = self.experiments[experiment]
            self._sections[key] = MethodSection(
                f"{experiment_file(experiment)}: {name}",
                configured.settings(name),
                configured.every_variant().get(name, {}),
                self.profile,
                self.tasks(experiment),
                self.modalities(experiment),
                self.can_be_missing(experiment),
            )
        return self._sections[key]

    def chosen(self, experiment: str, names: Collection[str]) -> list[str]:
        """The methods of an experiment that the profile selects: all, or those in its `methods`.

        An entry `<experiment>/<method>` applies to that experiment alone and does not change the others.
        """
        entries = [entry.rpartition("/") for entry in self.profile.methods or ()]
        wanted = [method for of, _, method in entries if of in ("", experiment)]
        named = any(not of for of, _, _ in entries) or bool(wanted)
        return [name for name in names if name in wanted or not named]

    def title(self, experiment: str, name: str, title: str) -> str:
        """A method's title; a variant's has its tag."""
        variant = name in self.experiments[experiment].every_variant()
        return f"{title} [{tag_of(name)}]" if variant else title

    def snapshots(self, experiment: str, method: str) -> dict[float, int]:
        """The step of each of the profile's `snapshots` in a method's training run.

        They are in no stage's settings, since the training run does not depend on its snapshots.

        Raises:
            UserError: two have the same step, or one is not a step before the last.
        """
        steps = self.section(experiment, method).steps
        at = {share: round(share * steps) for share in self.profile.snapshots}
        if len({0, steps, *at.values()}) < len(at) + 2:
            raise UserError(
                f"{origin(self.override, ['snapshots'], self.file)}: snapshots: of the {steps} steps of "
                f"{experiment}/{method}, {', '.join(map(str, at))} are the steps {', '.join(map(str, at.values()))}; "
                "name fewer, or train longer, so that all differ and come before the last"
            )
        return at

    # Values.

    def described(self, experiments: Collection[str] | None = None) -> dict[str, Any]:
        """The whole configuration of these experiments (None: all) that their numbers may depend on."""
        names = self.experiments if experiments is None else experiments
        return {
            "profile": self.top.profile,
            "override": self.override,
            "values": {
                "profile": self.profile.model_dump(mode="json"),
                "experiments": {name: self.experiments[name].model_dump(mode="json") for name in names},
            },
        }

    def settings(
        self, stage: str, experiment: str | None = None, method: str | None = None, source: str | None = None
    ) -> dict[str, Any]:
        """The settings of one job: only the sections its stage needs, so that only their edits rerun it.

        Args:
            stage: a key of `STAGE_SECTIONS`.
            experiment, method: the experiment and method of the job, if its stage has them.
            source: the method whose weights it uses, if another one: its settings hold too, and `method`'s override
                them.
        """
        values = {name: getattr(self.profile, name).model_dump(mode="json") for name in STAGE_SECTIONS[stage]}
        if stage == "cases":  # cases do not depend on the extractors, nor choices on further extractors
            del values["evaluate"]["features"]
        elif stage == "tune":
            del values["evaluate"]["features"][1:]
        if experiment:
            options = self.experiments[experiment].options()
            values["experiment"] = experiment
            values |= options if stage in ("cases", "tune") else {k: v for k, v in options.items() if k == MODALITIES}
            if SAMPLE in values:
                choice = self.experiments[experiment].choice
                values["choice"] = {task: entry.model_dump(mode="json") for task, entry in choice.items()}
            if method:
                self._add_method(values, experiment, method, source or method)
        return values

    def _add_method(self, values: dict[str, Any], experiment: str, method: str, source: str) -> None:
        """Put the configuration of a method, and of the one whose weights it uses, into a job's settings."""
        section, used = self.section(experiment, method), self.modalities(experiment)
        shared = self.section(experiment, source)
        values |= {"method": method, "method_settings": merge(shared.settings, section.settings)}
        if section.modalities:
            values[MODALITIES] = section.modalities
        if SAMPLE in values:
            values[SAMPLE] |= section.sample
        if "network" in values:
            values["network"]["width"] = shared.width
        if "train" in values:
            values["train"] |= {"steps": section.steps, "warmup": min(values["train"]["warmup"], section.steps)}
            shares = {name: share for name, share in section.labelled.items() if not used or name in used}
            if shares:
                values["train"][LABELLED] = shares


def experiment_file(experiment: str) -> str:
    """The file of an experiment's configuration, for errors."""
    return f"config/experiments/{experiment}.yaml"
