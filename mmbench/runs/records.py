"""What the JSON files between the stages must hold, checked where they are read; what is wrong is one line.

They may have been written by hand, by somebody else's program or by another version. More keys than these are allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmbench.config.check import check, got
from mmbench.config.schema import (
    Choice,
    Count,
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

Number = Annotated[float, Field(strict=True)]
Colour = Annotated[list[Annotated[int, Field(ge=0, le=255, strict=True)]], Field(min_length=3, max_length=3)]
Side = Annotated[int, Field(ge=8, le=1024, strict=True)]


class Record(BaseModel):
    """Keys that must be there; others may."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Embedded(Record):
    """The embeddings of a data folder."""

    size: Count


class Described(Record):
    """What a data set says of its classes and labels."""

    classes: Annotated[list[str], Field(max_length=255)] | None = None
    palette: Annotated[list[Colour], Field(max_length=255)] | None = None
    labels: list[str] | None = None
    embedding: Embedded | None = None


class Card(Described):
    """card.json of a data folder."""

    size: Annotated[list[Side], Field(min_length=2, max_length=2)]
    modalities: list[str] = []
    splits: dict[str, dict[str, Any]] = {}


class Split(Record):
    """A split in card.json."""

    count: Whole
    sha256: str


class Prepared(Record):
    """card.json, as far as a run is described by it."""

    splits: dict[str, Split]


class CaseEntry(Record):
    """One question in cases.json."""

    name: str
    task: str
    count: Count
    given: list[str]
    want: list[str]
    sha256: str


class Cases(Record):
    """cases.json."""

    cases: list[CaseEntry]


class Shape(Record):
    """A modality in training.json."""

    kind: Literal["image", "masked_image", "mask", "label", "embedding"]
    shape: Annotated[list[Count], Field(max_length=3)]
    classes: Whole


class Built(Record):
    """What a method was built with."""

    experiment: MethodName
    method: MethodName | VariantName
    network: Network
    method_settings: dict[str, Any]


class Training(Record):
    """training.json, as far as a model is made of it."""

    settings: Built
    modalities: Annotated[dict[str, Shape], Field(min_length=1)]
    card: Described | None = None


class Cost(Record):
    """What training.json and predictions.json say of the cost, all of it as far as it is known."""

    parameters: Number | None = None
    images_seen: Number | None = None
    flops: Number | None = None
    seconds: Number | None = None
    evaluate_seconds: Number | None = None
    peak_memory_bytes: Number | None = None
    seed: Whole | None = None
    device: str | None = None


class Answer(Record):
    """The cost of one case's answers."""

    nfe: Number | None = None
    seconds: Number | None = None


class Predicted(Cost):
    """predictions.json, which an external method may have written."""

    cases: dict[str, Answer] = {}


class Real(Record):
    """reference.json, as far as other stages read it."""

    extractor: str
    weights_sha256: str
    split: str


class Drawing(Record):
    """How answers are drawn: what `mmbench.method.Sampling` holds."""

    sampler: SamplerName
    nfe: Count
    guidance: Number | None = None


class ChosenDrawing(Record):
    """What was chosen for some tasks."""

    tasks: Annotated[list[str], Field(min_length=1)]
    chosen: Drawing


class Tuned(Record):
    """tuned.json: the method's own settings, and how it draws."""

    chosen: dict[str, Number]
    drawings: list[ChosenDrawing] = []


def checked(path: str | Path, model: type[Record], remedy: str) -> dict[str, Any]:
    """The record in a JSON file, as it stands there, if it is what `model` says.

    Args:
        path: the file.
        model: what it must hold.
        remedy: what to do about a file that holds something else.

    Raises:
        UserError: it is missing, is not JSON, or a key is missing or has a wrong value.
    """
    record = read_record(path)
    try:
        model.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        wrong = "missing" if first["type"] == "missing" else got(first["input"], first["msg"])
        raise UserError(f"{path}: {key}: {wrong}; {remedy}") from None
    return record


def read_card(folder: str | Path) -> dict[str, Any]:
    """The card.json of a folder that `python -m mmbench.stages.data` or `mmbench.stages.embed` wrote."""
    return checked(Path(folder) / "card.json", Card, f"delete {folder} and prepare the data again")


def read_tuned(path: Path) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """What `python -m mmbench.stages.tune` chose: settings of the method, and how it draws, by task."""
    record = checked(path, Tuned, "delete it and run mmbench.stages.tune again")
    by_task = {task: entry["chosen"] for entry in record.get("drawings", []) for task in entry["tasks"]}
    return record["chosen"], by_task


class Asked(Record):
    """How many items are asked for."""

    reconstructions: Count
    samples: Count


class Compared(Record):
    """What drawn items are compared with."""

    samples: Count
    reference: Literal["train", "validation", "test"]


class Labelled(Train):
    """The section `train`, with the shares of the items that keep a modality."""

    model_config = Record.model_config
    labelled: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)


class StageSettings(Record):
    """Settings of every stage that knows an experiment."""

    experiment: MethodName
    modalities: list[str] | None = None


class CasesSettings(StageSettings):
    """Settings of `mmbench.stages.cases`."""

    evaluate: Asked


class ReferenceSettings(StageSettings):
    """Settings of `mmbench.stages.reference`."""

    evaluate: Compared


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
    "evaluate": StageSettings,
    "reference": ReferenceSettings,
}


def read_settings(path: str | Path, stage: str) -> dict[str, Any]:
    """The settings of a job from a JSON file, as the workflow writes them (`Config.settings`).

    Args:
        path: the file.
        stage: a key of `STAGES`.

    Raises:
        UserError: it is missing, is not JSON, or a key that the stage needs is missing or has a wrong value.
    """
    settings = checked(path, STAGES[stage], f"write what mmbench.stages.{stage} needs, see config/README.md")
    if stage in ("cases", "tune"):
        schema = experiment_schema(settings["experiment"])
        check(schema, {key: settings[key] for key in schema.model_fields if key in settings}, str(path))
    return settings
