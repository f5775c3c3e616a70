"""How much of a workflow's time its jobs have, and how long Snakemake takes to plan a thousand of them.

`--run` reads what Snakemake keeps of a finished run, in the folder where it was started: its log and its record of
every output. Prints tables; `--out` writes the same with the machine as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from tables import table, write_record

from mmbench.errors import UserError, run_command
from mmbench.runs.provenance import provenance

ROOT = Path(__file__).parents[1]
STAGES = ("data", "train", "predict", "evaluate", "report", "manifest")
#: What a thousand jobs are planned of: as many seeds of one experiment as it takes.
PLANNED = "masking"
#: Runs its arguments, then prints their CPU seconds and the most kB they took. Itself it is small: a process counts as
#: its own the memory of the one that it was forked from.
LAUNCHER = """
import os, subprocess, sys

process = subprocess.Popen(sys.argv[1:])
_, status, used = os.wait4(process.pid, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, flush=True)
os._exit(os.waitstatus_to_exitcode(status))
"""


class Job(NamedTuple):
    """A job that ran: its rule, when it began and ended in seconds since the epoch."""

    rule: str
    begin: float
    end: float


class Log(NamedTuple):
    """A finished run: when it began (seconds since the epoch), how long it took, on how many cores, its command."""

    begin: float
    wall: float
    cores: int
    command: str


def read_log(path: Path) -> Log | None:
    """What a log of Snakemake says; None if the run did not finish."""
    text = path.read_text(encoding="utf-8", errors="replace")
    elapsed = re.search(r"^Elapsed time: (?:(\d+) days?, )?(\d+):(\d+):([\d.]+)$", text, re.M)
    cores = re.search(r"^Provided cores: (\d+)", text, re.M)
    if not elapsed or not cores:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in elapsed.groups())
    begin = datetime.strptime(path.name.removesuffix(".snakemake.log"), "%Y-%m-%dT%H%M%S.%f").timestamp()
    command = re.search(r"^ *Command: \S*(?:snakemake|__main__\.py)(.*)$", text, re.M)
    call = f"snakemake{command[1]}" if command else "snakemake"
    return Log(begin, ((days * 24 + hours) * 60 + minutes) * 60 + seconds, int(cores[1]), call)


def read_jobs(folder: Path, log: Log) -> list[Job]:
    """The jobs of a run, by what Snakemake keeps of each of their outputs."""
    jobs: dict[tuple[str, ...], Job] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            job = Job(record["rule"], record.get("starttime") or 0.0, record.get("endtime") or 0.0)
            if log.begin <= job.begin and job.end <= log.begin + log.wall + 1:
                key = (job.rule, *(record.get("log") or [path.name]))
                other = jobs.get(key, job)
                jobs[key] = Job(job.rule, min(job.begin, other.begin), max(job.end, other.end))
    return sorted(jobs.values(), key=lambda job: job.begin)


def covered(jobs: Sequence[Job]) -> float:
    """Seconds in which any job ran; the jobs are in the order of their beginnings."""
    total, until = 0.0, float("-inf")
    for job in jobs:
        total += max(0.0, job.end - max(until, job.begin))
        until = max(until, job.end)
    return total


def read_run(folder: Path) -> dict[str, Any]:
    """The times of the last finished run in a folder.

    Raises:
        UserError: there is none.
    """
    logs = sorted((folder / ".snakemake" / "log").glob("*.snakemake.log"), reverse=True)
    runs = [(log, jobs) for log in map(read_log, logs) if log and (jobs := read_jobs(metadata(folder), log))]
    if not runs:
        raise UserError(f"--run {folder}: no finished run of Snakemake; run the workflow there, in one go")
    log, jobs = runs[0]
    rules: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        rules[job.rule].append(job.end - job.begin)
    return {
        "command": log.command,
        "cores": log.cores,
        "wall": log.wall,
        "jobs": len(jobs),
        "planning": jobs[0].begin - log.begin,
        "any": covered(jobs),
        "sum": sum(job.end - job.begin for job in jobs),
        "rules": {rule: {"jobs": len(times), "seconds": sum(times)} for rule, times in rules.items()},
    }


def metadata(folder: Path) -> Path:
    """Where Snakemake keeps its records of outputs."""
    return folder / ".snakemake" / "metadata"


def ran(command: Sequence[str]) -> tuple[str, dict[str, float]]:
    """What a command says; its wall and CPU seconds, and its peak memory.

    Raises:
        UserError: it failed.
    """
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    wall = time.perf_counter() - begin
    output, _, used = done.stdout.strip().rpartition("\n")
    if done.returncode:
        raise UserError(f"{' '.join(command)}: {output[-2000:]}")
    cpu, kilobytes = map(float, used.split())
    return output, {"wall": wall, "cpu": cpu, "peak_bytes": 1024 * kilobytes}


def measured(command: Sequence[str]) -> dict[str, float]:
    """The seconds and the memory of `ran`."""
    return ran(command)[1]


def planned(seeds: int) -> dict[str, Any]:
    """Seconds of planning one experiment with so many seeds, and the number of its jobs."""
    override = {"experiments": [PLANNED], "seeds": list(range(seeds))}
    with tempfile.TemporaryDirectory() as results:
        options = ["profile=smoke", f"results={results}", f"override={json.dumps(override)}"]
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--config", *options]
        output, used = ran(command)
    return {"jobs": int(re.findall(r"^total +(\d+)$", output, re.M)[-1]), **used}


def plan(count: int) -> list[dict[str, Any]]:
    """Seconds of planning one seed, two, and at least `count` jobs."""
    plans = [planned(1), planned(2)]
    one, two = (entry["jobs"] for entry in plans)
    if two < count:
        plans.append(planned(1 + -(-(count - one) // (two - one))))
    return plans


def startup() -> list[dict[str, Any]]:
    """Seconds of each stage's command until it says how it is used: Python and its imports."""
    return [{"stage": name, **measured([sys.executable, "-m", f"mmbench.stages.{name}", "--help"])} for name in STAGES]


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    text = f"Load {record['load'][0]:.0f} on {record['cpus']} cores; {record['provenance']['processor']}.\n"
    if run := record["run"]:
        wall, cores = run["wall"], run["cores"]
        busy, used = run["any"] / wall, run["sum"] / wall / cores
        text += (
            f"\n`{run['command']}`: {run['jobs']} jobs in {wall:.0f} s, the first after {run['planning']:.1f} s. "
            f"Some job ran **{busy:.1%}** of the time; their seconds are {used:.1%} of those of {cores} cores.\n\n"
        )
        every = sorted(run["rules"].items(), key=lambda item: -item[1]["seconds"])
        rows = [[rule, str(r["jobs"]), f"{r['seconds']:.0f}", f"{r['seconds'] / run['sum']:.1%}"] for rule, r in every]
        text += table(["rule", "jobs", "seconds", "share"], rows)
    rows = [
        [f"{p['jobs']:,}", f"{p['wall']:.1f}", f"{p['cpu']:.1f}", f"{p['peak_bytes'] / 2**20:.0f}"]
        for p in record["plan"]
    ]
    text += "\n" + table(["jobs planned", "seconds", "CPU seconds", "peak MiB"], rows)
    rows = [[s["stage"], f"{s['wall']:.1f}", f"{s['cpu']:.1f}"] for s in record["startup"]]
    return text + "\n" + table(["start of a stage", "seconds", "CPU seconds"], rows)


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/overhead.py --run .`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/overhead.py", description=__doc__)
    parser.add_argument("--run", type=Path, help="folder in which Snakemake was started, and finished a run")
    parser.add_argument("--jobs", type=int, default=1000, help="to plan")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    record: dict[str, Any] = {"run": read_run(args.run) if args.run else None}
    record |= {"plan": plan(args.jobs), "startup": startup(), "load": os.getloadavg(), "cpus": os.cpu_count()}
    record["provenance"] = provenance({"jobs": args.jobs}, {})
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
