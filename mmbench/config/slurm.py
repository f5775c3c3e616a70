"""Asks the scheduler of a cluster before a run whether it would accept the jobs; a refusal is one line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmbench.errors import UserError

PROFILE = "profiles/slurm/config.yaml"
#: Seconds that the scheduler may take to answer.
PATIENCE = 60.0
#: The resources of a job, by Snakemake's names, and the options of sbatch.
OPTIONS = {"slurm_account": "--account", "slurm_partition": "--partition", "qos": "--qos", "constraint": "--constraint",
           "runtime": "--time", "mem_mb": "--mem", "nodes": "--nodes"}  # fmt: skip
#: The advice for an error of Slurm; the first pattern that matches counts.
REMEDIES = {
    r"contact|connect|configuration source|timed out|Unknown host|authenticat": "see whether `sinfo` answers here, and "
    "run the same command again when it does",
    r"account|partition|QOS|qos": f"set slurm_account, slurm_partition or qos under default-resources of {PROFILE} to "
    "what `sacctmgr show associations` and `sinfo` list",
    "": f"ask for something else in {PROFILE} (mem_mb, runtime, nodes and the like of the rule), or ask your cluster's "
    "administrators",
}
#: The executor's message in Snakemake's log if a job could not be submitted.
REFUSED = re.compile(r"SLURM sbatch failed\. The error message was '(.+?)'\.$", flags=re.MULTILINE | re.DOTALL)


def refusal(message: str, what: str) -> UserError:
    """The error for a job that Slurm refuses: the last line of the message of sbatch, and advice."""
    lines = [line for line in message.splitlines() if line.strip()] or ["it gave no reason"]
    remedy = next(remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, message))
    return UserError(f"Slurm does not take {what}: {re.sub('^sbatch: (error: )?', '', lines[-1])}; {remedy}")


def options(resources: Mapping[str, Any], threads: int) -> tuple[str, ...]:
    """The options of sbatch for a job, as far as they are known before other jobs have run."""
    known = {name: resources.get(name) for name in OPTIONS}
    words = [f"{OPTIONS[name]}={value}" for name, value in known.items() if isinstance(value, str | int) and value]
    return (*words, f"--cpus-per-task={threads}")


def check_jobs(jobs: Iterable[Any]) -> None:
    """Ask Slurm for each kind of job whether it would accept it (`sbatch --test-only`, which submits nothing).

    Raises:
        UserError: there is no Slurm, it does not answer, or it would refuse a job.
    """
    asked = set[tuple[str, ...]]()
    for job in jobs:
        words = options(job.resources, job.threads)
        if words not in asked and not job.is_local:
            asked.add(words)
            _ask(words, f"the jobs of {job.rule.name} ({' '.join(words)})")


def _ask(words: tuple[str, ...], what: str) -> None:
    command = ["sbatch", "--test-only", *words, "--wrap=true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        raise UserError(
            "sbatch: no such program here; start the run on a node from which jobs are submitted (a login node), or "
            "leave out --workflow-profile profiles/slurm"
        ) from None
    except subprocess.TimeoutExpired:
        raise refusal(f"timed out after {PATIENCE:g} seconds", what) from None
    if done.returncode:
        raise refusal(done.stderr, what)


def refused_later(logs: Iterable[Path]) -> UserError | None:
    """The last refusal of a job in Snakemake's logs of a run; None without one."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in logs if path.is_file()]
    refusals = [said for text in texts for said in REFUSED.findall(text)]
    return refusal(refusals[-1], "a job, which is named above") if refusals else None
