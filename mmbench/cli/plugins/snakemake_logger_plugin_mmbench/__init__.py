"""Snakemake's logger plugin `mmbench`: one live view of a run in a terminal, plain lines elsewhere.

`mmbench run` puts this folder's parent on the path and selects the plugin by `--logger mmbench`.
"""

from __future__ import annotations

import os
import sys
import time
from logging import WARNING, LogRecord
from typing import Any

from rich.console import Console
from rich.live import Live
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from mmbench.cli.progress import Progress, view

#: The beginnings of messages that are not printed.
NOISE = ("Building DAG", "Using shell", "Provided ", "Rules claiming", "Conda environments: ignored", "Select jobs",
         "Execute ", "Job stats", "Workflow has started", "host: ", "Job counts", "Singularity containers",
         "Selected jobs", "Resources ", "Complete log(s)", "Elapsed time")  # fmt: skip


class LogHandler(LogHandlerBase):
    """Follows the events of one run."""

    def __post_init__(self) -> None:
        self.progress, self.ended = Progress(), False
        self.live: Live | None = None
        self.screen = os.dup(2)
        stream = os.fdopen(self.screen, "w", buffering=1, encoding="utf-8")
        self.console = Console(file=stream, highlight=False, soft_wrap=not os.isatty(self.screen))
        self.stdout: int | None = None

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Handle one event."""
        try:
            self.take(getattr(record, "event", None), record, vars(record))
        except Exception:  # a view that breaks must not break the run
            self.handleError(record)

    def take(self, event: Any, record: LogRecord, said: dict[str, Any]) -> None:
        """Update the progress by an event, and print a line if it needs one."""
        now = time.monotonic()
        if event == LogEvent.RUN_INFO and not self.ended:
            self.progress.begin(said["stats"], now)
            self.open()
        elif event == LogEvent.RESOURCES_INFO:
            self.progress.cores = said.get("cores") or self.progress.cores
        elif event == LogEvent.JOB_INFO:
            job = self.progress.start(said["jobid"], said["rule_name"], said["wildcards"], said["log"], now)
            self.progress.note_page(said["output"])
            self.say(f"started  {job}")
        elif event == LogEvent.JOB_FINISHED:
            finished = self.progress.finish(said["job_id"], now)
            self.say(f"finished {finished}; {self.progress.line(now)}" if finished else "")
        elif event == LogEvent.JOB_ERROR:
            self.progress.fail(said["jobid"])
            self.console.print(failure(said), markup=False, style="red" if self.live else None)
        elif event not in (LogEvent.PROGRESS, LogEvent.SHELLCMD, LogEvent.JOB_STARTED, LogEvent.WORKFLOW_STARTED,
                           LogEvent.DEBUG_DAG, LogEvent.RULEGRAPH):  # fmt: skip
            text = record.getMessage()
            if text and text != "None" and (record.levelno >= WARNING or not text.startswith(NOISE)):
                self.console.print(text.rstrip(), markup=False)

    def open(self) -> None:
        """Show the view in a terminal; the output of jobs, which is also in their logs, is hidden meanwhile."""
        if self.live is not None or not self.console.is_terminal:
            return
        self.stdout = os.dup(1)
        sys.stdout.flush()
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        self.live = Live(
            get_renderable=lambda: view(self.progress, time.monotonic()), console=self.console, refresh_per_second=2,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self.live.start()

    def say(self, line: str) -> None:
        """Print a plain line, unless the view shows the same."""
        if line and self.live is None:
            self.console.print(line, markup=False)

    def close(self) -> None:
        """Leave the last state of the view, and print the result."""
        if not self.ended:
            self.ended = True
            if self.live is not None:
                self.live.stop()
            if self.stdout is not None:
                os.dup2(self.stdout, 1)
                os.close(self.stdout)
            if self.progress.total:
                self.console.print(self.progress.summary(time.monotonic()), markup=False)
        super().close()


def failure(said: dict[str, Any]) -> str:
    """A description of a failed job, with the end of its log."""
    lines = [f"failed   {said['rule_name']}: {', '.join(said['output'])}"]
    for path in said["log"]:
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                lines += [f"         {line}" for line in log.read().splitlines()[-5:]]
        except OSError:
            continue
        lines.append(f"         the whole log: {path}")
    return "\n".join(lines)
