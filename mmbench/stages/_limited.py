"""A stage with a time limit: a separate process ends the stage when the time is up, wherever it hangs.

`python -m mmbench.stages._limited --minutes 60 --key limits.train --note out/timed_out.json -- python -m ...`
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import psutil
import typer
from typer import Option

from mmbench.command import stage_main
from mmbench.errors import UserError, run_command
from mmbench.files.store import write_json

#: Seconds between SIGTERM and SIGKILL, but at most the limit. A training run saves its state meanwhile, and torchrun
#: takes up to 30 s to end its processes.
GRACE = 60.0


@contextmanager
def forwarding(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Forward the signals that ask this process to stop; the child has its own session, so it receives each once."""

    def forward(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) if signal.getsignal(n) != signal.SIG_IGN]
    handlers = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def descendants(pid: int) -> set[psutil.Process]:
    """The processes that a process has started, directly or indirectly."""
    with suppress(psutil.NoSuchProcess):
        return set(psutil.Process(pid).children(recursive=True))
    return set()


def end(child: subprocess.Popen[bytes], grace: float) -> str:
    """End a process and all that it has started; returns the name of the signal that was needed."""
    started, ended_by = descendants(child.pid), signal.SIGTERM
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        started, ended_by = started | descendants(child.pid), signal.SIGKILL
        child.kill()
        child.wait()
    for process in started:  # those that outlived their parent; psutil recognises a number that another process has now
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return ended_by.name


def run(words: Sequence[str], *, minutes: float, key: str, note: Path) -> int:
    """Run a command with a time limit.

    Args:
        minutes: the limit, above 0.
        note: a JSON file that records that the time was up; it is removed first. The error names its folder.

    Returns:
        The command's exit status.

    Raises:
        UserError: the time was up, and the command did not end successfully when it was asked to stop.
    """
    note.unlink(missing_ok=True)
    begin, seconds = time.monotonic(), 60 * minutes
    child = subprocess.Popen(words, start_new_session=True, close_fds=False)  # settings may come from an open file
    with forwarding(child):
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            ended_by = end(child, min(GRACE, seconds))
    if child.returncode == 0:
        return 0
    took = round(time.monotonic() - begin, 1)
    write_json(note, {"key": key, "minutes": minutes, "seconds": took, "ended_by": ended_by})
    raise UserError(
        f"{note.parent}: timed out: {key} is {minutes:g} minutes; raise it in config/config.yaml and run the same "
        "command again, which goes on from what was kept"
    )


def command(
    words: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="What to run.")],
    minutes: Annotated[float, Option(help="How long it may take.")],
    key: Annotated[str, Option(help="The key of the configuration that says so.")],
    note: Annotated[Path, Option(help="Where to write that the time was up.")],
) -> None:
    """Run a stage with a time limit."""
    if status := run(words, minutes=minutes, key=key, note=note):
        raise SystemExit(128 - status if status < 0 else status)


main = stage_main(command, "_limited")

if __name__ == "__main__":
    run_command(main)
