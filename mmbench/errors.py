"""The error that a user can fix: it is shown as one line, without a traceback."""

from __future__ import annotations

import difflib
import errno
import io
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

LARGEST_NUMBER = 10**18 - 1  # of a seed, a count or a step: it fits into 64 bits, and so does a sum of a few


class UserError(Exception):
    """Something outside the code is wrong; the message names the file, the key and the fix in one line.

    Names in it may be anybody's: line breaks and what else controls a terminal become blanks, and bytes of a file's
    name that are no UTF-8 become `\\udcff`.
    """

    def __init__(self, message: str) -> None:
        text = message.encode(errors="backslashreplace").decode()
        super().__init__("".join(c if c.isprintable() else " " for c in text))


class UsageError(UserError):
    """The words of a command line are wrong: no such command, option or choice; the exit status is 2."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` is probably meant to be; None if nothing is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for an error about an unknown name, or nothing if nothing is close."""
    close = closest(word, known)
    return f" (did you mean '{close}'?)" if close else ""


def stop(message: str, status: int) -> NoReturn:
    """Print an error as one line on stderr and end the process with an exit status."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


def run_command(main: Callable[[Sequence[str] | None], None], end: Callable[[str, int], NoReturn] = stop) -> None:
    """Run a command line's `main`; an error that a user can fix is one line on stderr and exit status 1.

    Wrong words on the command line end it with exit status 2, and Ctrl-C with 130. A full disk, and a file that cannot
    be made or opened at its path, count as such errors: files are written atomically, so what was there before
    is still whole.

    Args:
        main: takes the words after the program's name, or None for those of this process.
        end: ends the process with what is to be printed and the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name of a file that is no text is printed all the same
    try:
        main(None)
    except UserError as error:
        end(" ".join(str(error).split()), 2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        stop("interrupted; run the same command again", 128 + signal.SIGINT)
    except OSError as error:
        if error.filename and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            end(f"{error.filename}: {error.strerror}; name another place, or mend this one", 1)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        end(f"the disk is full{where}: free some space and run the same command again; nothing finished is lost", 1)
