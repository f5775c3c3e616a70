"""Command line: hold the claims of config/claims.yaml against the results of a profile, without a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbench.claims.statements import stated_claims
from mmbench.command import main_of
from mmbench.config.checkout import find_checkout
from mmbench.errors import UserError, run_command
from mmbench.report.parts.claims import outcomes, plain, write_claims
from mmbench.report.read.results import load_results


def command(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)] = None,
    results: Annotated[Path | None, typer.Option(help="The same as RUN.")] = None,
    claims: Annotated[Path | None, typer.Option(help="Another file of claims than config/claims.yaml.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write claims.* and claims-trials.csv here.")] = None,
) -> None:
    """Hold the claims of config/claims.yaml against the results of a run, without a page.

    Each claim is reproduced, not reproduced or inconclusive, or cannot be tested with what the run has.

    Examples:

      mmbench claims results/quick
      mmbench claims results/reference/camvid-masking --out claims
    """
    folder = run or results
    if folder is None or (run and results):
        raise UserError("RUN: name one folder of results, e.g. results/quick")
    stated, found = stated_claims(find_checkout(), claims), load_results(folder)
    if out:
        write_claims(stated, found, out)
    print(plain(outcomes(stated, found), found))


main = main_of(command, "mmbench claims")

if __name__ == "__main__":
    run_command(main)
