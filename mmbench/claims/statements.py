"""The schema of config/claims.yaml and its reader, which parses the expressions and looks up every name."""

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
#: An expression of this length cannot be nested too deeply to be parsed.
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]


class Claims(Section):
    """The whole file; its entries are checked one by one, so that errors can name them."""

    claims: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Claim(Section):
    """A sentence that is true or false, its source, and the parts that test it, each of which is checked as a `Part`.

    `contested` says how the source contradicts itself, if it does; the verdict is then always "contested".
    """

    name: ClaimName
    text: Words
    source: Words
    paper: Words | None
    parts: list[dict[str, Any]]
    not_testable: Words | None = None
    contested: Words | None = None


class Part(Section):
    """The comparison in each case of a task of an experiment, and the condition under which the claim holds."""

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
    """A claim and its comparisons; it has none if no method of the project can test it."""

    claim: Claim
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Vocabulary:
    """The names in an experiment: its methods with their variants, and its tasks."""

    methods: Sequence[str]
    tasks: Sequence[str]


def load_claims(root: Path, path: Path | None = None) -> list[Statement]:
    """The claims of the checkout `root`, or of a file `path`; UserError if an expression or a name in them is wrong."""
    statements = read_claims(path or root / FILE, root)
    check_names(statements, vocabularies(root))
    return statements


def read_claims(path: Path, root: Path) -> list[Statement]:
    """The claims of a file, without a check of the names in them; errors show its path relative to `root`.

    Raises:
        UserError: the file is missing or not YAML, or a key, a value or an expression is wrong.
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
    """The names in every configured experiment of a checkout."""
    names = sorted(file.stem for file in (root / "config" / "experiments").glob("*.yaml"))
    vocabulary = {}
    for name, methods in find_methods(root, names).items():
        described = _keys(read_yaml(root / "config" / "experiments" / f"{name}.yaml", root))
        variants = [key for key in described if key.partition("@")[0] in methods and "@" in key]
        vocabulary[name] = Vocabulary([*methods, *variants], [*load_tasks(name, root).tasks])
    return vocabulary


def _keys(values: Any) -> Iterator[str]:
    """Every key of nested mappings; those of variants are among them, wherever the variants are described."""
    if isinstance(values, dict):
        for key, inner in values.items():
            yield str(key)
            yield from _keys(inner)


def check_names(statements: Sequence[Statement], known: Mapping[str, Vocabulary]) -> None:
    """Check that every experiment, task, method and metric in the claims exists.

    Args:
        known: the names in each experiment.

    Raises:
        UserError: one does not exist.
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
    """Whether a word is the name of a metric, alone or followed by e.g. `@k5`, `[extractor]`, `_hole` or `/class`."""
    return any(metric == name or metric.startswith(tuple(f"{name}{sign}" for sign in "_@[/")) for name in METRICS)
