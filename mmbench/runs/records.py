"""The only reader of the records of a run: the schema of each, checked when it is read; an error is one line.

Records may have been written by hand, by another program or by another version. Further keys are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mmbench.config.check import check, got
from mmbench.config.extractors import DEFAULT
from mmbench.config.schema import (
    Choice,
    Count,
    Flag,
    MethodName,
    Network,
    Sample,
    SamplerName,
    Train,
    VariantName,
    Whole,
    experiment_schema,
)
from mmbench.errors import UserError
from mmbench.files.store import read_record
from mmbench.modalities import FORMER
from mmbench.modalities import names as kinds

Extractors = Annotated[list[str], Field(min_length=1)]
Number = Annotated[float, Field(strict=True)]
Colour = Annotated[list[Annotated[int, Field(ge=0, le=255, strict=True)]], Field(min_length=3, max_length=3)]
Side = Annotated[int, Field(ge=8, le=1024, strict=True)]


class Record(BaseModel):
    """A record with required keys; further keys are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Embedded(Record):
    """The embeddings of a data folder."""

    size: Count


class Described(Record):
    """The classes, labels and embeddings that a data set's card describes."""

    classes: Annotated[list[str], Field(max_length=255)] | None = None
    palette: Annotated[list[Colour], Field(max_length=255)] | None = None
    labels: list[str] | None = None
    embedding: Embedded | None = None


class Shared(Record):
    """The number of images of a split that are in another one, and of further ones that are near duplicates."""

    split: str
    other: str
    exact: Whole
    near: Whole


class Counted(Record):
    """A split in card.json, as far as it counts items that lack a modality."""

    without: dict[str, Whole] = {}


class Card(Described):
    """card.json of a data folder."""

    size: Annotated[list[Side], Field(min_length=2, max_length=2)]
    modalities: list[str] | dict[str, str | dict[str, Any]] = []
    splits: dict[str, Counted] = {}
    other_files: dict[str, Whole] = {}
    shared: list[Shared] = []


class Split(Record):
    """A split in card.json."""

    count: Whole
    sha256: str


class Prepared(Record):
    """The entries of card.json that the manifest of a run needs."""

    splits: dict[str, Split]


class CaseEntry(Record):
    """One case in cases.json."""

    name: str
    task: str
    count: Count
    given: list[str]
    want: list[str]
    sha256: str
    share: Number | None = None
    alpha_bar: Number | None = None


class Cases(Record):
    """cases.json."""

    cases: list[CaseEntry]


def known_kind(kind: str) -> str:
    """`kind` if this version or an earlier one has a kind of that name."""
    if kind not in (known := [*kinds(), *FORMER]):
        raise ValueError(f"there are {', '.join(known)}")
    return kind


class Shape(Record):
    """A modality in training.json."""

    kind: Annotated[str, AfterValidator(known_kind)]
    shape: Annotated[list[Count], Field(max_length=3)]
    classes: Whole


class Built(Record):
    """The settings that a method was built with."""

    experiment: MethodName
    method: MethodName | VariantName
    network: Network
    method_settings: dict[str, Any]


class Training(Record):
    """The entries of training.json that are needed to build the model."""

    settings: Built
    modalities: Annotated[dict[str, Shape], Field(min_length=1)]
    card: Described | None = None


class Provenance(Record):
    """The provenance of a record, as far as it was recorded."""

    git_sha: str | None = None
    git_dirty: bool | None = None
    inputs_sha256: dict[str, str] | None = None


class Cost(Record):
    """The cost and the provenance of a stage, as far as they were recorded."""

    parameters: Number | None = None
    images_seen: Number | None = None
    flops: Number | None = None
    seconds: Number | None = None
    evaluate_seconds: Number | None = None
    peak_memory_bytes: Number | None = None
    seed: Whole | None = None
    device: str | None = None
    provenance: Provenance | None = None


class Loss(Record):
    """A point of a training curve."""

    step: Whole
    loss: Number | None = None


class Cosines(Record):
    """Cosines between the gradients of pairs of loss terms at a step; null where a gradient is 0."""

    step: Whole
    pairs: dict[str, Number | None]


class Trained(Cost):
    """The entries of training.json that describe the training run."""

    settings: dict[str, Any] | None = None
    curve: list[Loss] | None = None
    validation_curve: list[Loss] | None = None
    gradient_cosines: list[Cosines] | None = None


class Answer(Record):
    """The cost of one case's answers."""

    nfe: Number | None = None
    seconds: Number | None = None


class Predicted(Cost):
    """predictions.json; an external method may have written it."""

    cases: dict[str, Answer] = {}
    tuned: dict[str, Number] | None = None


class Metric(Record):
    """A value of a metric; null if it could not be measured."""

    name: str
    case: str
    value: Number | None
    n: Whole
    higher_is_better: Flag
    share: Number | None = None
    extractor: str | None = None
    weights_sha256: str | None = None
    detail: dict[str, Any] | None = None


class Spent(Record):
    """The cost of training and prediction, as metrics.json repeats it."""

    parameters: Number | None = None
    images_seen: Number | None = None
    training_flops: Number | None = None
    train_seconds: Number | None = None
    predict_seconds: Number | None = None
    peak_memory_bytes: Number | None = None
    nfe: dict[str, Number | None] | None = None
    device: str | None = None


class Scores(Record):
    """metrics.json."""

    method: str
    title: str
    seed: Whole
    metrics: list[Metric]
    cost: Spent | None = None
    provenance: Provenance | None = None


class Floor(Record):
    """The other real items that a reference is compared with."""

    split: str
    n: Whole


class Seen(Record):
    """An extractor that compares images."""

    weights_sha256: str


