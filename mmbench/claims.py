"""Command line: hold the claims of config/claims.yaml against the results of a profile, without a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmbench.errors import Parser, run_command
from mmbench.report.claims import outcomes, plain, write_claims
from mmbench.report.load import load_results
from mmbench.stated import stated_claims

ROOT = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.claims --results results/quick`."""
    parser = Parser(prog="python -m mmbench.claims", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<profile>")
    parser.add_argument("--claims", type=Path, help="another file of claims than config/claims.yaml")
    parser.add_argument("--out", type=Path, help="also write claims.{csv,json,md,tex} and claims-trials.csv here")
    args = parser.parse_args(argv)
    claims = stated_claims(ROOT, args.claims)
    results = load_results(args.results)
    if args.out:
        write_claims(claims, results, args.out)
    print(plain(outcomes(claims, results), results))


if __name__ == "__main__":
    run_command(main)
