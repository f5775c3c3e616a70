"""The numbers of two runs compared, value by value, within stated tolerances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from mmbench.config.check import check
from mmbench.config.checkout import ROOT
from mmbench.config.schema import Section
from mmbench.config.yaml_files import read_yaml, shown
from mmbench.errors import UserError
from mmbench.runs.manifest import describe_data, describe_making, experiments_in, list_files, read_records
from mmbench.runs.records import read_result

TOLERANCES = ROOT / "config" / "tolerances.yaml"

Bound = Annotated[float, Field(ge=0)]


class Tolerance(Section):
    """The largest allowed difference of two values of a metric: the largest of the bounds.

    Attributes:
        absolute: a bound in the metric's unit.
        relative: a bound as a share of the larger of the two values.
        items: a bound as a number of items whose answers differ, for shares of right answers.
        reason: the origin of the bounds.
    """

    absolute: Bound = 0.0
    relative: Bound = 0.0
    items: Bound = 0.0
    reason: Annotated[str, Field(min_length=1)]

    def allowed(self, a: float, b: float, n: int) -> float:
        """The largest allowed difference of two values over `n` items."""
        return max(self.absolute, self.relative * max(abs(a), abs(b)), self.items / max(n, 1))


class Tolerances(Section):
    """config/tolerances.yaml: tolerances by the metric's name up to a bracket, @ or /, and the one of all others."""

    default: Tolerance
    metrics: dict[str, dict[str, Any]]


EXACT = Tolerance(reason="the same bits")


class Key(NamedTuple):
    """What a value belongs to."""

    experiment: str
    method: str
    seed: int
    case: str
    metric: str

    def __str__(self) -> str:
        return f"{self.experiment}/{self.method} seed {self.seed} {self.case}"


class Value(NamedTuple):
    """A metric's value, None if it could not be measured, and the number of items that it was measured on."""

    value: float | None
    n: int


@dataclass(frozen=True)
class Pair:
    """The values that two runs have for one key, and their largest allowed difference."""

    key: Key
    a: float | None
    b: float | None
    allowed: float

    @property
    def apart(self) -> float:
        """Their difference; infinite if only one is known."""
        if self.a is None or self.b is None:
            return 0.0 if self.a == self.b else float("inf")
        return abs(self.a - self.b)

    @property
    def outside(self) -> bool:
        """Whether they differ by more than allowed."""
        return self.apart > self.allowed

    @property
    def badness(self) -> tuple[bool, float, float]:
        """A key for sorting: pairs outside the tolerance come last, others by their share of the allowed difference."""
        return self.outside, self.apart / self.allowed if self.allowed else self.apart, self.apart


def kind(metric: str) -> str:
    """A metric's name without its k, class and network: `precision` for `precision@k5[vgg16-relu5_3-gap]`."""
    return re.split(r"[\[@/]", metric)[0]


def read_tolerances(path: Path) -> dict[str, Tolerance]:
    """The tolerances by metric, with the one of all other metrics as `default`; UserError if the file is not valid."""
    where = shown(path, ROOT)
    tolerances = check(Tolerances, read_yaml(path, ROOT), where)
    metrics = {name: check(Tolerance, entry, f"{where}: metrics.{name}") for name, entry in tolerances.metrics.items()}
    return {"default": tolerances.default, **metrics}


def read_values(results: Path) -> dict[Key, Value]:
    """Every value of every scored method in a folder of results; UserError if there is none, or a file is not valid."""
    values = {}
    for path in sorted(results.glob("*/*/seed*/metrics.json")):
        scores = read_result(path)
        for row in scores["metrics"]:
            key = Key(path.parts[-4], scores["method"], scores["seed"], row["case"], row["name"])
            values[key] = Value(row["value"], row["n"])
    if not values:
        raise UserError(f"{results}: holds no scores (*/*/seed*/metrics.json); give a folder like results/quick")
    return values