class Real(Record):
    """reference.json: the real items with which generated ones are compared."""

    split: str
    n: Whole | None = None
    extractors: dict[str, Seen] = {}  # earlier versions had one, under other keys
    floor: Floor | None = None
    metrics: list[Metric] = []
    provenance: Provenance | None = None


class Tried(Record):
    """Settings that were tried on the validation split, and their scores."""

    settings: dict[str, Number]
    metrics: list[Metric] = []


class Drawing(Record):
    """The sampling of answers: the fields of `mmbench.method.Sampling`."""

    sampler: SamplerName
    nfe: Count
    guidance: Number | None = None
    commit: Number | None = None


class ChosenDrawing(Record):
    """The sampling that was chosen for some tasks."""

    tasks: Annotated[list[str], Field(min_length=1)]
    chosen: Drawing


class Tuned(Record):
    """tuned.json: the choices of the method's own settings and of its sampling."""

    chosen: dict[str, Number]
    drawings: list[ChosenDrawing] = []
    tried: list[Tried] = []


class TimedOut(Record):
    """timed_out.json of a job that exceeded its time limit: the configuration's key of the limit, and the limit."""

    key: str
    minutes: Number


#: The schema of each record of a run, and the stage that writes it.
RECORDS: dict[str, tuple[type[Record], str]] = {
    "cases.json": (Cases, "cases"),
    "training.json": (Trained, "train"),
    "predictions.json": (Predicted, "predict"),
    "metrics.json": (Scores, "evaluate"),
    "reference.json": (Real, "reference"),
    "tuned.json": (Tuned, "tune"),
}


def read_result(path: Path) -> dict[str, Any]:
    """The content of a record of a run, whose name is a key of `RECORDS`; errors are those of `checked`."""
    model, stage = RECORDS[path.name]
    return checked(path, model, f"delete it and run mmbench.stages.{stage} again")


def checked(path: str | Path, model: type[Record], remedy: str) -> dict[str, Any]:
    """The content of a JSON file, after it was checked by the schema `model`.

    Args:
        remedy: the advice in errors about a file with another content.

    Raises:
        UserError: the file is missing or not JSON, or a key is missing or has a wrong value.
    """
    record = read_record(path)
    try:
        model.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = "missing" if first["type"] == "missing" else got(first["input"], first["msg"])
        raise UserError(f"{path}: {'.'.join(keys(record, first['loc']))}: {wrong}; {remedy}") from None
    return record


def keys(record: Any, path: Sequence[int | str]) -> Iterator[str]:
    """The keys that lead to a value; an entry of a list is called by its name if it has one, else by its number."""
    for key in path:
        try:
            record = record[key]
        except (KeyError, IndexError, TypeError):
            record = None
        named = isinstance(key, int) and isinstance(record, dict) and isinstance(record.get("name"), str)
        yield record["name"] if named else str(key)


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card.json of a folder that `python -m mmbench.stages.data` or `mmbench.stages.embed` wrote."""
    return checked(Path(folder) / "card.json", Card, f"delete {folder} and prepare the data again")


def read_tuned(path: Path) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """The choices of `python -m mmbench.stages.tune`: settings of the method, and sampling by task."""
    record = checked(path, Tuned, "delete it and run mmbench.stages.tune again")
    by_task = {task: entry["chosen"] for entry in record.get("drawings", []) for task in entry["tasks"]}
    return record["chosen"], by_task


class Asked(Record):
    """The numbers of items in the cases."""

    reconstructions: Count
    samples: Count


class Compared(Record):
    """The real items with which generated ones are compared, and the extractors that compare them."""

    samples: Count
    reference: Literal["train", "validation", "test"]
    features: Extractors = list(DEFAULT)


class Looked(Record):
    """The extractors that compare generated items with real ones."""

    features: Extractors = list(DEFAULT)


class Labelled(Train):
    """The section `train`, with the shares of the items that keep a modality."""

    model_config = Record.model_config
    labelled: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)


class StageSettings(Record):
    """Settings of every stage of an experiment."""

    experiment: MethodName
    modalities: list[str] | None = None


class CasesSettings(StageSettings):
    """Settings of `mmbench.stages.cases`."""

    evaluate: Asked


class ReferenceSettings(StageSettings):
    """Settings of `mmbench.stages.reference`."""

    evaluate: Compared


class EvaluateSettings(StageSettings):
    """Settings of `mmbench.stages.evaluate`."""

    evaluate: Looked = Looked()


class MethodSettings(StageSettings, Built):
    """Settings of the stages that build a method."""


class TrainSettings(MethodSettings):
    """Settings of `mmbench.stages.train`."""

    train: Labelled


class PredictSettings(MethodSettings):
    """Settings of `mmbench.stages.predict`."""

    sample: Sample
    choice: dict[str, Choice] = {}


class TuneSettings(PredictSettings):
    """Settings of `mmbench.stages.tune`."""

    evaluate: Asked
    train: Labelled


STAGES: dict[str, type[StageSettings]] = {
    "cases": CasesSettings,
    "train": TrainSettings,
    "predict": PredictSettings,
    "tune": TuneSettings,
    "evaluate": EvaluateSettings,
    "reference": ReferenceSettings,
}


def read_settings(path: str | Path, stage: str) -> dict[str, Any]:
    """The settings of a job of a stage, a key of `STAGES`, from a JSON file as the workflow writes it.

    Raises:
        UserError: the file is missing or not JSON, or a key that the stage needs is missing or has a wrong value.
    """
    settings = checked(path, STAGES[stage], f"write what mmbench.stages.{stage} needs, see config/README.md")
    if stage in ("cases", "tune"):
        schema = experiment_schema(settings["experiment"])
        check(schema, {key: settings[key] for key in schema.model_fields if key in settings}, str(path))
    return settings
