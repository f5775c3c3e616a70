"""The progress of a run: jobs done, running and left, the step of each training run, and the expected end."""

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

#: The line that `python -m mmbench.stages.train` prints every ten seconds.
STEP = re.compile(r"step (\d+)/(\d+) .*?(\d+) images/s\s+(\S+) left")
TAIL = 4096
SHOWN = 12  # running jobs that are listed


@dataclass(frozen=True)
class Step:
    """The state of a training run: its step, the last step, images per second, and the time left, such as 3:07."""

    step: int
    last: int
    rate: int
    left: str

    @property
    def seconds_left(self) -> float:
        """The time left, in seconds."""
        minutes, _, seconds = self.left.partition(":")
        return 60 * float(minutes) + float(seconds)


def read_step(log: Path) -> Step | None:
    """The last step in the log of a training run; None if there is none yet."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL))
            steps = STEP.findall(stream.read().decode("utf-8", "replace"))
    except OSError:
        return None
    return Step(int(steps[-1][0]), int(steps[-1][1]), int(steps[-1][2]), steps[-1][3]) if steps else None


@dataclass(frozen=True)
class Job:
    """A running job: its rule, its subject (`what`), its log, and its start in seconds of any clock."""

    rule: str
    what: str
    log: Path | None
    started: float

    def __str__(self) -> str:
        return f"{self.rule} {self.what}".strip()

    def step(self) -> Step | None:
        """The last step in its log, if it is a training run and has one."""
        return read_step(self.log) if self.log and self.rule in ("train", "judge") else None


@dataclass
class Progress:
    """The state of a run by its events.

    Attributes:
        left: the number of jobs that have not ended, by rule.
        running: the running jobs, by Snakemake's number.
        took: the seconds of the finished jobs, by rule.
        cores: the number of cores that the jobs share.
        page: the path of the page that the run makes.
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
        """The run starts with the jobs in `stats`, by rule and as `total`."""
        self.left = {rule: count for rule, count in stats.items() if rule != "total"}
        self.total, self.began = stats["total"], now

    def start(self, number: int, rule: str, wildcards: Mapping[str, str], logs: Sequence[str], now: float) -> Job:
        """A job starts; returns it."""
        job = Job(rule, described(wildcards), Path(logs[0]) if logs else None, now)
        self.running[number] = job
        return job

    def finish(self, number: int, now: float) -> Job | None:
        """A job ends successfully; returns it, or None if its start was not reported."""
        self.done += 1
        if job := self._end(number):
            self.took.setdefault(job.rule, []).append(now - job.started)
        return job

    def fail(self, number: int) -> None:
        """A job fails."""
        self.failed += 1
        self._end(number)

    def _end(self, number: int) -> Job | None:
        if job := self.running.pop(number, None):
            self.left[job.rule] = self.left.get(job.rule, 1) - 1
        return job

    def note_page(self, outputs: Sequence[str]) -> None:
        """Record the path of the page, if it is among the outputs of a job."""
        self.page = next((path for path in outputs if path.endswith("index.html")), self.page)

    def seconds_left(self, now: float) -> float | None:
        """The expected seconds to the end: the jobs left, at the mean time of their rule so far, divided by the cores.

        It is None until a job has ended. A job of a rule without a finished job is assumed to take the mean of all
        jobs. For a training run, its own estimate is used.
        """
        known = {rule: sum(times) / len(times) for rule, times in self.took.items()}
        if not known:
            return None
        mean = sum(map(sum, self.took.values())) / sum(map(len, self.took.values()))
        waiting = dict(self.left)
        running = []
        for job in self.running.values():
            waiting[job.rule] = waiting.get(job.rule, 1) - 1
            step = job.step()
            expected = known.get(job.rule, mean) - (now - job.started)
            running.append(step.seconds_left if step else max(expected, 0.0))
        work = sum(count * known.get(rule, mean) for rule, count in waiting.items() if count > 0)
        return max((work + sum(running)) / max(self.cores, 1), max(running, default=0.0))

    def line(self, now: float) -> str:
        """The state of the run in one line."""
        left = self.seconds_left(now)
        parts = [f"{self.done}/{self.total} jobs", f"{len(self.running)} running",
                 f"{self.total - self.done - self.failed - len(self.running)} waiting"]  # fmt: skip
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [clock(now - self.began)] + ([f"about {clock(left)} left"] if left else [])
        return ", ".join(parts)

    def summary(self, now: float) -> str:
        """The result of the run in one line."""
        text = f"{self.done} of {self.total} jobs in {clock(now - self.began)}"
        text += f", {self.failed} failed" if self.failed else ""
        whole = self.page and self.done == self.total
        return text + (f"; the page is {self.page}" if whole else "")


def described(wildcards: Mapping[str, str]) -> str:
    """The subject of a job, e.g. `masking/ddpm seed0`."""
    names = [wildcards[key] for key in ("experiment", "method") if wildcards.get(key)]
    seed = [f"seed{wildcards['seed']}"] if wildcards.get("seed") else []
    rest = [wildcards[key].strip("/") for key in ("at", "extractor", "page") if wildcards.get(key)]
    return " ".join(filter(None, ["/".join(dict.fromkeys(names)), *seed, *rest]))


def clock(seconds: float) -> str:
    """Seconds as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def view(progress: Progress, now: float) -> Group:
    """The live view of a run for rich."""
    head = Table.grid(padding=(0, 1))
    head.add_row(ProgressBar(total=progress.total or 1, completed=progress.done, width=30), Text(progress.line(now)))
    jobs = Table.grid(padding=(0, 2))
    for job in list(progress.running.values())[:SHOWN]:
        step = job.step()
        said = f"step {step.step}/{step.last}, {step.rate} images/s, {step.left} left" if step else ""
        jobs.add_row(Text(job.rule, style="bold"), Text(job.what), Text(clock(now - job.started)), Text(said))
    more = len(progress.running) - SHOWN
    return Group(head, jobs, *([Text(f"and {more} more")] if more > 0 else []))
