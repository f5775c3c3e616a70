"""The schema of the configuration: one model for each file and section, with all keys known and all values bounded.

An experiment with additional keys describes them in its module `options`, as a class `Options` derived from
`Experiment`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    model_serializer,
)

from mmbench.config.extractors import DEFAULT
from mmbench.config.methods import method_of
from mmbench.config.yaml_files import typed
from mmbench.errors import LARGEST_NUMBER
from mmbench.experiments import load_part, names

Count = Annotated[int, Field(gt=0, le=LARGEST_NUMBER, strict=True)]
Minutes = Annotated[float, Field(gt=0, le=525_600, strict=True)]  # a year
Whole = Annotated[int, Field(ge=0, le=LARGEST_NUMBER, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Evaluations = Annotated[int, Field(gt=0, le=1000, strict=True)]
#: A share of the evaluations, see mmbench.method.Sampling.
Commit = Annotated[float, Field(ge=0, lt=1)]
MethodName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
ChosenName = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]*/)?[a-z][a-z0-9_]*$")]
#: The samplers of mmbench.models.diffusion.sampler, whose import needs PyTorch.
SamplerName = Literal["ancestral", "ddim", "dpm++", "dpm++snr", "dpm++sde"]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*@[a-z0-9_.]+$")]
AblatedName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(@[a-z0-9_.]+)?$")]
AxisName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 ]*$")]


COMPARED = 16  # the smallest number of images on either side of a comparison of two sets
SMALLEST, LARGEST = 32, 1024  # side of an image in pixels; LPIPS needs at least 31


def pixels(value: Any) -> Any:
    """`value` if it is the side of a square image or [height, width], in pixels."""
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    if not all(type(side) is int and SMALLEST <= side <= LARGEST for side in sides):
        raise ValueError(f"write a side in pixels from {SMALLEST} to {LARGEST}, or [height, width]")
    return value


def plain_path(value: str) -> str:
    """`value` if it is a path that needs no quotes in a shell or in Snakemake."""
    if not re.fullmatch(r"[\w./][\w./@%+=:,-]*", value):
        raise ValueError("write a path without spaces, quotes or brackets, which does not begin with - ~ @ or %")
    return value


def distinct(values: list[Any]) -> list[Any]:
    """`values` if no two are equal."""
    if len(set(values)) < len(values):
        raise ValueError("name each only once")
    return values


def distinct_percent(shares: list[float]) -> list[float]:
    """`shares` if no two round to the same whole percentage, which names the case of a share."""
    percent = [round(100 * share) for share in shares]
    if len(set(percent)) < len(percent) or not all(0 < p < 100 for p in percent):
        raise ValueError("cases are named by whole percentages from 1 to 99: no two may round to the same")
    return shares


def rising(values: list[float]) -> list[float]:
    """`values` if each is larger than the one before."""
    if values != sorted(set(values)):
        raise ValueError("list them from small to large, each only once")
    return values


def even_parts(value: int, info: ValidationInfo) -> int:
    """`value` if a batch can be divided into this number of equal parts."""
    if info.data.get("batch_size", 0) % value:
        raise ValueError(f"write a number by which batch_size, {info.data['batch_size']}, can be divided")
    return value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` overridden by the values of `over`, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


class Section(BaseModel):
    """A part of the configuration in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """The data set, the size of its images, and the number of items of each split (all if null)."""

    name: str
    size: Annotated[Any, AfterValidator(pixels)]
    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None
    root: str | None = None


class Network(Section):
    """Arguments of the backbone that every trained method shares."""

    width: Annotated[int, Field(gt=0, multiple_of=8, strict=True)] = 32
    channel_mult: Annotated[list[Count], Field(min_length=1)] = [1, 2, 4]
    layers: Count = 1
    patch: Count = 1
    attention: Flag = False


