"""The claims and their verdicts: the page's table and the tidy file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.claims.language import Bounds
from mmbench.claims.power import MOST, POWER, needed_by_case, needed_for
from mmbench.claims.verdicts import VERDICTS, Outcome, PartOutcome, Trial
from mmbench.report import text
from mmbench.report.tables import table as tables
from mmbench.report.tables.table import Cell, Table
from mmbench.runs.results import ExperimentResults, Results
from mmbench.scoring.statistics import LEVEL

TONES = {"reproduced": "better", "not reproduced": "worse", "inconclusive": "unclear", "contested": "unclear"}
RULE = (
    f"Interval: {100 * LEVEL:.0f} % t-interval over training seeds of the values seed by seed; for a ratio, of its "
    "logarithm. A case holds if the whole interval lies within the claimed range, fails if no part of it does, and is "
    "open otherwise. A claim about every case holds if each case holds, and fails if one case fails by an interval "
    "whose error is divided by the number of cases and parts; for a claim about some case, the rules are exchanged. A "
    "claim is reproduced if all its parts hold, not reproduced if one part fails, and inconclusive otherwise; with one "
    "seed every claim is inconclusive. A claim whose source contradicts itself is contested, whatever the results. "
    "Seeds that would decide: the smallest total number that decides the claim with a probability of "
    f"{100 * POWER:.0f} %, if mean and spread are those of the present seeds."
)


def write_claims(outcomes: Sequence[Outcome], results: Results, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """The table of claims for the page and the paths of its files, written to `folder`; empty without claims."""
    if not outcomes:
        return {}, []
    table = claims_table(outcomes, results)
    written = tables.write_table(table, folder)
    if len(frame := trials_frame(outcomes)):
        written.append(tables.write_frame(frame, folder / "claims-trials.csv"))
    return {"table": table, "tally": tally(outcomes)}, written


def tally(outcomes: Sequence[Outcome]) -> str:
    """One sentence: the number of claims with each verdict."""
    verdicts = [outcome.verdict for outcome in outcomes]
    tested = [verdict for verdict in verdicts if verdict != "not tested"]
    if not tested:
        return f"None of the {len(outcomes)} claims is tested by these results."
    counts = text.listing([f"{tested.count(word)} {word}" for word in TONES])  # type: ignore[arg-type]
    number = f"{len(tested)} {'is' if len(tested) == 1 else 'are'}"
    return f"Of {len(outcomes)} claims, {number} tested by these results: {counts}."


def claims_table(outcomes: Sequence[Outcome], results: Results) -> Table:
    """A row per claim that the results can test; the others are named below it."""
    rows = []
    for outcome in (o for o in outcomes if o.verdict != "not tested"):
        claim = outcome.statement.claim
        rows.append(
            [
                Cell(claim.text),
                Cell(claim.paper) if claim.paper else Cell("no figure"),
                Cell(claim.source),
                Cell(summary(outcome), lines=ours(outcome, results)),
                Cell(outcome.verdict, lines=remarks(outcome), tone=TONES[outcome.verdict]),
                Cell(scale(outcome, results)),
            ]
        )
    header = ["Claim", "Figure claimed", "Source", "Ours, interval over seeds", "Verdict", "Tested at"]
    caption = "Claims and their verdicts by these results. Every verdict is computed, see docs/claims.md."
    return Table("claims", caption, header, rows, [RULE, *untested(outcomes)], frozenset(range(6)))


def untested(outcomes: Sequence[Outcome]) -> list[str]:
    """One sentence that names the claims without a verdict, grouped by what the results lack."""
    lacking: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.verdict == "not tested":
            lacking.setdefault(text.listing(outcome.missing), []).append(outcome.statement.claim.name)
    groups = [f"{', '.join(names)} ({lack})" for lack, names in lacking.items()]
    return [f"Not tested here: {'; '.join(groups)}."] if groups else []


def remarks(outcome: Outcome) -> list[str]:
    """Why a claim is contested, or how many seeds would decide one that is inconclusive."""
    if outcome.verdict == "contested":
        return [outcome.statement.claim.contested or ""]
    return [decided_by(outcome)] if outcome.verdict == "inconclusive" else []


def decided_by(outcome: Outcome) -> str:
    """How many seeds would decide an inconclusive claim, and with which verdict."""
    tested = [part for part in outcome.parts if part.trials]
    for parts, what in ((outcome.parts, "it"), (tested, "the parts that are tested here")):
        needed = needed_for(parts)
        if math.isfinite(needed.seeds):
            return f"about {needed.seeds:,.0f} seeds would decide {what}: {VERDICTS[needed.decision]}"
    if any(trial.summary and trial.summary.sd for part in tested for trial in part.trials):
        return f"{MOST:,} seeds would not decide it"
    return "the spread of seeds is not known, so neither is how many would decide it"


def summary(outcome: Outcome) -> str:
    """How many cases hold, fail and are open; the value itself of a single one."""
    trials = [trial for part in outcome.parts for trial in part.trials]
    if len(trials) == 1:
        return value(trials[0])
    counts = [(sum(trial.state == state for trial in trials), state) for state in ("holds", "fails", "open")]
    words = [f"{n} {state if n == 1 else state.removesuffix('s')}" for n, state in counts if n]
    return f"{len(trials)} cases: {', '.join(words)}"


def ours(outcome: Outcome, results: Results) -> list[str]:
    """The comparison, the claimed range, each case's value, interval and state, and what the results lack."""
    lines = []
    for part in (p for p in outcome.parts if p.trials):
        where = "" if len(part.trials) == 1 else f" in {part.comparison.part.over} case"
        lines.append(f"{part.comparison.part.what}, wanted {wanted(part.comparison.holds)}{where}:")
        lines += [f"{label(part, trial, results)}: {value(trial)}, {reading(part, trial)}" for trial in part.trials]
    return [*lines, *(f"not tested here: {lack}" for lack in outcome.missing)]


