"""The hash of the code that a stage runs: its jobs run again when it changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mmbench.config.imports import closure

TASKS, SCORES = "mmbench/experiments/{experiment}/tasks.py", "mmbench/experiments/{experiment}/scores.py"
#: Where the code of a stage begins; all that it imports of the project follows. A folder stands for all its files.
#: `{method}` and `{judge}` are files that are loaded by their names, which no import shows.
ENTRIES: dict[str, tuple[str, ...]] = {
    "data": ("mmbench/stages/data.py", "mmbench/data/{data}.py"),
    "lpips": ("mmbench/stages/lpips.py", "mmbench/frozen/lpips-trunk.lock"),
    "embed": ("mmbench/stages/embed.py",),
    "cases": ("mmbench/stages/cases.py", TASKS),
    "train": ("mmbench/stages/train.py", TASKS, "{method}"),
    "predict": ("mmbench/stages/predict.py", TASKS, "{method}"),
    "tune": ("mmbench/stages/tune.py", TASKS, SCORES, "{method}", "{judge}"),
    "reference": ("mmbench/stages/reference.py", TASKS, SCORES, "{judge}"),
    "evaluate": ("mmbench/stages/evaluate.py", TASKS, SCORES, "{judge}"),
    "cards": ("mmbench/stages/cards.py", "mmbench/report/cards"),
    "report": ("mmbench/stages/report.py", "mmbench/report", "mmbench/claims"),
    "claims": ("config/claims.yaml",),
    "manifest": ("mmbench/stages/manifest.py",),
}


def stage_code(root: Path, stage: str, **names: str | Path | None) -> str:
    """The hash of a stage's code.

    Args:
        root: the checkout.
        stage: a key of `ENTRIES`.
        names: what stands in its entries: `experiment` and `data` by name, `method` and `judge` as files; an entry
            whose name is None is left out.
    """
    absent = [f"{{{name}}}" for name, value in names.items() if value is None]
    entries = [entry for entry in ENTRIES[stage] if not any(name in entry for name in absent)]
    return code_hash(root, *(entry.format(**names) for entry in entries))


def code_hash(root: Path, *entries: str | Path) -> str:
    """SHA-256 over the code reachable from `entries`; a folder stands for all its files.

    A file outside `root` counts by its own name.
    """
    files: set[Path] = set()
    for entry in entries:
        path = root / entry
        if path.is_dir():
            files |= {p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        elif path.suffix == ".py":
            files |= closure(path, root)
        else:
            files.add(path)
    digest = hashlib.sha256()
    for path in sorted(files):
        name = path.relative_to(root) if path.is_relative_to(root) else path.name
        digest.update(f"{name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
