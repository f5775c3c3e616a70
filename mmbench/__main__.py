"""The command line `python -m mmbench COMMAND ...`, which is `mmbench COMMAND ...` if the package is installed."""

from __future__ import annotations

from mmbench.cli.app import COMMANDS, main
from mmbench.errors import run_command

__all__ = ["COMMANDS", "main", "run"]


def run() -> None:
    """The script `mmbench`."""
    run_command(main)


if __name__ == "__main__":
    run()
