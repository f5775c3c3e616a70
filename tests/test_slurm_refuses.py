"""A Slurm that takes no jobs, or does not answer, is one line and what to do; `sbatch` is a script that refuses."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from checkout import Checkout, copied

from mmbench.config import slurm
from mmbench.errors import UserError

pytestmark = pytest.mark.slow

TARGET = "results/smoke/data/card.json"
ACCOUNT = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified"
BUSY = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
LARGE = (
    "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested "
)
LARGE += "node configuration is not available"
QUOTA = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (user's size and/or time limits)"
)


def program(folder: Path, name: str, script: str) -> None:
    """Put a program of a shell script into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that comes first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def refusing(said: str, first: str = "") -> str:
    """A script that refuses all jobs."""
    lines = "\n".join(f'echo "{line}" >&2' for line in said.splitlines())
    return f"{first}\n{lines}\nexit 1"


class Job:
    """What Snakemake knows of a job."""

    is_local, threads = False, 2

    def __init__(self, **resources: object) -> None:
        self.resources, self.rule = resources, type("Rule", (), {"name": "train"})


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (ACCOUNT, "slurm_account"),
        (QUOTA, "slurm_account"),
        (BUSY, "see whether `sinfo` answers"),
        ("sbatch: fatal: Could not establish a configuration source", "see whether `sinfo` answers"),
        (LARGE, "mem_mb"),
        ("", "mem_mb"),
    ],
)
def test_a_refusal_says_what_is_refused_why_and_what_to_do(programs: Path, said: str, remedy: str) -> None:
    program(programs, "sbatch", refusing(said))
    with pytest.raises(UserError) as error:
        slurm.check_jobs([Job(mem_mb=4000, slurm_partition="gpu", runtime=None)])
    text = str(error.value)
    assert text.startswith("Slurm does not take the jobs of train (--partition=gpu --mem=4000 --cpus-per-task=2): ")
    assert remedy in text and "error:" not in text
    assert (said or "it gave no reason").splitlines()[-1].removeprefix("sbatch: ").removeprefix("error: ") in text


def test_every_kind_of_job_is_asked_of_once(programs: Path, tmp_path: Path) -> None:
    program(programs, "sbatch", f'echo "$@" >> {tmp_path}/asked')
    slurm.check_jobs([Job(mem_mb=1), Job(mem_mb=1), Job(mem_mb=2, runtime=60)])
    lines = (tmp_path / "asked").read_text().splitlines()
    assert [line.split() for line in lines] == [
        ["--test-only", "--mem=1", "--cpus-per-task=2", "--wrap=true"],
        ["--test-only", "--time=60", "--mem=2", "--cpus-per-task=2", "--wrap=true"],
    ]


def test_one_that_does_not_answer_is_not_waited_for(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "sbatch", "exec sleep 60")
    monkeypatch.setattr(slurm, "PATIENCE", 0.2)
    with pytest.raises(UserError, match=r"timed out after 0.2 seconds; see whether `sinfo` answers"):
        slurm.check_jobs([Job()])


def test_without_slurm_it_says_where_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^sbatch: no such program here; start the run on"):
        slurm.check_jobs([Job()])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the checkout."""
    return copied(tmp_path_factory.mktemp("refused"), warm=True)


def submitted(checkout: Checkout, *more: str) -> list[str]:
    """What a run by Slurm says in its last lines; it fails."""
    done = dataclasses.replace(checkout, environment=dict(os.environ)).snakemake(
        "--workflow-profile", "profiles/slurm", TARGET, *more, "--config", "profile=smoke"
    )
    assert done.returncode == 1, done.stdout
    return done.stdout.strip().splitlines()


def test_a_run_that_no_scheduler_takes_does_not_begin(checkout: Checkout, programs: Path) -> None:
    program(programs, "sbatch", refusing(ACCOUNT))
    lines = submitted(checkout)
    assert lines[-1].startswith("error: Slurm does not take the jobs of data (--time=60 --mem=4000 ")
    assert not [line for line in lines if "rule data" in line or "Traceback" in line]


def test_a_job_that_is_refused_later_ends_it_with_the_reason(checkout: Checkout, programs: Path) -> None:
    """The executor asks three other programs before it submits."""
    program(programs, "sbatch", refusing(QUOTA, 'case "$*" in *--test-only*) exit 0;; esac'))
    for name, says in {"sinfo": "main*", "scontrol": "MaxArraySize = 1001", "sacct": "me", "sacctmgr": "me"}.items():
        program(programs, name, f"echo '{says}'")
    more = ("--retries", "0", "--slurm-init-seconds-before-status-checks", "1")
    said = [line for line in submitted(checkout, *more) if line.startswith("error: ")]
    assert said == [
        "error: Slurm does not take a job, which is named above: Batch job submission failed: Job violates "
        "accounting/QOS policy (user's size and/or time limits); set slurm_account, slurm_partition or qos under "
        "default-resources of profiles/slurm/config.yaml to what `sacctmgr show associations` and `sinfo` list"
    ]
