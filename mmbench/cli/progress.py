"""How far a run of the workflow is: jobs done, running and left, the step of each training, and when it may end."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: What `python -m mmbench.stages.train` prints every ten seconds.
STEP = re.compile(r"step (\d+)/(\d+) .*?(\d+) images/s\s+(\S+) left")
TAIL = 4096
SHOWN = 12  # running jobs that are listed


@dataclass(frozen=True)
class Step:
    """Where a training stands: its step, the last one, images a second, and what it says is left, like 3:07."""

    step: int
    last: int
    rate: int
    left: str

    @property
    def seconds_left(self) -> float:
        """What is left, in seconds."""
        minutes, _, seconds = self.left.partition(":")
        return 60 * float(minutes) + float(seconds)


def read_step(log: Path) -> Step | None:
    """The last step that a training's log has; None if it has none yet."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL))
            steps = STEP.findall(stream.read().decode("utf-8", "replace"))
    except OSError:
        return None
    return Step(int(steps[-1][0]), int(steps[-1][1]), int(steps[-1][2]), steps[-1][3]) if steps else None


@dataclass(frozen=True)
class Job:
    """One running job: its rule, what it is of, its log, and the time (of any clock, in seconds) it started at."""

    rule: str
    what: str
    log: Path | None
    started: float

    def __str__(self) -> str:
        return f"{self.rule} {self.what}".strip()


@dataclass
class Progress:
    """What a run's events add up to.

    Attributes:
        left: jobs of each rule that have not ended.
        running: by Snakemake's number.
        took: seconds of each rule's finished jobs.
        total, done, failed: jobs.
        cores: what jobs share.
        page: the report that the run makes.
    """

    left: dict[str, int] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    failed: int = 0
    cores: int = 1
    began: float = 0.0
    page: str = ""

    def begin(self, stats: Mapping[str, int], now: float) -> None:
        """Jobs of each rule, and `total`."""
        self.left = {rule: count for rule, count in stats.items() if rule != "total"}
        self.total, self.began = stats["total"], now

    def start(self, number: int, rule: str, wildcards: Mapping[str, str], logs: Sequence[str], now: float) -> Job:
        """A job has started."""
        job = Job(rule, described(wildcards), Path(logs[0]) if logs else None, now)
        self.running[number] = job
        return job

    def finish(self, number: int, now: float) -> Job | None:
        """A job has ended well; None if nobody said that it had started."""
        self.done += 1
        job = self.running.pop(number, None)
        if job:
            self.left[job.rule] = self.left.get(job.rule, 1) - 1
            self.took.setdefault(job.rule, []).append(now - job.started)
        return job

    def fail(self, number: int, now: float) -> None:
        """A job has failed."""
        self.failed += 1
        if job := self.running.pop(number, None):
            self.left[job.rule] = self.left.get(job.rule, 1) - 1

    def note_page(self, outputs: Sequence[str]) -> None:
        """Remember the page among what a job makes."""
        self.page = next((path for path in outputs if path.endswith("index.html")), self.page)

    def seconds_left(self, now: float) -> float | None:
        """When the run may end: jobs left at the mean of their rule so far, shared out to the cores.

        None as long as no job has ended. A rule of which none has ended is taken to last as long as the mean of all; a
        training that prints its own estimate is believed.
        """
        known = {rule: sum(times) / len(times) for rule, times in self.took.items()}
        if not known:
            return None
        mean = sum(map(sum, self.took.values())) / sum(map(len, self.took.values()))
        waiting = dict(self.left)
        running = []
        for job in self.running.values():
            waiting[job.rule] = waiting.get(job.rule, 1) - 1
            step = read_step(job.log) if job.log and job.rule in ("train", "judge") else None
            expected = known.get(job.rule, mean) - (now - job.started)
            running.append(step.seconds_left if step else max(expected, 0.0))
        work = sum(count * known.get(rule, mean) for rule, count in waiting.items() if count > 0)
        return max((work + sum(running)) / max(self.cores, 1), max(running, default=0.0))

    def line(self, now: float) -> str:
        """Where the run stands, in one line."""
        left = self.seconds_left(now)
        parts = [f"{self.done}/{self.total} jobs", f"{len(self.running)} running",
                 f"{self.total - self.done - self.failed - len(self.running)} waiting"]  # fmt: skip
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [clock(now - self.began)] + ([f"about {clock(left)} left"] if left else [])
        return ", ".join(parts)

    def summary(self, now: float) -> str:
        """How the run ended."""
        text = f"{self.done} of {self.total} jobs in {clock(now - self.began)}"
        text += f", {self.failed} failed" if self.failed else ""
        whole = self.page and self.done == self.total
        return text + (f"; the page is {self.page}" if whole else "")


def described(wildcards: Mapping[str, str]) -> str:
    """What a job is of, e.g. `masking/ddpm seed0`."""
    names = [wildcards[key] for key in ("experiment", "method") if wildcards.get(key)]
    seed = [f"seed{wildcards['seed']}"] if wildcards.get("seed") else []
    rest = [wildcards[key].strip("/") for key in ("at", "extractor", "page") if wildcards.get(key)]
    return " ".join(filter(None, ["/".join(dict.fromkeys(names)), *seed, *rest]))


def clock(seconds: float) -> str:
    """Seconds as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def view(progress: Progress, now: float) -> Group:
    """The whole state as something that rich can draw."""
    head = Table.grid(padding=(0, 1))
    head.add_row(ProgressBar(total=progress.total or 1, completed=progress.done, width=30), Text(progress.line(now)))
    jobs = Table.grid(padding=(0, 2))
    for job in list(progress.running.values())[:SHOWN]:
        step = read_step(job.log) if job.log and job.rule in ("train", "judge") else None
        said = f"step {step.step}/{step.last}, {step.rate} images/s, {step.left} left" if step else ""
        jobs.add_row(Text(job.rule, style="bold"), Text(job.what), Text(clock(now - job.started)), Text(said))
    more = len(progress.running) - SHOWN
    return Group(head, jobs, *([Text(f"and {more} more")] if more > 0 else []))
