"""What config/claims.yaml may hold: a list of claims, each of one part or more."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mmbench.config.schema import Section

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
#: Short enough that no expression nests too deeply to be read.
Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]


class Claims(Section):
    """The file: its entries are checked one by one, so that errors can name them."""

    claims: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Claim(Section):
    """One sentence that is true or not, who says so, and the parts that it is tested by, each checked as a `Part`."""

    name: ClaimName
    text: Words
    source: Words
    paper: Words | None
    parts: list[dict[str, Any]]
    not_testable: Words | None = None


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
