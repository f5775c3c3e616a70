"""Titles of variants for readers: the meaning of a tag in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from mmbench.config.methods import STUDIED, method_of, tag_of
from mmbench.runs.run import Run

#: The tag of variants that are trained for the share of the steps that one task has.
PER_TASK = "per_task"
PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 7: "a seventh", 8: "an eighth"}


def with_titles(runs: Sequence[Run]) -> list[Run]:
    """The runs of an experiment with the titles of variants in words: `U-Net, a quarter of the steps`."""
    steps = {run.method: own for run in runs if (own := steps_of(run))}
    return [replace(run, title=title_of(run, steps.get(STUDIED) or steps.get(method_of(run.method)))) for run in runs]


def steps_of(run: Run) -> int | None:
    """The number of training steps in a run's settings; None if it was not recorded."""
    steps: int | None = ((run.training.get("settings") or {}).get("train") or {}).get("steps")
    return steps


def title_of(run: Run, whole: int | None) -> str:
    """A run's title, in which words replace a tag in brackets; `whole` is the number of steps of a whole run."""
    tag = tag_of(run.method)
    plain = run.title.removesuffix(f" [{tag}]")
    if plain == run.title:
        return run.title
    steps = steps_of(run)
    if tag != PER_TASK:
        return f"{plain}, {tag.replace('_', ' ')}"
    if not steps or not whole:
        return f"{plain}, one task's share of the steps"
    part = Fraction(steps, whole).limit_denominator(max(PARTS))
    share = PARTS.get(part.denominator) if part.numerator == 1 else None
    return f"{plain}, {share or f'{100 * steps / whole:.0f} %'} of the steps"
