"""The configuration: YAML read safely, checked against what exists, and cut into the settings of each stage."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mmbench.errors import UserError

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(@[a-z0-9_.]+)?$")]


class Section(BaseModel):
    """A part of the configuration in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Which data set, how large its images, how many items of each split (all, when null)."""

    name: str
    size: Positive | tuple[Positive, Positive]
    train: Positive | None = None
    validation: Positive | None = None
    test: Positive | None = None
    root: str | None = None


class Network(Section):
    """Arguments of the backbone that every trained method shares."""

    width: Annotated[int, Field(gt=0, multiple_of=8)] = 32
    channel_mult: Annotated[list[Positive], Field(min_length=1)] = [1, 2, 4]
    layers: Positive = 1
    patch: Positive = 1
    attention: bool = False


class Train(Section):
    """One training's length and optimiser."""

    steps: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Positive
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["fp32", "bf16"]
    flip: bool
    checkpoint_every: Positive


class Sample(Section):
    """How sampling methods draw."""

    sampler: Literal["ancestral", "ddim", "dpm++"]
    nfe: Annotated[int, Field(gt=0, le=1000)]
    batch_size: Positive


class Evaluate(Section):
    """How many items are scored, and the split that stands for the real distribution."""

    reconstructions: Positive
    samples: Annotated[int, Field(ge=16)]
    reference: Literal["train", "validation", "test"]


class Profile(Section):
    """The size of a run: config/profiles/<name>.yaml."""

    description: str
    experiments: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    data: Data
    network: Network
    train: Train
    sample: Sample
    evaluate: Evaluate
    methods: list[Name] | None = None
    variants: list[Name] = []


class Experiment(Section):
    """What an experiment asks and how methods are set in it: config/experiments/<name>.yaml."""

    title: str
    shares: Annotated[list[Share], Field(min_length=1)]
    methods: dict[Name, dict[str, Any]] = {}
    variants: dict[Name, dict[str, Any]] = {}


class Top(Section):
    """config/config.yaml, and what `snakemake --config` sets on top of it."""

    profile: str
    results: str
    conda_env: str
    threads: Positive
    gpu: Annotated[int, Field(ge=0)]
    override: dict[str, Any] = {}


T = TypeVar("T", bound=Section)

#: Sections that a stage's settings consist of; an edit elsewhere leaves the stage's results alone.
STAGE_SECTIONS = {
    "data": ("data",),
    "cases": ("data", "evaluate"),
    "train": ("data", "network", "train"),
    "predict": ("data", "network", "sample", "evaluate"),
    "evaluate": ("data", "evaluate"),
    "reference": ("data", "evaluate"),
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
        self.top = check(Top, dict(values), "config/config.yaml")
        path = find_profile(self.top.profile, root)
        profile = merge(read_yaml(path), self.top.override)
        self.profile = check(Profile, profile, self._shown(path))
        self.name = path.stem
        self.experiments: dict[str, Experiment] = {}
        for name in self.profile.experiments:
            file = find_named(name, root / "config" / "experiments", f"{self._shown(path)}: experiments")
            self.experiments[name] = check(Experiment, read_yaml(file), self._shown(file))
        known = sorted({v for e in self.experiments.values() for v in e.variants})
        for variant in self.profile.variants:
            if variant not in known:
                raise UserError(
                    f"{self._shown(path)}: variants: '{variant}' is in no experiment{suggest(variant, known)}; "
                    f"there are {', '.join(known) or 'none'}"
                )

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    @property
    def results(self) -> Path:
        """Folder of this profile's results."""
        return Path(self.top.results) / self.name

    def method_settings(self, experiment: str, method: str) -> dict[str, Any]:
        """A method's own settings; a variant's `<method>@<tag>` go on top of its method's."""
        section = self.experiments[experiment]
        base = section.methods.get(method.partition("@")[0], {})
        return merge(base, section.variants.get(method, {}))

    def settings(self, stage: str, experiment: str | None = None, method: str | None = None) -> dict[str, Any]:
        """The settings of one job: only the sections its stage needs, so that only their edits rerun it."""
        found = {name: getattr(self.profile, name).model_dump(mode="json") for name in STAGE_SECTIONS[stage]}
        if experiment:
            found |= {"experiment": experiment, "shares": self.experiments[experiment].shares}
        if method:
            found["method"] = method
        if experiment and method and stage in ("train", "predict"):
            found["method_settings"] = self.method_settings(experiment, method)
        return found


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file, building nothing but plain values."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not plain YAML ({error}); mend that line") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds {type(found).__name__}, not keys and values; start from a file in config/")
    return found


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` on top, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def suggest(word: str, known: list[str]) -> str:
    """` (did you mean 'x'?)`, or nothing if nothing is close."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def find_named(name: str, folder: Path, where: str) -> Path:
    """`folder`/`name`.yaml; UserError lists the names there are."""
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        raise UserError(f"{where}: '{name}' does not exist{suggest(name, known)}; there are {', '.join(known)}")
    return folder / f"{name}.yaml"


def find_profile(name: str, root: Path) -> Path:
    """A profile by its name in config/profiles, or by its path."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    return find_named(name, root / "config" / "profiles", "config: profile")


def check(model: type[T], values: dict[str, Any], where: str) -> T:
    """`values` as the model; UserError names file, key, and what is allowed, for the first thing that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = known_keys(model, first["loc"][:-1])
        hint = suggest(str(first["loc"][-1]), known)
        raise UserError(f"{where}: {key}: unknown key{hint}; there are {', '.join(known)}")
    if first["type"] == "missing":
        raise UserError(f"{where}: {key}: missing; add it (config/README.md explains every key)")
    raise UserError(f"{where}: {key}: {first['msg']}, got {first['input']!r}")


def known_keys(model: type[Section], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields at `path` inside a model."""
    for part in path:
        inner = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, Section)):
            return []
        model = inner
    return sorted(model.model_fields)
