"""`mmbench leaderboard`: write one page over several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.cli.runs import check_run
from mmbench.config.checkout import find_checkout
from mmbench.report.leaderboard.page import write_leaderboard
from mmbench.runs.manifest import NAME

REFERENCE = Path("results", "reference")


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN...", help="Folders of finished runs.", show_default="all of results/reference"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for index.html and leaderboard.csv.", show_default="results/reference")
    ] = None,
) -> None:
    """Compare runs on one page: a row for each method and question, mean ranks, Delta-m, quality against compute.

    The scores are also in leaderboard.csv, a row each, beside the page.

    Examples:

      mmbench leaderboard
      mmbench leaderboard results/quick results/standard --out results/board
    """
    root = find_checkout()
    folders = runs or sorted(path.parent for path in (root / REFERENCE).glob(f"*/{NAME}"))
    print(f"written: {write_leaderboard([check_run(run) for run in folders], out or root / REFERENCE, root)}")
