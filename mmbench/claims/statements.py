"""The claims of a checkout, with every name in them looked up in its code and configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbench.claims.read import Known, Stated, check_names, read_claims
from mmbench.config.discovery import find_methods
from mmbench.config.literals import experiment_tasks
from mmbench.config.yaml_files import read_yaml
from mmbench.report.names import METRICS

FILE = Path("config", "claims.yaml")


def stated_claims(root: Path, path: Path | None = None) -> list[Stated]:
    """The claims of a checkout, whose experiments, tasks, methods and metrics all exist in it.

    Args:
        root: the checkout.
        path: another file of claims.

    Raises:
        UserError: the file, an expression or a name in it is wrong.
    """
    claims = read_claims(path or root / FILE, root)
    names = sorted(file.stem for file in (root / "config" / "experiments").glob("*.yaml"))
    known = {}
    for name, methods in find_methods(root, names).items():
        described = keys(read_yaml(root / "config" / "experiments" / f"{name}.yaml", root))
        variants = [key for key in described if key.partition("@")[0] in methods and "@" in key]
        known[name] = Known([*methods, *variants], experiment_tasks(root, name))
    check_names(claims, known, list(METRICS))
    return claims


def keys(values: Any) -> Iterator[str]:
    """Every key of nested mappings: variants are among them, wherever they are described."""
    if isinstance(values, dict):
        for key, inner in values.items():
            yield str(key)
            yield from keys(inner)