def value(trial: Trial) -> str:
    """Mean and interval; a dash where the expression has no value."""
    if trial.summary is None:
        return text.DASH
    form, ends = partial(text.number, decimals=3), trial.summary.interval
    return form(trial.summary.mean) + (f" {text.brackets(ends, form)}" if ends else "")


def reading(part: PartOutcome, trial: Trial) -> str:
    """A case's state, the reason if it is open despite its interval, and the seeds that were left out."""
    bounds, words = part.comparison.holds, [trial.state, trial.why]
    if trial.state == "open" and trial.summary and trial.summary.interval:
        unadjusted = {"holds": bounds.contain, "fails": bounds.miss}
        words += [f"{state} only unadjusted" for state, test in unadjusted.items() if test(*trial.summary.interval)]
    if trial.dropped:
        words.append(f"without seed {text.listing([str(seed) for seed in trial.dropped])}, which not all have")
    return ", ".join(filter(None, words))


def wanted(bounds: Bounds) -> str:
    """The range in which a claim holds, with the margin included."""
    low, high = (f"{end:.4g}".replace("-", text.MINUS) for end in (bounds.low, bounds.high))
    if bounds.low == -float("inf"):
        return f"{'<' if bounds.high_open else '≤'} {high}"
    if bounds.high == float("inf"):
        return f"{'>' if bounds.low_open else '≥'} {low}"
    return f"from {low} to {high}"


def label(part: PartOutcome, trial: Trial, results: Results) -> str:
    """A case for a reader: its masked share where it has one, else its name."""
    experiment = next(e for e in results.experiments if e.name == part.comparison.part.experiment)
    case = next(case for case in experiment.cases if case["name"] == trial.case)
    return text.percent(case["share"]) if case.get("share") is not None else str(case["name"])


def scale(outcome: Outcome, results: Results) -> str:
    """Data, resolution, training, network sizes, seeds and items of each experiment that the claim concerns."""
    card = results.card
    facts = [str(card.get("title") or card.get("name", "unknown data"))]
    if size := card.get("size"):
        facts[0] += f", {size[0]} × {size[1]}"
    if count := card.get("splits", {}).get("train", {}).get("count"):
        facts.append(f"{count:,} training images")
    tested = [experiment for experiment in results.experiments if trials_of(outcome, experiment.name)]
    for experiment in tested:
        prefix = f"{experiment.name}: " if len(tested) > 1 else ""
        facts.append(prefix + ", ".join(_run_facts(experiment, trials_of(outcome, experiment.name))))
    return "; ".join(facts)


def trials_of(outcome: Outcome, experiment: str) -> list[Trial]:
    """The cases of a claim that belong to an experiment."""
    return [t for part in outcome.parts if part.comparison.part.experiment == experiment for t in part.trials]


def _run_facts(experiment: ExperimentResults, trials: Sequence[Trial]) -> list[str]:
    methods = {method for trial in trials for method in trial.methods}
    runs = [run for run in experiment.runs if run.method in methods]
    seeds = sorted({seed for trial in trials for seed in trial.values})
    named = text.listing([str(seed) for seed in seeds]) if seeds else ""
    items = {case["count"] for case in experiment.cases if case["name"] in {trial.case for trial in trials}}
    facts = [
        _span([run.training.get("steps") for run in runs], "{:,.0f}", "training steps"),
        _span([run.cost.get("images_seen") for run in runs], "{:,.0f}", "images seen"),
        _span([run.cost.get("parameters") for run in runs], "{:.3g}", "million parameters", 1e6),
        f"one seed ({named})" if len(seeds) == 1 else named and f"seeds {named}",
        _span(items, "{:,.0f}", "items a case"),
    ]
    return [fact for fact in facts if fact]


def _span(values: Any, form: str, unit: str, scale: float = 1) -> str:
    """The range of the values that are known and not 0."""
    known = sorted({form.format(v / scale): v for v in values if v}.items(), key=lambda pair: pair[1])
    return f"{' to '.join(dict.fromkeys([known[0][0], known[-1][0]]))} {unit}" if known else ""


def trials_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Tidy: a row per claim, part and case."""
    rows = []
    for outcome in outcomes:
        tested = sum(bool(part.trials) for part in outcome.parts)
        for number, part in enumerate(outcome.parts, 1):
            for trial, needed in zip(part.trials, needed_by_case(part, tested), strict=True):
                summary = trial.summary
                rows.append(
                    {
                        "claim": outcome.statement.claim.name,
                        "verdict": outcome.verdict,
                        "part": number,
                        "experiment": part.comparison.part.experiment,
                        "case": trial.case,
                        "ours": part.comparison.part.ours,
                        "holds": part.comparison.part.holds,
                        "margin": part.comparison.part.margin,
                        "over": part.comparison.part.over,
                        "methods": " ".join(trial.methods),
                        "state": trial.state,
                        "seeds": len(trial.values),
                        "seeds_needed": needed.seeds if math.isfinite(needed.seeds) else None,
                        "mean": summary.mean if summary else None,
                        "t_low": summary.low if summary else None,
                        "t_high": summary.high if summary else None,
                        **{f"seed{seed}": value for seed, value in trial.values.items()},
                    }
                )
    return pd.DataFrame(rows)
