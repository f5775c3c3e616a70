"""A copy of this checkout, and Snakemake in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from warm_python import warm_python

from mmbench.errors import UserError

ROOT = Path(__file__).parents[1]
PARTS = ["Snakefile", "workflow", "config", "profiles", "mmbench", "baselines", "environment.yml"]
NOTHING_TO_DO = "Nothing to be done"


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout, and what Snakemake says in it.

    Attributes:
        root: the copy.
        environment: variables of Snakemake; by default those of this process.
        warm: whether Python starts with its libraries imported (`warm_python.py`).
    """

    root: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    warm: bool = False

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; stdout and stderr together are its `stdout`."""
        folders = [*([warm_python()] if self.warm else []), Path(sys.executable).parent, self.environment["PATH"]]
        path = os.pathsep.join(map(str, folders))
        program = f"{folders[0]}/python" if self.warm else sys.executable
        return subprocess.run(
            [program, "-m", "snakemake", *arguments],
            cwd=self.root,
            env={**self.environment, "PATH": path},
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def smoke(self, *arguments: str, config: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run the profile `smoke` on two cores."""
        return self.snakemake("--cores", "2", *arguments, "--config", "profile=smoke", *config)

    def planned(self, *arguments: str, config: Sequence[str] = ()) -> set[str]:
        """The jobs that a run would do, as `rule` or `rule method`."""
        done = self.smoke("--dry-run", *arguments, config=config)
        assert done.returncode == 0, done.stdout
        if NOTHING_TO_DO in done.stdout:
            return set()
        jobs = set()
        for block in re.split(r"^(?:local)?rule ", done.stdout, flags=re.MULTILINE)[1:]:
            method = re.search(r"wildcards: .*?\bmethod=([^,\s]+)", block)
            jobs.add(" ".join([block.partition(":")[0], *(method.groups() if method else ())]))
        return jobs

    @property
    def results(self) -> Path:
        """Where the results are."""
        return self.root / "results" / "smoke"

    def table(self) -> pd.DataFrame:
        """Every number of the masking experiment."""
        return pd.read_csv(self.results / "tables" / "masking-long.csv")

    @contextmanager
    def edited(self, path: str, change: Callable[[str], str]) -> Iterator[None]:
        """A file with other text, put back afterwards."""
        file = self.root / path
        before = file.read_text()
        file.write_text(change(before))
        try:
            yield
        finally:
            file.write_text(before)


def copied(folder: Path, environment: Mapping[str, str] | None = None, *, warm: bool = False) -> Checkout:
    """A copy of the checkout in which nothing has run."""
    checkout = Checkout(folder, os.environ if environment is None else environment, warm)
    for part in PARTS:
        source, target = ROOT / part, checkout.root / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return checkout


def give_networks(checkout: Checkout, request: pytest.FixtureRequest) -> None:
    """Put the LPIPS networks where the workflow would have written them; skip where they cannot be had."""
    try:
        weights = request.getfixturevalue("lpips_weights")
    except UserError as error:
        pytest.skip(f"the LPIPS networks are not here and cannot be fetched: {error}")
    shutil.copytree(weights, checkout.root / "results" / "weights")
