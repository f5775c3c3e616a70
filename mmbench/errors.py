"""The one error that a user can mend: it is shown as one line, without a traceback."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Callable, Iterable, Sequence


class UserError(Exception):
    """Something outside the code is wrong; the message names the file, the key and the fix in one line."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` is probably meant to be; None if nothing is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def near(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for an error about an unknown name, or nothing if nothing is close."""
    close = closest(word, known)
    return f" (did you mean '{close}'?)" if close else ""


def run_command(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run a command line's `main`; a mendable error is one line on stderr and exit status 1.

    A full disk counts as mendable: files are written atomically, so what was there before is still whole.
    """
    try:
        main(None)
    except UserError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        sys.exit(
            f"error: the disk is full{where}: free some space and run the same command again; nothing finished is lost"
        )
