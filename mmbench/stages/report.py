"""Turn the result files of a profile into a page, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.claims.statements import read_claims
from mmbench.command import stage_main
from mmbench.errors import run_command
from mmbench.files.locks import alone
from mmbench.files.store import read_json
from mmbench.report.page import write_report
from mmbench.runs.results import load_results


def command(
    results: Annotated[Path, Option(help="results/<profile>.")],
    out: Annotated[Path, Option(help="Folder for index.html, tables/ and figures/.")],
    experiments: Annotated[
        list[str] | None, Option(help="Only these.", show_default="all that have a cases.json")
    ] = None,
    methods: Annotated[list[str] | None, Option(help="Only these.", show_default="all that were scored")] = None,
    seeds: Annotated[list[int] | None, Option(help="Only these.", show_default="all")] = None,
    snapshots: Annotated[
        list[float] | None, Option(help="Only at these shares of a training; 1 is its end.", show_default="all")
    ] = None,
    claims: Annotated[
        Path | None, Option(help="File of claims to hold against the results: config/claims.yaml.")
    ] = None,
    ablations: Annotated[
        Path | None, Option(help="JSON of what is ablated: settings by experiment, axis and name.")
    ] = None,
    made_by: Annotated[str, Option("--command", help="The command that made the results, shown on the page.")] = "",
) -> None:
    """Turn the result files of a profile into a page, tables and figures."""
    loaded = load_results(results, experiments=experiments, methods=methods, seeds=seeds, snapshots=snapshots)
    stated = read_claims(claims, Path.cwd()) if claims else []
    ablated = read_json(ablations) if ablations else {}
    with alone(results, "page"):  # not in `out`, which is not there if this fails
        path = write_report(loaded, out, made_by, claims=stated, ablations=ablated)
    print(f"report: {path} ({path.stat().st_size / 2**20:.1f} MiB)")


main = stage_main(command, "report")

if __name__ == "__main__":
    run_command(main)
