"""Being asked to stop, and stopping where it costs nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: What a scheduler, a terminal that closes, and Ctrl-C send.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextmanager
def stop_requests() -> Iterator[Callable[[], str | None]]:
    """Yields a function that returns the name of the signal that asked this process to stop, None if none has.

    A second signal of the same kind stops at once, as without this. A signal that is ignored, as SIGHUP is under nohup,
    stays so, and outside the main thread, where Python knows no signals, nothing changes.
    """
    asked: list[str] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is threading.main_thread():
        before = {number: found for number in SIGNALS if (found := signal.getsignal(number)) != signal.SIG_IGN}
        for number in before:
            signal.signal(number, note)
    try:
        yield lambda: asked[0] if asked else None
    finally:
        for number, found in before.items():
            signal.signal(number, found)
