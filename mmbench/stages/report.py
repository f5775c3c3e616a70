"""Command line: turn the result files of a profile into a page, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmbench.claims.statements import read_claims
from mmbench.errors import Parser, run_command
from mmbench.files.locks import alone
from mmbench.files.store import read_json
from mmbench.report.page import write_report
from mmbench.runs.results import load_results


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.report --results results/quick --out results/quick`."""
    parser = Parser(prog="python -m mmbench.stages.report", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<profile>")
    parser.add_argument("--out", type=Path, required=True, help="folder for index.html, tables/ and figures/")
    parser.add_argument("--experiments", nargs="+", help="only these; default: all that have a cases.json")
    parser.add_argument("--methods", nargs="+", help="only these; default: all that were scored")
    parser.add_argument("--seeds", nargs="+", type=int, help="only these; default: all")
    parser.add_argument("--snapshots", nargs="*", type=float, help="only at these shares of a training; default: all")
    parser.add_argument("--claims", type=Path, help="file of claims to hold against the results: config/claims.yaml")
    parser.add_argument("--ablations", type=Path, help="JSON of what is ablated: settings by experiment, axis and name")
    parser.add_argument("--command", default="", help="the command that made the results, shown on the page")
    args = parser.parse_args(argv)
    results = load_results(
        args.results,
        experiments=args.experiments,
        methods=args.methods,
        seeds=args.seeds,
        snapshots=args.snapshots,
    )
    claims = read_claims(args.claims, Path.cwd()) if args.claims else []
    ablations = read_json(args.ablations) if args.ablations else {}
    with alone(args.results, "page"):  # not in `out`, which is not there if this fails
        path = write_report(results, args.out, args.command, claims=claims, ablations=ablations)
    print(f"report: {path} ({path.stat().st_size / 2**20:.1f} MiB)")


if __name__ == "__main__":
    run_command(main)
