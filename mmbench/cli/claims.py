"""`mmbench claims`: test the claims of config/claims.yaml on the results of a run, without a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mmbench.claims.statements import load_claims
from mmbench.claims.verdicts import Outcome, assess_all
from mmbench.cli.runs import check_run
from mmbench.config.checkout import find_checkout
from mmbench.errors import UsageError
from mmbench.report.parts.claims import RULE, ours, remarks, scale, tally, untested, write_claims
from mmbench.runs.results import Results, load_results


def command(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)] = None,
    results: Annotated[Path | None, typer.Option(help="The same as RUN.")] = None,
    claims: Annotated[Path | None, typer.Option(help="File of claims, in place of config/claims.yaml.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write claims.* and claims-trials.csv here.")] = None,
) -> None:
    """Test the claims of config/claims.yaml on the results of a run, without making a page.

    A claim is reproduced, not reproduced, or inconclusive (with the number of seeds that would decide it). It is
    contested if its source contradicts itself, and not tested if the run lacks the results that it needs.

    Examples:

      mmbench claims results/quick
      mmbench claims results/reference/camvid-masking --out claims
    """
    folder = run or results
    if folder is None or (run and results):
        raise UsageError("RUN: name one folder of results, e.g. results/quick")
    loaded = load_results(check_run(folder))
    judged = assess_all(load_claims(find_checkout(), claims), loaded)
    if out:
        write_claims(judged, loaded, out)
    print(plain(judged, loaded))


def plain(outcomes: Sequence[Outcome], results: Results) -> str:
    """The table as text for a terminal."""
    blocks = [tally(outcomes)]
    for outcome in (o for o in outcomes if o.verdict != "not tested"):
        claim = outcome.statement.claim
        facts = [
            ("claim", claim.text),
            ("figure", claim.paper or "no figure"),
            ("source", claim.source),
            *(("ours" if i == 0 else "", line) for i, line in enumerate(ours(outcome, results))),
            *(("note", line) for line in remarks(outcome)),
            ("tested at", scale(outcome, results)),
        ]
        lines = [f"{outcome.verdict.upper()}: {claim.name}"]
        for key, words in facts:
            lines += textwrap.wrap(words, 110, initial_indent=f"  {key:10}", subsequent_indent=" " * 12)
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, *(textwrap.fill(note, 110) for note in [*untested(outcomes), RULE])])
