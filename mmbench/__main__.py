"""Command line: `python -m mmbench COMMAND ...`, which is `mmbench COMMAND ...` where the package is installed.

A command is a module of this package with a `main`, named in `COMMANDS`; only the one that is asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

import mmbench
from mmbench.errors import Parser, run_command

COMMANDS = {
    "verify": "recompute the hashes of a run's files and say what changed",
    "compare": "compare the numbers of two runs within stated tolerances",
    "claims": "hold the claims of config/claims.yaml against the results of a run",
    "keep": "copy the small files of a finished run for others to read",
    "generate": "give a trained model some modalities, get the others as files",
    "export": "a trained model as a folder of its own, or on a hub",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the first argument names with the others."""
    listed = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="python -m mmbench",
        description="What is done with results and trained models. The workflow itself is `snakemake --cores all`.",
        epilog=f"commands:\n{listed}\n\n`python -m mmbench COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=mmbench.__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="of the command")
    args = parser.parse_args(argv)
    importlib.import_module(f"mmbench.{args.command}").main(args.arguments)


def run() -> None:
    """The script `mmbench`."""
    run_command(main)


if __name__ == "__main__":
    run()
