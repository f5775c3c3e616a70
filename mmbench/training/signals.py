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
def stop_signals() -> Iterator[Callable[[], str | None]]:
    """Yields a function that returns the name of the first signal that asked this process to stop, None before.

    A second signal of the same kind stops at once, as without this. A signal that is ignored, as SIGHUP is under nohup,
    stays so, and outside the main thread, where Python knows no signals, nothing changes.
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
