"""A copy of the checkout in which Snakemake runs, and its processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "workflow", "config", "profiles", "mmbench", "baselines", "environment.yml", "requirements.lock"]
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 2 * 3600


@dataclass
class Run:
    """One folder in which the same DAG is started again and again.

    Attributes:
        folder: of the copy.
        logs: folder for what each start says; not in `folder`, which may be full.
        config: values of Snakemake's `--config`.
        targets: what is made; by default everything.
        python: program that runs Snakemake and its jobs.
    """

    folder: Path
    logs: Path
    config: Sequence[str]
    targets: Sequence[str] = ()
    python: str = sys.executable
    starts: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def copy(self, checkout: Path, weights: Path | None) -> None:
        """Copy a checkout, with the LPIPS networks of `weights` if they are not to be made by the run itself.

        There, the first failed job ends a run: what follows a fault is the recovery.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source, target = checkout / part, self.folder / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                shutil.copy(source, target)
        profile = self.folder / "profiles" / "default" / "config.yaml"
        text = profile.read_text()
        assert "keep-going: " in text
        profile.write_text(text.replace("keep-going: true", "keep-going: false"))
        if weights:
            shutil.copytree(weights, self.folder / "results" / "weights")
        self.logs.mkdir(parents=True, exist_ok=True)

    @property
    def results(self) -> Path:
        """Where the results are."""
        return self.folder / "results"

    def command(self, *arguments: str) -> list[str]:
        """What is typed."""
        return [self.python, "-m", "snakemake", "--cores", "2", *arguments, "--config", *self.config]

    @property
    def environment(self) -> dict[str, str]:
        """The jobs' `python` is that of Snakemake."""
        return os.environ | {"PATH": f"{Path(self.python).parent}{os.pathsep}{os.environ['PATH']}"}

    def start(self) -> None:
        """Start Snakemake in a process group of its own, as a shell does."""
        self.starts += 1
        for number in (signal.SIGINT, signal.SIGHUP):  # a program in the background, or under nohup, ignores them
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        with (self.logs / f"start{self.starts}.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command(*self.targets),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def forget(self) -> None:
        """Remove all that was made but the LPIPS networks."""
        shutil.rmtree(self.results / "smoke")
        shutil.rmtree(self.folder / ".snakemake")

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; stdout and stderr together are its `stdout`."""
        return subprocess.run(
            self.command(*arguments, *self.targets),
            cwd=self.folder,
            env=self.environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def said(self, start: int | None = None) -> str:
        """What a start has said so far; by default the last."""
        return (self.logs / f"start{start or self.starts}.log").read_text(errors="replace")

    @property
    def main(self) -> int:
        """Process of Snakemake, and number of its group."""
        assert self.process
        return self.process.pid

    @property
    def ended(self) -> bool:
        """Whether Snakemake has ended, in whatever way."""
        assert self.process
        return self.process.poll() is not None

    @property
    def finished(self) -> bool:
        """Whether Snakemake has done all there was to do."""
        return self.ended and self.process is not None and self.process.returncode == 0

    def jobs(self) -> list[Job]:
        """The commands of jobs that run in the folder, of this start or left over from another."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                words = words[words.index("-m") :] if "-m" in words else []
                if "".join(words[1:2]).startswith("mmbench.stages.") and process.cwd() == str(self.folder):
                    found.append(Job(process, words, self.folder))
        return found

    def own_jobs(self) -> list[Job]:
        """Those of the jobs that this start has begun."""
        mine = []
        for job in self.jobs():
            with suppress(psutil.Error):
                if self.main in (parent.pid for parent in job.process.parents()):
                    mine.append(job)
        return mine

    def trainers(self) -> list[Job]:
        """Those of the jobs that train."""
        return [job for job in self.jobs() if job.stage == "train"]

    def wait(self, reached: Callable[[], object], seconds: float = PATIENCE_SECONDS, *, idle: bool = False) -> bool:
        """Wait until something is reached; False if Snakemake has ended before (not if `idle`), or time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if reached():
                return True
            if not idle and self.ended:
                return False
            time.sleep(POLL_SECONDS)
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send Snakemake a signal, if it is still there."""
        if not self.ended:
            os.kill(self.main, number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to all that a terminal would send it to, if Snakemake is still there."""
        if not self.ended:
            os.killpg(self.main, number)

    def settle(self, *, orphans: bool) -> None:
        """Wait until Snakemake has ended, and, unless there may be orphans, all jobs."""
        if not self.wait(lambda: self.ended and (orphans or not self.jobs()), idle=True):
            raise TimeoutError(f"{self.folder}: {self.jobs()} still run")

    def stop(self) -> None:
        """End all that runs in the folder."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.main, signal.SIGKILL)
            self.process.wait()
        for job in self.jobs():
            job.signal(signal.SIGKILL)


@dataclass(frozen=True)
class Job:
    """The process of one stage's command."""

    process: psutil.Process
    words: list[str]
    folder: Path

    @property
    def stage(self) -> str:
        """Of `-m mmbench.stages.<stage>`."""
        return self.words[1].removeprefix("mmbench.stages.")

    @property
    def place(self) -> str:
        """What it makes, below the profile's folder."""
        option = next((name for name in ("--report", "--out") if name in self.words), None)
        out = self.words[self.words.index(option) + 1] if option else ""
        return re.sub(r"^results/(smoke/?)?", "", out).replace("/seed0", "")

    @property
    def state(self) -> Path:
        """A training's folder of states."""
        return self.folder / self.words[self.words.index("--state") + 1]

    @property
    def runs(self) -> bool:
        """Whether it is still there."""
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with suppress(psutil.Error):
            self.process.send_signal(number)

    def __str__(self) -> str:
        return f"{self.stage} {self.place}".strip()
