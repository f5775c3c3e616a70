"""The manifest: one file with the code, settings, machines and cost of a run, and the hash of each of its files.

All of it is read from the records beside the numbers, so an old run can be described as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmbench.errors import UserError
from mmbench.files.store import read_json, sha256_file
from mmbench.runs.manifest_schema import Content, Manifest
from mmbench.runs.records import Cost, Predicted, Prepared, checked

NAME = "manifest.json"
REPORT = ("index.html", "tables", "figures")
DATA = ("data", "embedded")
JUDGE = "judge"
WORKING = ("log", "state")  # folders whose files are not results


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; UserError if it is missing, or no manifest of this version."""
    try:
        return Manifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: {key}: {first['msg']}; make it again: python -m mmbench.stages.manifest --results {path.parent}"
        ) from None


def experiments_in(results: Path) -> list[str]:
    """Names of the experiments that have cases in a folder of results."""
    return sorted(path.parent.name for path in results.glob("*/cases.json"))


def list_files(
    results: Path,
    report: Path,
    experiments: Collection[str],
    methods: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
) -> list[str]:
    """The files of a run, as paths from `results`: data, questions, judges, methods, and the report in `report`.

    Args:
        report: folder of the page: `results`, or one below it.
        methods: the methods, as `<experiment>/<method>`; None for all.
        seeds: the seeds; None for all.
    """
    prefix = report.relative_to(results).parts
    numbers = None if seeds is None else {f"seed{seed}" for seed in seeds}

    def belongs(parts: tuple[str, ...]) -> bool:
        if parts[: len(prefix)] == prefix and parts[len(prefix)] in REPORT:
            return True
        if parts[0] not in experiments or len(parts) == 2 or parts[1] == JUDGE:
            return parts[0] in (*DATA, *experiments)
        return (methods is None or "/".join(parts[:2]) in methods) and (numbers is None or parts[2] in numbers)

    names = []
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        parts = path.relative_to(results).parts
        hidden = any(part.startswith(".") or part in WORKING for part in parts)
        if len(parts) > len(prefix) and not hidden and belongs(parts):
            names.append("/".join(parts))
    return names


def contents(results: Path, files: Iterable[str]) -> dict[str, Content]:
    """Hash and size of files."""
    return {name: Content(sha256=sha256_file(results / name), bytes=(results / name).stat().st_size) for name in files}


