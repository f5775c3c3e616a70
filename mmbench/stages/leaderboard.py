"""Compare finished runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.command import stage_main
from mmbench.config.checkout import ROOT
from mmbench.errors import run_command
from mmbench.files.locks import alone
from mmbench.report.leaderboard.page import write_leaderboard


def command(
    runs: Annotated[list[Path], Option(help="Folders of finished runs.")],
    out: Annotated[Path, Option(help="Folder for index.html and leaderboard.csv.")],
) -> None:
    """Compare finished runs on one page."""
    with alone(out, "leaderboard"):
        print(f"written: {write_leaderboard(runs, out, ROOT)}")


main = stage_main(command, "leaderboard")

if __name__ == "__main__":
    run_command(main)