class Train(Section):
    """The length and the optimiser of a training run."""

    steps: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Count
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["fp32", "bf16"]
    flip: Flag
    checkpoint_every: Count
    shards: Annotated[Count, AfterValidator(even_parts)] = 1

    @model_serializer(mode="wrap")
    def without_one(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All keys, without `shards` if it is 1: the same is computed as before the key existed."""
        return {key: value for key, value in handler(self).items() if (key, value) != ("shards", 1)}


class SampleOverride(Section):
    """The sampling of a single method or variant; the batch size is the same for all methods."""

    sampler: SamplerName | None = None
    commit: Commit | Literal["never"] | None = None
    nfe: Evaluations | None = None


class Sample(SampleOverride):
    """The sampling of methods: the sampler (that of each task if null) and the largest number of evaluations, `nfe`."""

    nfe: Evaluations
    batch_size: Count


class Evaluate(Section):
    """The number of scored items, the split that represents the real distribution, and the extractors."""

    reconstructions: Count
    samples: Annotated[int, Field(ge=COMPARED, le=LARGEST_NUMBER, strict=True)]
    reference: Literal["train", "validation", "test"]
    features: Annotated[
        list[Annotated[str, AfterValidator(plain_path)]], Field(min_length=1), AfterValidator(distinct)
    ] = list(DEFAULT)


class Profile(Section):
    """The size of a run: config/profiles/<name>.yaml."""

    description: str
    experiments: Annotated[list[str], Field(min_length=1), AfterValidator(distinct)]
    seeds: Annotated[list[Whole], Field(min_length=1), AfterValidator(distinct)]
    data: Data
    network: Network
    train: Train
    sample: Sample
    evaluate: Evaluate
    methods: Annotated[list[ChosenName], Field(min_length=1), AfterValidator(distinct)] | None = None
    variants: Annotated[list[VariantName], AfterValidator(distinct)] = []
    snapshots: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], AfterValidator(rising)] = []
    ablations: Annotated[list[AxisName], AfterValidator(distinct)] | None = None


class Candidate(Section):
    """One candidate of sampling: `evaluations` is a share of the profile's `sample.nfe`."""

    sampler: SamplerName
    evaluations: Annotated[float, Field(gt=0, le=1)] = 1.0
    guidance: Annotated[float, Field(ge=0)] = 0.0
    commit: Commit | None = None


class Choice(Section):
    """The candidates for a task, the metric that decides, and the smallest number of validation items of a case."""

    by: str
    least: Count
    candidates: Annotated[list[Candidate], Field(min_length=1)]
    also: list[str] = []


class Experiment(Section):
    """The settings of an experiment and of its methods: config/experiments/<name>.yaml."""

    choice: dict[str, Choice] = {}
    methods: dict[MethodName, dict[str, Any]] = {}
    variants: dict[VariantName, dict[str, Any]] = {}
    ablations: dict[AxisName, dict[AblatedName, dict[str, Any]]] = {}

    def every_variant(self) -> dict[str, dict[str, Any]]:
        """The settings of every variant, whether it is on an axis of the ablation or not."""
        ablated = {name: settings for axis in self.ablations.values() for name, settings in axis.items() if "@" in name}
        return {**self.variants, **ablated}

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a method; a variant's are its method's, overridden by its own."""
        return merge(self.methods.get(method_of(name), {}), self.every_variant().get(name, {}))

    def options(self) -> dict[str, Any]:
        """The values of the keys that only this experiment has, as far as they are set."""
        return self.model_dump(mode="json", exclude=set(Experiment.model_fields), exclude_none=True)


def experiment_schema(name: str) -> type[Experiment]:
    """The schema of config/experiments/<name>.yaml: its class `Options`, if it has one."""
    module = load_part(name, "options") if name in names() else None
    options: type[Experiment] = module.Options if module else Experiment
    return options


class Top(Section):
    """config/config.yaml, overridden by `snakemake --config`."""

    profile: str
    results: Annotated[str, AfterValidator(plain_path)]
    conda_env: str
    threads: Count
    gpu: Whole
    processes: Count = 1
    limits: Annotated[dict[str, Minutes], BeforeValidator(typed)] = {}
    override: dict[str, Any] = {}
