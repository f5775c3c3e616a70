"""config/claims.yaml: what it may hold, its expressions parsed, every name in it looked up in the checkout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mmbench.claims.language import Bounds, Formula, parse_bounds, parse_formula
from mmbench.config.check import check, unknown
from mmbench.config.discovery import find_methods
from mmbench.config.schema import Section
from mmbench.config.yaml_files import read_yaml, shown
from mmbench.errors import UserError
from mmbench.experiments import load_tasks
from mmbench.scoring.names import METRICS

FILE = Path("config", "claims.yaml")

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
#: Short enough that no expression nests too deeply to be read.
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]


class Claims(Section):
    """The file: its entries are checked one by one, so that errors can name them."""

    claims: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Claim(Section):
    """One sentence that is true or not, who says so, and the parts that it is tested by, each checked as a `Part`.

    `contested` says how its source contradicts itself, if it does: then no verdict is possible but that.
    """

    name: ClaimName
    text: Words
    source: Words
    paper: Words | None
    parts: list[dict[str, Any]]
    not_testable: Words | None = None
    contested: Words | None = None


class Part(Section):
    """What is compared in each case of a task of an experiment, and when the claim holds."""

    what: Words
    experiment: Words
    task: Words
    over: Literal["every", "some"] = "every"
    ours: Expression
    holds: Expression
    margin: Annotated[float, Field(gt=0, strict=True)] | None = None
    why: Words | None = None


@dataclass(frozen=True)
class Comparison:
    """A part of a claim with its expressions parsed; `where` names it in errors."""

    part: Part
    ours: Formula
    holds: Bounds
    where: str


@dataclass(frozen=True)
class Statement:
    """A claim and its comparisons; none if no method of the project can test it."""

    claim: Claim
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Vocabulary:
    """The names that an experiment has: its methods with their variants, and its tasks."""

    methods: Sequence[str]
    tasks: Sequence[str]


def load_claims(root: Path, path: Path | None = None) -> list[Statement]:
    """The claims of a checkout, whose experiments, tasks, methods and metrics all exist in it.

    Args:
        root: the checkout.
        path: another file of claims.

    Raises:
        UserError: the file, an expression or a name in it is wrong.
    """
    statements = read_claims(path or root / FILE, root)
    check_names(statements, vocabularies(root))
    return statements


def read_claims(path: Path, root: Path) -> list[Statement]:
    """The claims of a file, their names not looked up; errors call it as seen from `root`.

    Raises:
        UserError: the file is missing or not YAML, a key or value is wrong, or an expression is.
    """
    file = shown(path, root)
    statements: dict[str, Statement] = {}
    for index, values in enumerate(check(Claims, read_yaml(path, root), file).claims):
        where = f"{file}: claim {values.get('name', index + 1)!r}"
        claim = check(Claim, values, where)
        if claim.name in statements:
            raise UserError(f"{where}: there is a claim of this name already; rename one")
        if bool(claim.parts) == (claim.not_testable is not None):
            raise UserError(f"{where}: write parts that test it, or in not_testable why nothing does; one of the two")
        comparisons = [_comparison(part, f"{where}: part {i}") for i, part in enumerate(claim.parts, 1)]
        statements[claim.name] = Statement(claim, comparisons)
    return list(statements.values())


def _comparison(values: dict[str, Any], where: str) -> Comparison:
    part = check(Part, values, where)
    if (part.margin is None) != (part.why is None):
        raise UserError(f"{where}: margin and why go together; give the margin and, in why, its reason")
    ours = parse_formula(part.ours, f"{where}: ours")
    return Comparison(part, ours, parse_bounds(part.holds, f"{where}: holds", part.margin), where)


def vocabularies(root: Path) -> dict[str, Vocabulary]:
    """The names that every configured experiment of a checkout has."""
    names = sorted(file.stem for file in (root / "config" / "experiments").glob("*.yaml"))
    vocabulary = {}
    for name, methods in find_methods(root, names).items():
        described = _keys(read_yaml(root / "config" / "experiments" / f"{name}.yaml", root))
        variants = [key for key in described if key.partition("@")[0] in methods and "@" in key]
        vocabulary[name] = Vocabulary([*methods, *variants], [*load_tasks(name, root).tasks])
    return vocabulary


def _keys(values: Any) -> Iterator[str]:
    """Every key of nested mappings: variants are among them, wherever they are described."""
    if isinstance(values, dict):
        for key, inner in values.items():
            yield str(key)
            yield from _keys(inner)


def check_names(statements: Sequence[Statement], known: Mapping[str, Vocabulary]) -> None:
    """Every experiment, task, method and metric that the claims name must exist.

    Args:
        statements: what `read_claims` returns.
        known: the names of each experiment.

    Raises:
        UserError: one does not.
    """
    for comparison in (c for statement in statements for c in statement.comparisons):
        part, where = comparison.part, comparison.where
        if part.experiment not in known:
            raise unknown(f"{where}: experiment", part.experiment, sorted(known))
        names = known[part.experiment]
        if part.task not in names.tasks:
            raise unknown(f"{where}: task", part.task, names.tasks)
        for number in comparison.ours.numbers:
            if number.method is not None and number.method not in names.methods:
                raise unknown(f"{where}: ours: method", number.method, sorted(names.methods))
            if number.task is not None and number.task not in names.tasks:
                raise unknown(f"{where}: ours: task", number.task, names.tasks)
            for metric in filter(None, (number.metric, number.by)):
                if not _is_metric(metric):
                    raise unknown(f"{where}: ours: metric", metric, sorted(METRICS))


def _is_metric(metric: str) -> bool:
    """Whether it is a metric's name with or without what may follow it: `@k5`, `[extractor]`, `_hole`, `/class`."""
    return any(metric == name or metric.startswith(tuple(f"{name}{sign}" for sign in "_@[/")) for name in METRICS)
