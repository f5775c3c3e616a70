"""config/claims.yaml: read, checked, its expressions parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbench.claims.language import Bounds, Formula, parse_bounds, parse_formula
from mmbench.claims.schema import Claim, Claims, Part
from mmbench.config.check import check, unknown
from mmbench.config.yaml_files import read_yaml, shown
from mmbench.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """A part of a claim with its expressions parsed; `where` names it in errors."""

    part: Part
    ours: Formula
    holds: Bounds
    where: str


@dataclass(frozen=True)
class Stated:
    """A claim and its comparisons; none if no method here can test it."""

    claim: Claim
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Known:
    """What an experiment has: its methods with their variants, and its tasks."""

    methods: Sequence[str]
    tasks: Sequence[str]


def read_claims(path: Path, root: Path) -> list[Stated]:
    """The claims of a file; errors call it as seen from `root`.

    Raises:
        UserError: the file is missing or not YAML, a key or value is wrong, or an expression is.
    """
    file = shown(path, root)
    found: list[Stated] = []
    for index, values in enumerate(check(Claims, read_yaml(path, root), file).claims):
        where = f"{file}: claim {values.get('name', index + 1)!r}"
        claim = check(Claim, values, where)
        if any(other.claim.name == claim.name for other in found):
            raise UserError(f"{where}: there is a claim of this name already; rename one")
        if bool(claim.parts) == (claim.not_testable is not None):
            raise UserError(f"{where}: write parts that test it, or in not_testable why nothing does; one of the two")
        found.append(Stated(claim, [_comparison(part, f"{where}: part {i + 1}") for i, part in enumerate(claim.parts)]))
    return found


def _comparison(values: dict, where: str) -> Comparison:
    part = check(Part, values, where)
    if (part.margin is None) != (part.why is None):
        raise UserError(f"{where}: margin and why go together; give the margin and, in why, its reason")
    ours = parse_formula(part.ours, f"{where}: ours")
    return Comparison(part, ours, parse_bounds(part.holds, f"{where}: holds", part.margin), where)


def check_names(claims: Sequence[Stated], known: Mapping[str, Known], metrics: Sequence[str]) -> None:
    """Every experiment, task, method and metric that the claims name must exist.

    Args:
        claims: what `read_claims` found.
        known: what each experiment has.
        metrics: names of metrics, without what follows them (`@k5`, `[extractor]`, `_hole`).

    Raises:
        UserError: one does not.
    """
    for comparison in (c for stated in claims for c in stated.comparisons):
        part, where = comparison.part, comparison.where
        if part.experiment not in known:
            raise unknown(f"{where}: experiment", part.experiment, sorted(known))
        has = known[part.experiment]
        if part.task not in has.tasks:
            raise unknown(f"{where}: task", part.task, has.tasks)
        for number in comparison.ours.numbers:
            if number.method is not None and number.method not in has.methods:
                raise unknown(f"{where}: ours: method", number.method, sorted(has.methods))
            if number.task is not None and number.task not in has.tasks:
                raise unknown(f"{where}: ours: task", number.task, has.tasks)
            for metric in filter(None, (number.metric, number.by)):
                if not any(metric == name or metric.startswith((f"{name}_", f"{name}@", f"{name}[", f"{name}/"))
                           for name in metrics):  # fmt: skip
                    raise unknown(f"{where}: ours: metric", metric, sorted(metrics))
