"""The hash of the code that decides a stage's numbers: the stage's jobs run again when it changes.

It covers the files of `ENTRIES` and all files of the project that they import, without `PLUMBING`. For Python, the hash
covers what the code does and no wording (`mmbench.config.source`); any other file counts byte by byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from mmbench.config.imports import closure
from mmbench.config.source import read_source

TASKS, SCORES = "mmbench/experiments/{experiment}/tasks.py", "mmbench/experiments/{experiment}/scores.py"
CASES, KINDS = "mmbench/experiments/{experiment}/cases.py", "mmbench/modalities/{kinds}.py"
#: The first files of a stage's code; the files of the project that they import follow. A folder means all its files.
#: `{method}`, `{judge}` and `{kinds}` are files that are loaded by name and that no import shows.
ENTRIES: dict[str, tuple[str, ...]] = {
    "data": ("mmbench/stages/data.py", "mmbench/data/{data}.py"),
    "lpips": ("mmbench/stages/lpips.py", "mmbench/frozen/lpips-trunk.lock"),
    "efficientnet": ("mmbench/stages/efficientnet.py", "mmbench/frozen/efficientnet.lock"),
    "embed": ("mmbench/stages/embed.py",),
    "cases": ("mmbench/stages/cases.py", TASKS, CASES, KINDS),
    "train": ("mmbench/stages/train.py", TASKS, CASES, KINDS, "{method}"),
    "judge": ("mmbench/stages/judge.py", TASKS, CASES, KINDS, "{judge}"),
    "predict": ("mmbench/stages/predict.py", TASKS, KINDS, "{method}"),
    "tune": ("mmbench/stages/tune.py", TASKS, CASES, KINDS, SCORES, "{method}", "{judge}"),
    "reference": ("mmbench/stages/reference.py", TASKS, SCORES, "{judge}"),
    "evaluate": ("mmbench/stages/evaluate.py", TASKS, SCORES, "{judge}"),
    "cards": ("mmbench/stages/cards.py", "mmbench/report/cards"),
    "report": ("mmbench/stages/report.py", "mmbench/report", "mmbench/claims"),
    "leaderboard": ("mmbench/stages/leaderboard.py", "mmbench/report"),
    "claims": ("config/claims.yaml",),
    "manifest": ("mmbench/stages/manifest.py",),
}
#: Files and folders that no number depends on: the package's version, errors, the checks of a configuration, storage
#: and locks, records, and the code that stops, resumes and distributes a training run.
PLUMBING = (
    "mmbench/__init__.py",
    "mmbench/command.py",
    "mmbench/errors.py",
    "mmbench/config",
    "mmbench/files",
    "mmbench/frozen/cache.py",
    "mmbench/runs",
    "mmbench/training/checkpoint.py",
    "mmbench/training/processes.py",
    "mmbench/training/signals.py",
    "mmbench/training/validation.py",
)
#: Inside the folders of `PLUMBING` but counted: the candidates of sampling.
COUNTED = ("mmbench/config/choice.py",)
#: Later stages only read the prepared data, which are inputs of their own.
READING = ("mmbench/data",)
#: Stages that take seconds and show values that the plumbing reads: all their imports count.
SHOWING = ("cards", "report", "leaderboard", "manifest")


def stage_code(root: Path, stage: str, kinds: Iterable[str] = (), **names: str | Path | None) -> str:
    """The hash of the code that decides a stage's numbers.

    Args:
        stage: a key of `ENTRIES`.
        kinds: the kinds of the experiment's modalities.
        names: the values for its entries: `experiment` and `data` by name, `method` and `judge` as files; an entry
            whose value is None is left out.
    """
    absent = [f"{{{name}}}" for name, value in names.items() if value is None]
    entries: list[str] = []
    for entry in ENTRIES[stage]:
        if entry == KINDS:
            entries += [entry.format(kinds=kind) for kind in sorted(set(kinds))]
        elif not any(name in entry for name in absent):
            file = entry.format(**names)
            entries += [file] if entry != CASES or (root / file).is_file() else []
    return code_hash(root, *entries, ignored=ignored(stage))


def ignored(stage: str) -> tuple[str, ...]:
    """The files and folders that do not count for a stage."""
    if stage in SHOWING:
        return ()
    return PLUMBING if stage == "data" else (*PLUMBING, *READING)


def code_hash(root: Path, *entries: str | Path, ignored: Sequence[str] = PLUMBING) -> str:
    """16 hex digits of the SHA-256 over the code reachable from `entries`; a folder means all its files.

    Args:
        root: the checkout; a file outside it counts by its own name.
        entries: files and folders, below the checkout or absolute.
        ignored: files and folders below the checkout that do not count, like files that only they import.
    """
    digest = hashlib.sha256()
    for name, path in sorted(counted(root, entries, ignored).items()):
        code = read_source(path, root).digest if path.suffix == ".py" else path.read_bytes()
        digest.update(f"{name}\0".encode() + hashlib.sha256(code).digest())
    return digest.hexdigest()[:16]


def counted(root: Path, entries: Sequence[str | Path], ignored: Sequence[str] = ()) -> dict[str, Path]:
    """The files reachable from `entries`, by their names below the checkout, without those ignored."""
    beyond = _all_files(root, ignored) - _all_files(root, COUNTED)
    files: set[Path] = set()
    for path in (root / entry for entry in entries):
        files |= closure(path, root, beyond) if path.suffix == ".py" else _files(path)
    return {str(path.relative_to(root) if path.is_relative_to(root) else path.name): path for path in files - beyond}


def _all_files(root: Path, names: Iterable[str]) -> frozenset[Path]:
    return frozenset().union(*(_files(root / name) for name in names))


@cache
def _files(path: Path) -> frozenset[Path]:
    """A file, or all files in a folder."""
    inside = path.rglob("*") if path.is_dir() else [path]
    return frozenset(file for file in inside if file.is_file() and "__pycache__" not in file.parts)
