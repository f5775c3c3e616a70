"""The jobs of a profile, as Snakemake plans them."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbench.errors import UserError

SEED = re.compile(r"(?P<experiment>[^/]+)/(?P<method>[^/]+)/seed(?P<seed>\d+)/(?:at(?P<share>[\d.]+)/)?[^/]+")


@dataclass(frozen=True)
class Job:
    """One job: its rule, its experiment, method and seed if the rule has them, and whether it is left to do.

    `share` is the share of the training run, 1 for the whole; `folder` is the folder of the job's first output.
    """

    rule: str
    folder: str
    experiment: str = ""
    method: str = ""
    seed: int = 0
    share: float = 1.0
    left: bool = True


def read_jobs(root: Path, results: Path, keys: Sequence[str], target: str = "all") -> list[Job]:
    """The jobs of a run in a checkout, including finished ones.

    Args:
        results: the folder of the profile's results, as the workflow names it.
        keys: `key=value` words for config/config.yaml.
        target: an experiment, `ablation` or `all`.

    Raises:
        UserError: Snakemake cannot plan the workflow.
    """
    command = [sys.executable, "-m", "snakemake", target, "--summary", "--cores", "1", "--config", *keys]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": programs}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith("error: ")), lines[-1] if lines else "it said nothing")
        raise UserError(f"snakemake --summary: {reason.removeprefix('error: ')}")
    return jobs_of(done.stdout, results)


def jobs_of(table: str, results: Path) -> list[Job]:
    """The jobs in the output of `snakemake --summary`, which has a line for each output file of a job."""
    jobs: dict[tuple[str, str], Job] = {}
    for row in csv.DictReader(io.StringIO(table), delimiter="\t"):
        path = Path(row["output_file"])
        inside = str(path.relative_to(results)) if path.is_relative_to(results) else path.name
        of = SEED.fullmatch(inside)
        folder = str(path.parent)
        key = (row["rule"], folder if row["rule"] != "report" else str(results))
        left = row["plan"] != "no update"
        if of:
            what = of["experiment"], of["method"], int(of["seed"]), float(of["share"] or 1)
            job = Job(row["rule"], folder, *what, left)
        elif row["rule"] in ("cases", "reference", "judge"):
            job = Job(row["rule"], folder, inside.split("/")[0], "judge" if row["rule"] == "judge" else "", left=left)
        else:
            job = Job(row["rule"], folder, left=left)
        jobs.setdefault(key, job)
    return list(jobs.values())