def pair_up(a: Mapping[Key, Value], b: Mapping[Key, Value], tolerances: Mapping[str, Tolerance] | None) -> list[Pair]:
    """The values that both runs have; without tolerances, no difference is allowed."""
    pairs = []
    for key in sorted(a.keys() & b.keys()):
        (left, n), (right, m) = a[key], b[key]
        tolerance = EXACT if tolerances is None else tolerances.get(kind(key.metric), tolerances["default"])
        allowed = 0.0 if left is None or right is None else tolerance.allowed(left, right, min(n, m))
        pairs.append(Pair(key, left, right, allowed))
    return pairs


def table(pairs: Sequence[Pair]) -> list[str]:
    """A table with a row per metric: the numbers of values, of equal ones and of those outside, and the worst pair."""
    rows = [("metric", "values", "equal", "outside", "worst", "relative", "allowed", "of")]
    for metric, group in groupby(sorted(pairs, key=lambda pair: pair.key.metric), key=lambda pair: pair.key.metric):
        members = list(group)
        worst = max(members, key=lambda pair: pair.badness)
        largest = max(abs(worst.a or 0.0), abs(worst.b or 0.0))
        rows.append(
            (
                metric,
                str(len(members)),
                str(sum(pair.apart == 0 for pair in members)),
                str(sum(pair.outside for pair in members)),
                f"{worst.apart:.3g}",
                f"{100 * worst.apart / largest:.2g} %" if largest else "0 %",
                f"{worst.allowed:.3g}",
                f"{worst.key}: {number(worst.a)} and {number(worst.b)}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def number(value: float | None) -> str:
    """A value for a reader."""
    return "none" if value is None else f"{value:.6g}"


def only(name: str, values: Mapping[Key, Value], other: Mapping[Key, Value]) -> Iterator[str]:
    """The values that only one of two runs has, a line for each method and seed."""
    keys = sorted(values.keys() - other.keys())
    for (experiment, method, seed), group in groupby(keys, key=lambda key: key[:3]):
        yield f"only in {name}: {experiment}/{method} seed {seed} ({sum(1 for _ in group)} values)"


def notes(a: Path, b: Path) -> Iterator[str]:
    """Other differences between two runs: cases, data, code, packages and machines."""
    for name in sorted(set(experiments_in(a)) & set(experiments_in(b))):
        asked = [{case["name"]: case["sha256"] for case in read_result(folder / name / "cases.json")["cases"]}
                 for folder in (a, b)]  # fmt: skip
        others = sorted(case for case in asked[0].keys() & asked[1].keys() if asked[0][case] != asked[1][case])
        if others:
            yield f"cases: {name} has other cases of the name {', '.join(others)}, so their numbers are not comparable"
    data = [describe_data(folder) for folder in (a, b)]
    for name in sorted(data[0].keys() & data[1].keys()):
        splits = sorted(s for s in data[0][name].keys() & data[1][name].keys() if data[0][name][s] != data[1][name][s])
        if splits:
            yield f"data: {name} has other items in {', '.join(splits)}"
    made = [describe_making(read_records(folder, list_files(folder, folder, experiments_in(folder))))
            for folder in (a, b)]  # fmt: skip
    for key in ("code", "environments", "hardware"):
        left, right = ([{k: v for k, v in entry.items() if k != "records"} for entry in one[key]] for one in made)
        for field in dict.fromkeys(field for entry in (*left, *right) for field in entry):
            values = [unique(entry.get(field) for entry in side) for side in (left, right)]
            if values[0] != values[1]:
                yield f"{field}: A {'; '.join(values[0]) or 'unknown'} | B {'; '.join(values[1]) or 'unknown'}"


def unique(values: Iterator[Any]) -> list[str]:
    """The different values, as sorted texts."""
    texts = (
        ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        for value in values
        if value is not None
    )
    return sorted(set(texts))
