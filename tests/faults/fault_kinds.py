"""What can happen to a run. Each fault strikes a `Run` at the moment it is called, and says what it has hit.

One that needs a training waits for one. If the run comes to its end before, it has missed: `Run.finished` says so.
"""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faulty_run import Job, Run
from safetensors import SafetensorError, safe_open

from mmbench.training.checkpoint import NAME, OLDER

LONG_SECONDS, NOTICED_SECONDS = 120, 10


def kept_step(state: Path, name: str = NAME) -> int | None:
    """The step of the state that is kept in a folder; None if there is none that can be read."""
    with suppress(OSError, SafetensorError), safe_open(state / name, framework="pt") as stored:
        return int(stored.metadata()["log"].split('"step":')[1].split(",")[0])
    return None


def with_step(job: Job) -> str:
    """A job that was hit, and the step that it can go on from if it is a training."""
    if job.stage != "train":
        return str(job)
    step = kept_step(job.state)
    return f"{job}, step {step} kept" if step else f"{job}, no step kept"


def with_steps(jobs: list[Job]) -> str:
    """Several jobs that were hit at once."""
    return "; ".join(map(with_step, jobs)) or "snakemake"


def trainer(run: Run, rng: random.Random) -> Job | None:
    """A training that runs: of three that are hit, two have kept a step, if there are any."""
    if rng.random() < 2 / 3:
        run.wait(lambda: [job for job in run.trainers() if (job.state / NAME).exists()], LONG_SECONDS)
        if stored := [job for job in run.trainers() if (job.state / NAME).exists()]:
            return rng.choice(stored)
    run.wait(run.trainers, LONG_SECONDS)
    jobs = run.trainers() or run.jobs()
    return rng.choice(jobs) if jobs else None


def strike_trainer(run: Run, rng: random.Random, number: signal.Signals) -> str:
    """A signal to a training, or to another job where none is left; to another if that has just done its work."""
    struck: list[Job] = []
    while not run.ended and "Error in rule" not in run.said():
        if job := trainer(run, rng):
            struck.append(job)
            job.signal(number)
            run.wait(lambda job=job: not job.runs, LONG_SECONDS)
            run.wait(lambda: "Error in rule" in run.said(), NOTICED_SECONDS)
    run.settle(orphans=False)
    return with_step(struck[-1]) if struck else "nothing ran"


def kill_trainer(run: Run, rng: random.Random) -> str:
    """The system's out-of-memory killer, or a user, ends a training."""
    return strike_trainer(run, rng, signal.SIGKILL)


def terminate_trainer(run: Run, rng: random.Random) -> str:
    """A scheduler asks a training to stop."""
    return strike_trainer(run, rng, signal.SIGTERM)


def kill_snakemake(run: Run, _rng: random.Random) -> str:
    """Snakemake dies and its jobs live on."""
    run.wait(run.jobs, LONG_SECONDS)
    run.signal(signal.SIGKILL)
    run.settle(orphans=True)
    return f"left behind: {', '.join(map(str, run.jobs())) or 'nothing'}"


def kill_group(run: Run, _rng: random.Random) -> str:
    """Everything dies at once, as in a power cut."""
    jobs = run.jobs()
    run.signal_group(signal.SIGKILL)
    run.settle(orphans=False)
    return with_steps(jobs)


def terminate_snakemake(run: Run, _rng: random.Random) -> str:
    """Snakemake is asked to stop; it waits for its jobs."""
    jobs = run.jobs()
    run.signal(signal.SIGTERM)
    run.settle(orphans=False)
    return "; ".join(map(str, jobs)) or "snakemake"


def interrupt_group(run: Run, _rng: random.Random) -> str:
    """Ctrl-C: the terminal sends SIGINT to the whole group."""
    jobs = run.jobs()
    run.signal_group(signal.SIGINT)
    run.settle(orphans=False)
    return with_steps(jobs)


def truncate_state(run: Run, rng: random.Random) -> str:
    """Everything dies, and of the newest state of a training only the beginning is on the disk."""
    kept = rng.choice([NAME, OLDER])  # one state, or two
    run.wait(lambda: any(kept_step(job.state, kept) for job in run.trainers()), LONG_SECONDS)
    jobs = run.trainers()
    run.signal_group(signal.SIGKILL)
    run.settle(orphans=False)
    stored = [job for job in jobs if kept_step(job.state)]  # none that an earlier fault has cut off
    if not stored:
        return f"no state to cut off; killed: {with_steps(jobs)}"
    job = rng.choice(stored)
    file = job.state / NAME
    step, size = kept_step(job.state), file.stat().st_size
    left = rng.choice([0, rng.randrange(size)])
    os.truncate(file, left)
    before = kept_step(job.state, OLDER)
    return f"{job}, step {step} cut to {left} of {size} bytes, {f'step {before}' if before else 'none'} before it"


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """All that is free on the disk of `folder` is taken."""
    filler = folder / "filler"
    with filler.open("wb") as stream:
        size = 0
        for chunk in (1 << 24, 1 << 18, 1 << 12):
            with suppress(OSError):  # until there is no room for one more
                while True:
                    os.posix_fallocate(stream.fileno(), size, chunk)
                    size += chunk
    try:
        yield
    finally:
        filler.unlink()


def fill_disk(run: Run, _rng: random.Random) -> str:
    """The disk is full until a job has failed of it."""
    with full_disk(run.folder):
        run.settle(orphans=False)
    files = re.findall(r"error: the disk is full while writing (?:results/smoke/)?(\S+):", run.said())
    return f"writing {', '.join(dict.fromkeys(files))}" if files else "what snakemake writes, or a log"


KINDS: dict[str, Callable[[Run, random.Random], str]] = {
    "kill -9 of a training": kill_trainer,
    "kill -9 of snakemake": kill_snakemake,
    "kill -9 of the group": kill_group,
    "SIGTERM to a training": terminate_trainer,
    "SIGTERM to snakemake": terminate_snakemake,
    "Ctrl-C": interrupt_group,
    "last state cut off": truncate_state,
    "full disk": fill_disk,
}
