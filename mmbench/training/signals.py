"""Signals that ask a process to stop, so that it can stop at a point where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: The signals of a scheduler, of a closing terminal, and of Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextmanager
def stop_signals() -> Iterator[Callable[[], str | None]]:
    """Yields a function that returns the name of the first signal that asked this process to stop, None before.

    A second signal of the same kind stops the process at once. A signal that is ignored, such as SIGHUP under nohup,
    stays ignored. Outside the main thread, where Python handles no signals, nothing changes.
    """
    received: list[str] = []
    handlers: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        signal.signal(number, handlers[number])

    if threading.current_thread() is threading.main_thread():
        handlers = {n: handler for n in SIGNALS if (handler := signal.getsignal(n)) != signal.SIG_IGN}
        for number in handlers:
            signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
