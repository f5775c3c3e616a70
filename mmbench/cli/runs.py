"""Finding a run: the folder of results that a command is about."""

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
        UserError: there is none, or it has no questions.
    """
    if run is not None:
        return check_run(run)
    root = find_checkout()
    top = read_yaml(root / TOP, root)
    results = root / str(top["results"])
    if not (runs := runs_in(results)):
        raise UserError(f"{results}: holds no run yet; start one: mmbench run --profile smoke")
    configured = results / profile_name(str(top["profile"]))
    chosen = configured if configured in runs else max(runs, key=lambda path: path.stat().st_mtime)
    return chosen.relative_to(Path.cwd()) if chosen.is_relative_to(Path.cwd()) else chosen


def runs_in(folder: Path) -> list[Path]:
    """The runs that stand in a folder, sorted."""
    return sorted({path.parents[1] for path in folder.glob("*/*/cases.json") if path.parents[1].name not in RESERVED})


def check_run(run: Path) -> Path:
    """`run`, if it is the folder of a run.

    Raises:
        UserError: it is not there, or holds no experiment; if it holds runs, they are listed.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such folder; give a run like results/quick")
    if not any(run.glob("*/cases.json")):
        runs = ", ".join(map(str, runs_in(run)))
        remedy = f"give one of the runs in it: {runs}" if runs else "give a run like results/quick"
        raise UserError(f"{run}: holds no experiment (no */cases.json); {remedy}")
    return run


def profile_values(run: Path) -> Mapping[str, Any]:
    """What a run was configured with: `profile` and `experiments`, by its manifest, else by the profile of its name.

    Raises:
        UserError: neither is there.
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
        raise UserError(f"{run}: nothing says how it was configured ({error}); finish it: mmbench run") from None
    values: Mapping[str, Any] = config.described()["values"]
    return values


def data_folder(run: Path, experiment: str) -> Path:
    """The prepared data that an experiment's reference was made of, with or without embeddings.

    Raises:
        UserError: there is no reference, or no such data.
    """
    record = read_record(run / experiment / "reference.json")
    wanted = record["provenance"]["inputs_sha256"]["data"]
    for card in [run / "data" / "card.json", *sorted(run.glob("embedded/*/card.json"))]:
        if card.is_file() and sha256_file(card) == wanted:
            return card.parent
    raise UserError(f"{run}: has not the data that {experiment}/reference.json was made of; run it again: mmbench run")
