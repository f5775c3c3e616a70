"""Finds the run of a command: its folder of results, its configuration and its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbench.config.check import TOP
from mmbench.config.checkout import find_checkout
from mmbench.config.configuration import Config
from mmbench.config.profiles import RESERVED, profile_name
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.files.store import read_record, sha256_file
from mmbench.runs.manifest import NAME, read_manifest
from mmbench.runs.manifest_schema import Configured


def find_run(run: Path | None) -> Path:
    """The folder of a run: `run` itself, else that of the configured profile, else the one that was changed last.

    Raises:
        UserError: there is none, or it has no cases.
    """
    if run is not None:
        return check_run(run)
    root = find_checkout()
    top = read_yaml(root / TOP, root)
    results = root / str(top["results"])
    if not (runs := runs_in(results)):
        raise UserError(f"{results}: there is no run yet; start one: mmbench run --profile smoke")
    configured = results / profile_name(str(top["profile"]))
    chosen = configured if configured in runs else max(runs, key=lambda path: path.stat().st_mtime)
    return chosen.relative_to(Path.cwd()) if chosen.is_relative_to(Path.cwd()) else chosen


def runs_in(folder: Path) -> list[Path]:
    """The folders of runs in a folder, sorted."""
    return sorted({path.parents[1] for path in folder.glob("*/*/cases.json") if path.parents[1].name not in RESERVED})


def check_run(run: Path) -> Path:
    """`run`, if it is the folder of a run; UserError if it does not exist or holds no experiment."""
    if not run.is_dir():
        raise UserError(f"{run}: no such folder; give a run like results/quick")
    if not any(run.glob("*/cases.json")):
        runs = ", ".join(map(str, runs_in(run)))
        remedy = f"give one of the runs in it: {runs}" if runs else "give a run like results/quick"
        raise UserError(f"{run}: holds no experiment (no */cases.json); {remedy}")
    return run


def profile_values(run: Path) -> Mapping[str, Any]:
    """The configuration of a run, `profile` and `experiments`, by its manifest or else by the profile of its name.

    Raises:
        UserError: there is neither.
    """
    if (run / NAME).is_file():
        configured = read_manifest(run / NAME).configuration
        if isinstance(configured, Configured):
            return configured.values
    root = find_checkout()
    name = run.resolve().name
    try:
        config = Config(read_yaml(root / TOP, root) | {"profile": name}, root)
    except UserError as error:
        raise UserError(f"{run}: its configuration is not known ({error}); finish the run: mmbench run") from None
    values: Mapping[str, Any] = config.described()["values"]
    return values


def data_folder(run: Path, experiment: str) -> Path:
    """The prepared data of an experiment, with or without embeddings; UserError if its reference was made of others."""
    record = read_record(run / experiment / "reference.json")
    wanted = record["provenance"]["inputs_sha256"]["data"]
    for card in [run / "data" / "card.json", *sorted(run.glob("embedded/*/card.json"))]:
        if card.is_file() and sha256_file(card) == wanted:
            return card.parent
    raise UserError(f"{run}: the data behind {experiment}/reference.json are missing; run it again: mmbench run")
