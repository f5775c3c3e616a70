"""The error that a user can fix: it is shown as one line, without a traceback."""

from __future__ import annotations

import difflib
import errno
import io
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

LARGEST_NUMBER = 10**18 - 1  # the largest seed, count or step: sums of a few of them fit into 64 bits


class UserError(Exception):
    """Something outside the code is wrong; the message names the file, the key and the fix in one line.

    The message may contain names from outside: line breaks and other control characters become blanks, and bytes of a
    file's name that are not UTF-8 become `\\udcff`.
    """

    def __init__(self, message: str) -> None:
        text = message.encode(errors="backslashreplace").decode()
        super().__init__("".join(c if c.isprintable() else " " for c in text))


class UsageError(UserError):
    """The arguments of a command line are wrong: no such command, option or choice; the exit status is 2."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to `word`; None if none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for an error about an unknown name; empty if no known name is close."""
    close = closest(word, known)
    return f" (did you mean '{close}'?)" if close else ""


def stop(message: str, status: int) -> NoReturn:
    """Print an error as one line on stderr and end the process with an exit status."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


def run_command(main: Callable[[Sequence[str] | None], None], end: Callable[[str, int], NoReturn] = stop) -> None:
    """Run a command line's `main`; an error that a user can fix is one line on stderr and exit status 1.

    Wrong arguments end it with exit status 2, and Ctrl-C with 130. A full disk, and a file that cannot be created or
    opened, are such errors too: files are written atomically, so earlier files are still complete.

    Args:
        main: a function of the arguments after the program's name, or of None for those of this process.
        end: ends the process with a message and an exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so that a file's name that is not text can be printed
    try:
        main(None)
    except UserError as error:
        end(" ".join(str(error).split()), 2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        stop("interrupted; run the same command again", 128 + signal.SIGINT)
    except OSError as error:
        if error.filename and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            end(f"{error.filename}: {error.strerror}; name another path, or correct this one", 1)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        end(f"the disk is full{where}: free some space and run the same command again; nothing finished is lost", 1)
