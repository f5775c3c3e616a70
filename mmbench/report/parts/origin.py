"""How each number was made: measures, cases, runs and data, from the records that are stored with the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmbench.report import text
from mmbench.report.data_notes import data_notes
from mmbench.report.parts.sources import definition_of
from mmbench.report.tables.table import Cell, Table
from mmbench.report.text import slug
from mmbench.runs.results import ExperimentResults, Results
from mmbench.runs.run import Run
from mmbench.scoring.names import describe, in_order, short_label

#: The attributes of a `Run` that hold the records of its stages, and the stages.
STAGES = (("training", "train"), ("prediction", "predict"), ("scores", "evaluate"))


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested records as dotted keys and printable values; short lists stay on one line."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in value):
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{path}[{index}]")
    elif isinstance(value, list | tuple):
        yield path, ", ".join(str(inner) for inner in value)
    else:
        yield path, "none" if value is None else str(value)


def origins(results: ExperimentResults) -> list[dict[str, Any]]:
    """The settings and provenance of every stage, as keys and values: those that all runs share, and the others."""
    stages = []
    for attribute, stage in STAGES:
        records = {}
        for run in results.runs:
            stored: Mapping[str, Any] = getattr(run, attribute)
            facts = {"settings": stored.get("settings") or {}, **(stored.get("provenance") or {})}
            if record := dict(flatten(facts)):
                records[f"{run.method} seed {run.seed}"] = record
        if not records:
            continue
        keys = list(dict.fromkeys(key for record in records.values() for key in record))
        shared, different = [], []
        for key in keys:
            values = {name: record[key] for name, record in records.items() if key in record}
            if len(set(values.values())) == 1 and len(values) == len(records):
                shared.append((key, next(iter(values.values()))))
            else:
                different.append((key, list(values.items())))
        stages.append({"stage": stage, "shared": shared, "different": different})
    return stages


def measures_table(results: ExperimentResults, out: Path) -> Table:
    """Each metric: what it measures, with which network, on how many items and how; for a page in `out`."""
    rows = []
    for name in in_order(results.metrics["metric"]):
        measured = results.metrics[results.metrics["metric"] == name]
        extractor = ", ".join(sorted(measured["extractor"].dropna().unique())) or "none"
        hashes = ", ".join(sorted(measured["weights_sha256"].dropna().unique())) or "none"
        counts = ", ".join(f"{n:,}" for n in sorted(measured["n"].unique()))
        better = "higher" if measured["higher_is_better"].iloc[0] else "lower"
        texts = [describe(name).meaning or name, better, extractor, hashes, counts, _details(results.runs, name)]
        label = Cell(short_label(name), lines=[name], link=definition_of(name, out))
        rows.append([label, *(Cell(value) for value in texts)])
    header = ["Metric", "What", "Better", "Network", "Weights, SHA-256", "Items", "How"]
    return Table(
        f"{results.name}-measures",
        "How each metric was measured; its name leads to its definition.",
        header,
        rows,
        words=frozenset(range(7)),
    )


def _details(runs: Sequence[Run], name: str) -> str:
    """The details of a metric on which all its rows agree."""
    details = [
        dict(flatten(row.get("detail") or {})) for run in runs for row in run.scores["metrics"] if row["name"] == name
    ]
    first = details[0]
    agreed = [key for key in first if all(other.get(key) == first[key] for other in details)]
    return "; ".join(f"{key.replace('_', ' ')}: {first[key]}" for key in agreed) or "see metrics.json"


def cases_table(results: ExperimentResults) -> Table:
    """The frozen cases and their hashes."""
    rows = [
        [
            Cell(case["name"]),
            Cell(case["task"]),
            Cell(text.percent(case["share"]) if case.get("share") is not None else text.DASH, case.get("share")),
            Cell(f"{case['count']:,}", float(case["count"])),
            Cell(", ".join(case.get("given", [])) or "nothing"),
            Cell(", ".join(case.get("want", [])) or text.DASH),
            Cell(case.get("sha256", text.DASH)),
        ]
        for case in results.cases
    ]
    header = ["Case", "Task", "Masked", "Items", "Given", "Wanted", "SHA-256 of given and truth"]
    caption = "The frozen questions: the same for every method and seed."
    return Table(f"{results.name}-cases", caption, header, rows, words=frozenset({1, 4, 5, 6}))


def facts(results: Results) -> list[tuple[str, str]]:
    """The scale of the run, for the head of the page, as far as the records have it."""
    card, lines = results.card, []
    lines.append(("Data set", str(card.get("title") or card.get("name", "unknown"))))
    if size := card.get("size"):
        lines.append(("Image size", f"{size[0]} × {size[1]}"))
    splits = card.get("splits", {})
    counts = [f"{splits[name]['count']:,} {name}" for name in ("train", "validation", "test") if name in splits]
    if counts:
        lines.append(("Images", ", ".join(counts)))
    runs = [run for experiment in results.experiments for run in experiment.runs]
    train = [run.training["settings"].get("train") or {} for run in runs if run.training.get("settings")]
    budgets = sorted({(t["steps"], t["batch_size"]) for t in train if "steps" in t and "batch_size" in t})
    if budgets:
        lines.append(("Training", ", ".join(f"{steps:,} steps of {batch}" for steps, batch in budgets)))
    seeds = sorted({run.seed for run in runs})
    lines.append(("Training seeds", f"{len(seeds)} ({', '.join(map(str, seeds))})"))
    if commits := code_of(runs):
        lines.append(("Code", commits))
    devices = sorted({str(run.cost["device"]) for run in runs if run.cost.get("device")})
    if devices:
        lines.append(("Device", ", ".join(devices)))
    return lines


def code_of(runs: Sequence[Run]) -> str:
    """The commits that scored, marked if the checkout had changes; empty without records."""
    made = [run.scores.get("provenance") or {} for run in runs]
    commits = {(str(p["git_sha"])[:12], bool(p.get("git_dirty"))) for p in made if p.get("git_sha")}
    return ", ".join(f"commit {sha}{' with changes' if dirty else ''}" for sha, dirty in sorted(commits))


def data_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """The data card for the page: statements, splits with hashes, classes with their colours."""
    keys = ("title", "provenance", "licence", "citation", "download", "version")
    colours = card.get("palette") or []
    classes = [
        (name, "rgb({}, {}, {})".format(*colours[i]) if i < len(colours) else "transparent")
        for i, name in enumerate(card.get("classes") or [])
    ]
    splits = [
        (name, split.get("count", 0), split.get("sha256", text.DASH)) for name, split in card.get("splits", {}).items()
    ]
    return {
        "name": card.get("name", "data"),
        "anchor": slug(str(card.get("name", "data"))),
        "statements": [(key.capitalize(), str(card[key])) for key in keys if card.get(key)],
        "notes": [*(card.get("notes") or []), *data_notes(card)],
        "classes": classes,
        "labels": list(card.get("labels") or []),
        "splits": splits,
    }
