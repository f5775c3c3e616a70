"""The schema of results/<profile>/manifest.json, see docs/results.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from mmbench.config.schema import Section


def below(name: str) -> str:
    """`name` if it is a plain path below the folder that it starts from."""
    parts = name.split("/")
    if not all(part.isprintable() and part not in ("", ".", "..") for part in parts):
        raise ValueError("write a path below the folder, without . and ..")
    return name


FileName = Annotated[str, AfterValidator(below)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Content(Section):
    """The hash and the size of a file."""

    sha256: Sha256
    bytes: int


class Code(Section):
    """A version of the code, and the number of records that it made; None where they do not have an entry."""

    mmbench: str | None
    git_sha: str | None
    git_dirty: bool | None
    lock_sha256: Sha256 | None
    records: int


class Environment(Section):
    """The packages and the machine of an environment, and the number of records that were made in it."""

    packages: dict[str, str | None]
    python: str | None
    platform: str | None
    processor: str | None
    records: int


class Hardware(Section):
    """The hardware that computed, and the number of records that name it; None where they do not have an entry."""

    device: str
    threads: int | None
    gpu: str | None
    records: int


class Split(Section):
    """The number of items of a split, and the hash of their arrays."""

    count: int
    sha256: Sha256


class Took(Section):
    """A method's seeds, and the cost of all of them together; None where it was not recorded."""

    trained: list[int]
    scored: list[int]
    train_seconds: float | None
    training_flops: int | None
    predict_seconds: float | None
    evaluate_seconds: float | None


class Configured(Section):
    """The configuration with which the workflow ran."""

    source: Literal["workflow"] = "workflow"
    profile: str
    override: dict[str, Any]
    values: dict[str, Any]


class Settings(Section):
    """Settings, and the training runs that had them."""

    settings: dict[str, Any]
    of: list[Annotated[str, StringConstraints(pattern=r"^[^/]+/[^/]+")]]


class Recorded(Section):
    """The configuration as far as the records of training runs have it, for runs without another source."""

    source: Literal["records"] = "records"
    trainings: list[Settings]


class Manifest(Section):
    """results/<profile>/manifest.json; paths start from the folder `results`, relative to the manifest's own folder."""

    format: Literal[1] = 1
    profile: str
    results: Literal[".", ".."]
    command: str | None
    configuration: Annotated[Configured | Recorded, Field(discriminator="source")]
    code: list[Code]
    environments: list[Environment]
    hardware: list[Hardware]
    seeds: list[int]
    data: dict[str, dict[str, Split]]
    first_finished: str | None
    last_finished: str | None
    methods: dict[str, Took]
    took: Took
    files: dict[FileName, Content]
    left_out: dict[FileName, Content]
