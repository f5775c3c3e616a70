"""The configuration, checked against what exists, and cut into the settings of each stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmbench.config.check import TOP, check, origin, unknown
from mmbench.config.extractors import Described, described
from mmbench.config.literals import data_modalities
from mmbench.config.profiles import find_named, find_profile
from mmbench.config.schema import COMPARED, Experiment, OwnSample, Profile, Top, experiment_schema
from mmbench.config.yaml_files import read_yaml, shown, typed
from mmbench.errors import UserError
from mmbench.experiments import Tasks, load_tasks
from mmbench.modalities import can_be_missing

MODALITIES = "modalities"  # the only ones to use: an experiment's option, and a method's own
BUDGET, PER_TASK = "budget", "per_task"  # a method's share of the steps, for comparisons at equal compute
LABELLED = "labelled"  # shares of the training items that keep a modality
SAMPLE = "sample"  # a method's own sampler and number of evaluations
WIDEN = "widen"  # a method's width as a multiple of the profile's, for comparisons with larger single tasks
#: Keys of a method's section that are no arguments of its class.
OF_THE_RUN = (BUDGET, LABELLED, SAMPLE, MODALITIES, WIDEN)

#: Rules whose jobs may have a time limit, and those of them whose jobs are of one method.
LIMITED = (
    "data",
    "lpips",
    "efficientnet",
    "embed",
    "cases",
    "train",
    "judge",
    "tune",
    "predict",
    "reference",
    "evaluate",
)
OF_A_METHOD = ("train", "tune", "predict", "evaluate")

#: Sections that a stage's settings consist of; an edit elsewhere leaves the stage's results alone.
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
        values: the merged top-level keys, as Snakemake hands them over.
        root: the checkout.

    Raises:
        UserError: a file is missing or not YAML, a key is unknown or has a wrong value.
    """

    def __init__(self, values: Mapping[str, Any], root: Path) -> None:
        self.root = root
        self.top = check(Top, dict(values), TOP)
        path = find_profile(self.top.profile, root)
        self.name, self.file = path.stem, shown(path, root)
        override = typed(self.top.override)
        self.profile = check(Profile, merge(read_yaml(path, root), override), self.file, override)
        self.experiments = {name: self._experiment(name) for name in self.profile.experiments}
        self._check_data(override)
        self._check_training()
        self._check_processes(override)
        self._check_limits()
        self._check_named("variants", {v for e in self.experiments.values() for v in e.every_variant()})
        self._check_choices()
        self.extractors()
        self._check_named("ablations", {axis for e in self.experiments.values() for axis in e.ablations})

    def _experiment(self, name: str) -> Experiment:
        file = find_named(name, self.root / "config" / "experiments", f"{self.file}: experiments")
        return check(experiment_schema(name), read_yaml(file, self.root), shown(file, self.root))

    def _check_named(self, key: str, known: Collection[str]) -> None:
        """What the profile lists under `key` must be described by one of its experiments."""
        for name in getattr(self.profile, key) or ():
            if name not in known:
                raise unknown(f"{self.file}: {key}", name, sorted(known))

    def _check_data(self, override: Mapping[str, Any]) -> None:
        """Sections must fit each other and the code, before hours of training show that they do not."""
        data, network, wanted = self.profile.data, self.profile.network, self.profile.evaluate.reconstructions
        known = sorted(p.stem for p in (self.root / "mmbench" / "data").glob("[!_]*.py"))
        if data.name not in known:
            raise unknown(f"{origin(override, ['data', 'name'], self.file)}: data.name", data.name, known)
        multiple = network.patch * 2 ** (len(network.channel_mult) - 1)
        sides = data.size if isinstance(data.size, list) else [data.size]
        if any(side % multiple for side in sides):
            raise UserError(
                f"{origin(override, ['data', 'size'], self.file)}: data.size: {data.size} does not fit the network; "
                f"write multiples of {multiple} (network.patch, doubled by each further level of network.channel_mult)"
            )
        if data.test is not None and wanted > data.test:
            raise UserError(
                f"{origin(override, ['evaluate', 'reconstructions'], self.file)}: evaluate.reconstructions: {wanted} "
                f"test images wanted, data.test has {data.test}; lower the one or raise the other"
            )

        reference = self.profile.evaluate.reference
        floor = "test" if reference == "train" else "train"  # what the real images are compared with: other real ones
        for split in dict.fromkeys([reference, floor, "test"]):
            if (getattr(data, split) or COMPARED) < COMPARED:
                raise UserError(
                    f"{origin(override, ['data', split], self.file)}: data.{split}: got {getattr(data, split)}; its "
                    f"images are compared with others (evaluate.reference: {reference}), which takes {COMPARED}; "
                    "write more"
                )

    @property
    def results(self) -> Path:
        """Folder of this profile's results."""
        return Path(self.top.results) / self.name

    def _check_training(self) -> None:
        for name, section in self.experiments.items():
            self._check_ablations(name)
            for method in {*section.methods, *section.every_variant()}:
                self.steps(name, method)
                self.width(name, method)
                self.labelled(name, method)
                self.own_sample(name, method)
                self.learns(name, method)

    def extractors(self) -> list[Described]:
        """What sees the images of the metrics that compare them as sets.

        Raises:
            UserError: one does not exist, or two have the same name.
        """
        found = [described(entry, Path(self.top.results) / "weights") for entry in self.profile.evaluate.features]
        names = [about.name for about in found]
        if twins := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"{self.file}: evaluate.features: two are called '{twins[0]}'; rename a file")
        return found

    def _check_processes(self, override: Mapping[str, Any]) -> None:
        """The processes of a training share the shards of its batches."""
        shards, processes = self.profile.train.shards, self.top.processes
        if shards % processes:
            where = origin(override, ["train", "shards"], self.file)
            raise UserError(
                f"{TOP}: processes: {processes} of them cannot share {shards} shards of a batch evenly; set "
                f"train.shards to a multiple (now {where}), or processes to a divisor"
            )

    def _check_limits(self) -> None:
        """Limits must be of rules, or of a method's jobs of a rule; which methods there are is not known here."""
        for key in self.top.limits:
            rule, _, method = key.partition("/")
            if rule not in LIMITED:
                raise unknown(f"{TOP}: limits", rule, LIMITED)
            if method and rule not in OF_A_METHOD:
                raise UserError(f"{TOP}: limits: {key}: {rule} has no job for each method; write {rule}")

    def limit(self, rule: str, method: str = "") -> tuple[str, float] | None:
        """The key and the minutes of a job's time limit: of its method, of the method that a variant is of, or of all.

        Args:
            rule: of the job.
            method: the method or variant that the job is of, if it is of one.
        """
        keys = [f"{rule}/{method}", f"{rule}/{method.partition('@')[0]}", rule]
        return next(((f"limits.{key}", self.top.limits[key]) for key in keys if key in self.top.limits), None)

    def _check_choices(self) -> None:
        """Candidates must be stated for tasks that there are, and once for each."""
        for name, section in self.experiments.items():
            known, seen = [*self.tasks(name).tasks], set[str]()
            for task, choice in section.choice.items():
                where = f"config/experiments/{name}.yaml: choice.{task}"
                for other in (task, *choice.also):
                    if other not in known:
                        raise unknown(where, other, known)
                    if other in seen:
                        raise UserError(f"{where}: '{other}' is there already; name each task once")
                    seen.add(other)

    def _check_ablations(self, experiment: str) -> None:
        """A variant must be described once, and what is no variant has its settings elsewhere."""
        section, seen = self.experiments[experiment], set(self.experiments[experiment].variants)
        for axis, entries in section.ablations.items():
            where = f"config/experiments/{experiment}.yaml: ablations.{axis}"
            for name, own in entries.items():
                if name in seen:
                    raise UserError(f"{where}: {name} is there already; give each variant one place")
                if "@" not in name and own:
                    raise UserError(f"{where}: {name} is a whole method; write {name}: {{}}, or {name}@<tag>")
                seen.add(name)

    def check_methods(self, methods: Mapping[str, Collection[str]]) -> None:
        """Every method that the configuration names must exist; `methods` has the names by experiment.

        `<experiment>/<method>` of an experiment that the profile does not run is left alone, so that an experiment can
        be taken out without its methods.

        Raises:
            UserError: a method does not exist, an experiment is left with none, or a training is too short for the
                profile's snapshots.
        """
        for name, section in self.experiments.items():
            places = {"methods": section.methods, "variants": section.variants}
            places |= {f"ablations.{axis}": entries for axis, entries in section.ablations.items()}
            for key, entries in places.items():
                for entry in entries:
                    if (method := entry.partition("@")[0]) not in methods[name]:
                        raise unknown(f"config/experiments/{name}.yaml: {key}", method, sorted(methods[name]))
        known = sorted({method for names in methods.values() for method in names})
        variants = {variant for section in self.experiments.values() for variant in section.every_variant()}
        for key in self.top.limits:
            if (method := key.partition("/")[2]) and method not in {*known, *variants}:
                raise unknown(f"{TOP}: limits: {key}", method, known)
        of_one = [f"{name}/{method}" for name, names in methods.items() for method in names]
        left_out = [
            path.stem for path in (self.root / "config" / "experiments").glob("*.yaml") if path.stem not in methods
        ]
        for method in self.profile.methods or ():
            if method not in {*known, *of_one} and method.partition("/")[0] not in left_out:
                raise unknown(f"{self.file}: methods", method, of_one if "/" in method else known)
        for name, names in methods.items():
            if not self.chosen(name, names):
                raise UserError(f"{self.file}: methods: none is of experiment '{name}'; add one of {', '.join(names)}")
            for method in names:
                self.snapshots(name, method)

    def chosen(self, experiment: str, names: Collection[str]) -> list[str]:
        """Those of an experiment's methods that the profile wants: all, or those that its `methods` name.

        An entry `<experiment>/<method>` is of that experiment alone, and leaves the others as they were.
        """
        entries = [e.rpartition("/") for e in self.profile.methods or ()]
        wanted = [method for of, _, method in entries if of in ("", experiment)]
        named = any(not of for of, _, _ in entries) or bool(wanted)
        return [name for name in names if name in wanted or not named]

    def title(self, experiment: str, method: str, title: str) -> str:
        """A method's title; a variant's has its tag."""
        variant = method in self.experiments[experiment].every_variant()
        return f"{title} [{method.partition('@')[2]}]" if variant else title

    def method_settings(self, experiment: str, method: str) -> dict[str, Any]:
        """A method's own settings; a variant's `<method>@<tag>` go on top of its method's.

        What is of the run and not of the class, such as `budget`, is none of them.
        """
        return {k: value for k, value in self._section(experiment, method).items() if k not in OF_THE_RUN}

    def _section(self, experiment: str, method: str) -> dict[str, Any]:
        section = self.experiments[experiment]
        base = section.methods.get(method.partition("@")[0], {})
        return merge(base, section.every_variant().get(method, {}))

    def ablations(self, experiment: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Names and settings of what is ablated in an experiment, by axis: all axes, or those the profile names."""
        axes, wanted = self.experiments[experiment].ablations, self.profile.ablations
        return {axis: entries for axis, entries in axes.items() if wanted is None or axis in wanted}

    def own_sample(self, experiment: str, method: str) -> dict[str, Any]:
        """The sampler and number of evaluations that a method or variant has instead of the profile's.

        Raises:
            UserError: anything else is set, or a value is wrong.
        """
        found = self._section(experiment, method).get(SAMPLE, {})
        where = f"config/experiments/{experiment}.yaml: {method}: {SAMPLE}"
        if not isinstance(found, Mapping):
            raise UserError(f"{where}: got {found!r}; write sampler or nfe and its value below it")
        return check(OwnSample, dict(found), where).model_dump(exclude_none=True)

    def only_samples(self, experiment: str, method: str) -> bool:
        """Whether a variant draws with other settings and is trained with the same: its method's weights will do."""
        return set(self.experiments[experiment].every_variant().get(method, {})) == {SAMPLE}

    def learns(self, experiment: str, method: str) -> list[str]:
        """The only modalities that a method or variant is trained on, of those that are used; empty for all.

        Raises:
            UserError: the experiment asks for all modalities of everyone, or they are not the image and others.
        """
        found = self._section(experiment, method).get(MODALITIES)
        if found is None:
            return []
        where = f"config/experiments/{experiment}.yaml: {method}: {MODALITIES}"
        known = self.tasks(experiment).optional
        if not known:
            raise UserError(f"{where}: this experiment needs all of its modalities; take the key out")
        names = [str(name) for name in found] if isinstance(found, list) else []
        for name in names:
            if name not in known:
                raise unknown(where, name, known)
        if known[0] not in names or len(set(names)) < max(2, len(names)):
            raise UserError(f"{where}: got {found!r}; list {known[0]} and at least one other, each once")
        return names

    def tasks(self, experiment: str) -> Tasks:
        """What an experiment of this checkout asks."""
        return load_tasks(experiment, self.root)

    def steps(self, experiment: str, method: str) -> int:
        """Updates of a method's training: the profile's, or the share of them that its `budget` says.

        Raises:
            UserError: the budget is neither a share nor `per_task`.
        """
        budget, steps = self._section(experiment, method).get(BUDGET, 1), self.profile.train.steps
        if budget == PER_TASK:
            budget = 1 / len(self.modalities(experiment) or self.tasks(experiment).tasks)
        if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget <= 1:
            raise UserError(
                f"config/experiments/{experiment}.yaml: {method}: budget: got {budget!r}; write a share of the steps "
                f"above 0 up to 1, or {PER_TASK} for one by the number of tasks"
            )
        return max(1, round(steps * budget))

    def width(self, experiment: str, method: str) -> int:
        """Channels of a method's backbone: the profile's, or `widen` times as many, to the next multiple of 8.

        Raises:
            UserError: `widen` is no number above 0 up to 4.
        """
        widen, width = self._section(experiment, method).get(WIDEN, 1), self.profile.network.width
        if isinstance(widen, bool) or not isinstance(widen, int | float) or not 0 < widen <= 4:
            raise UserError(
                f"config/experiments/{experiment}.yaml: {method}: widen: got {widen!r}; write a multiple of "
                "network.width, a number above 0 up to 4"
            )
        return 8 * max(1, round(widen * width / 8))

    def snapshots(self, experiment: str, method: str) -> dict[float, int]:
        """The step of each of the profile's `snapshots` in a method's training.

        They are in no stage's settings: what is trained does not depend on when it is looked at.

        Raises:
            UserError: two are the same step, or one is no step before the last.
        """
        steps = self.steps(experiment, method)
        found = {share: round(share * steps) for share in self.profile.snapshots}
        if len({0, steps, *found.values()}) < len(found) + 2:
            raise UserError(
                f"{origin(typed(self.top.override), ['snapshots'], self.file)}: snapshots: of the {steps} steps of "
                f"{experiment}/{method}, {', '.join(map(str, found))} are the steps "
                f"{', '.join(map(str, found.values()))}; name fewer, or train longer, so that all differ and come "
                "before the last"
            )
        return found

    def modalities(self, experiment: str) -> list[str]:
        """The modalities that are used in an experiment that can do with fewer than it knows; empty for another.

        They are also what a model of all of them has to learn: questions are many more, but made of the same parts. Of
        a data set whose module does not say what it has, all are expected.
        """
        options = self.experiments[experiment].options()
        asked = self.tasks(experiment)
        listed = asked.optional
        here = data_modalities(self.root, self.profile.data.name)
        made = [*asked.made, *(["embedding"] if "extractor" in options else [])]
        return [
            name
            for name in listed
            if name in options.get(MODALITIES, listed) and (here is None or name in (*here, *made))
        ]

    def kinds(self, experiment: str) -> dict[str, str]:
        """The kinds of an experiment's modalities, by name; but of those whose kind only the data set's files tell."""
        return self.tasks(experiment).kinds(data_modalities(self.root, self.profile.data.name) or {})

    def can_be_missing(self, experiment: str) -> list[str]:
        """The modalities of an experiment that an item may lack; those whose kind only the data set tells, too."""
        kinds = self.kinds(experiment)
        return [n for n in self.tasks(experiment).known if n not in kinds or can_be_missing(kinds[n])]

    def labelled(self, experiment: str, method: str) -> dict[str, float]:
        """Shares of the training items that keep a modality, for those modalities of which some items lack it.

        Raises:
            UserError: no mapping, of what is no modality or cannot be missing, or not to shares.
        """
        shares = self._section(experiment, method).get(LABELLED, {})
        where = f"config/experiments/{experiment}.yaml: {method}: {LABELLED}"
        if not isinstance(shares, Mapping):
            raise UserError(f"{where}: got {shares!r}; write modalities and their shares below it, e.g. mask: 0.5")
        able = self.can_be_missing(experiment)
        for name, share in shares.items():
            if name not in able and name in self.tasks(experiment).known:
                raise UserError(f"{where}: {name} cannot be missing; there are {', '.join(able) or 'none'}")
            if name not in able:
                raise unknown(where, str(name), able)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
                raise UserError(f"{where}: {name}: got {share!r}; write a share of the items above 0 up to 1")
        return dict(shares)

    def described(self, experiments: Collection[str] | None = None) -> dict[str, Any]:
        """All that was configured for these experiments (None: all) and that their numbers may depend on."""
        names = self.experiments if experiments is None else experiments
        return {
            "profile": self.top.profile,
            "override": typed(self.top.override),
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
            experiment, method: what the job is of, as far as its stage has them.
            source: the method whose weights it uses, if not its own: its settings hold here too, below `method`'s own.
        """
        found = {name: getattr(self.profile, name).model_dump(mode="json") for name in STAGE_SECTIONS[stage]}
        if stage == "cases":  # what is asked does not depend on what sees the answers, nor what is chosen on the others
            del found["evaluate"]["features"]
        elif stage == "tune":
            del found["evaluate"]["features"][1:]
        if experiment:
            found["experiment"] = experiment
        if experiment:
            options = self.experiments[experiment].options()
            found |= options if stage in ("cases", "tune") else {k: v for k, v in options.items() if k == MODALITIES}
        if experiment and SAMPLE in found:
            choice = self.experiments[experiment].choice
            found["choice"] = {task: entry.model_dump(mode="json") for task, entry in choice.items()}
        if experiment and method:
            own = self.method_settings(experiment, method)
            shared = self.method_settings(experiment, source) if source else {}
            found |= {"method": method, "method_settings": merge(shared, own)}
            if learns := self.learns(experiment, method):
                found[MODALITIES] = learns
            if SAMPLE in found:
                found[SAMPLE] |= self.own_sample(experiment, method)
            if "network" in found:
                found["network"]["width"] = self.width(experiment, source or method)
        if experiment and method and "train" in found:
            steps = self.steps(experiment, method)
            found["train"] |= {"steps": steps, "warmup": min(found["train"]["warmup"], steps)}
            used = self.modalities(experiment)
            if shares := {k: v for k, v in self.labelled(experiment, method).items() if not used or k in used}:
                found["train"][LABELLED] = shares
        return found


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` on top, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