def read_records(results: Path, files: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The JSON files of a run that have a provenance, by path."""
    records = {}
    for name in files:
        if name.endswith(".json") and name.split("/")[0] not in (*DATA, *REPORT):
            record = read_json(results / name)
            if isinstance(record, dict) and isinstance(record.get("provenance"), dict):
                model = Predicted if name.endswith("/predictions.json") else Cost
                records[name] = checked(results / name, model, "run the stage that writes it again")
    return records


def tally(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The different entries in the order of their first occurrence, each with its number of `records`."""
    counts: dict[str, int] = {}
    for entry in entries:
        key = json.dumps(entry)
        counts[key] = counts.get(key, 0) + 1
    return [{**json.loads(key), "records": count} for key, count in counts.items()]


def hardware_of(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The hardware in each record that has any."""
    for record in records:
        if "hardware" in record or "device" in record:
            yield record.get("hardware") or {"device": record["device"], "threads": None, "gpu": None}


def describe_making(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Code, environments, hardware, and the times at which the first and the last record were finished."""
    made = [record["provenance"] for record in records.values()]
    times = sorted(entry["finished"] for entry in made if entry.get("finished"))
    code = [{key: entry.get(key) for key in ("mmbench", "git_sha", "git_dirty", "lock_sha256")} for entry in made]
    machines = [
        {"packages": entry.get("packages", {}), **{key: entry.get(key) for key in ("python", "platform", "processor")}}
        for entry in made
    ]
    return {
        "code": tally(code),
        "environments": tally(machines),
        "hardware": tally(hardware_of(records.values())),
        "first_finished": times[0] if times else None,
        "last_finished": times[-1] if times else None,
    }


def describe_data(results: Path) -> dict[str, dict[str, Any]]:
    """The splits of every folder of prepared data."""
    cards = [path for name in DATA for path in sorted((results / name).rglob("card.json"))]
    return {
        path.parent.relative_to(results).as_posix(): {
            split: {"count": entry["count"], "sha256": entry["sha256"]}
            for split, entry in checked(path, Prepared, "prepare the data again")["splits"].items()
        }
        for path in cards
    }


def total(values: Iterable[float | None]) -> Any:
    """The sum of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def describe_methods(records: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The cost of each method and each judge; a method that uses another's weights has no training cost.

    The cost of snapshots counts, except for their training runs, which are parts of the whole ones.
    """
    stages: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for name, record in records.items():
        *_, file = parts = name.split("/")
        if len(parts) > 2 and (file != "training.json" or not parts[-2].startswith("at")):
            stages.setdefault("/".join(parts[:2]), {}).setdefault(file, []).append(record)
    spending = {}
    for method, files in stages.items():
        training, scores = files.get("training.json", []), files.get("metrics.json", [])
        cases = [case for record in files.get("predictions.json", []) for case in record.get("cases", {}).values()]
        spending[method] = {
            "trained": sorted(record["seed"] for record in training),
            "scored": sorted({record["seed"] for record in scores}),
            "train_seconds": total(record.get("seconds") for record in training),
            "training_flops": total(record.get("flops") for record in training),
            "predict_seconds": total(case.get("seconds") for case in cases),
            "evaluate_seconds": total(record.get("evaluate_seconds") for record in scores),
        }
    return spending


def sum_up(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The seeds and the cost of all methods together."""
    judged = {name for name in methods if name.endswith(f"/{JUDGE}")}
    seeds = {key: [s for name, took in methods.items() if name not in judged for s in took[key]]
             for key in ("trained", "scored")}  # fmt: skip
    sums = ("train_seconds", "training_flops", "predict_seconds", "evaluate_seconds")
    return {
        **{key: sorted(set(values)) for key, values in seeds.items()},
        **{key: total(took[key] for took in methods.values()) for key in sums},
    }


def recorded_settings(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The different settings in the records of training runs, with the runs that had them."""
    groups: dict[str, list[str]] = {}
    for name, record in records.items():
        if name.endswith("/training.json") and record.get("settings"):
            shown = {key: value for key, value in record["settings"].items() if key not in ("experiment", "method")}
            groups.setdefault(json.dumps(shown), []).append(name.removesuffix("/training.json"))
    trainings = [{"settings": json.loads(key), "of": of} for key, of in groups.items()]
    return {"source": "records", "trainings": trainings}


def make_manifest(
    results: Path,
    report: Path,
    *,
    methods: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    command: str | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of a finished run.

    Args:
        results, report, methods, seeds: as for `list_files`.
        configuration: the result of `mmbench.config.configuration.Config.described`; None for that of the records.

    Raises:
        UserError: there is no record of any method.
    """
    wanted = None if methods is None else {name.partition("/")[0] for name in methods}
    experiments = [name for name in experiments_in(results) if wanted is None or name in wanted]
    files = list_files(results, report, experiments, methods, seeds)
    records = read_records(results, files)
    took = describe_methods(records)
    if not took:
        raise UserError(f"{results}: holds no record of a method; run `snakemake --cores all` first")
    summed = sum_up(took)
    given = {"source": "workflow", **configuration} if configuration else recorded_settings(records)
    return Manifest.model_validate(
        {
            "profile": results.resolve().name,
            "results": os.path.relpath(results, report),
            "command": command or None,
            "configuration": given,
            **describe_making(records),
            "seeds": summed["scored"],
            "data": describe_data(results),
            "methods": took,
            "took": summed,
            "files": contents(results, files),
            "left_out": {},
        }
    )
