"""Command line: write the manifest of a run (`mmbench.runs.manifest`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmbench.errors import Parser, UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import read_json, write_json
from mmbench.runs.manifest import NAME, make_manifest


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.manifest --results results/quick`."""
    parser = Parser(prog="python -m mmbench.stages.manifest", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/<profile>")
    parser.add_argument("--report", type=Path, help="folder of the page, for the manifest; default: that of --results")
    parser.add_argument("--methods", nargs="+", metavar="EXPERIMENT/METHOD", help="only these; default: all there are")
    parser.add_argument("--seeds", nargs="+", type=int, help="only these; default: all there are")
    parser.add_argument("--command", help="the command that made the results")
    parser.add_argument("--configuration", type=Path, help="JSON of what was configured; default: what records say")
    args = parser.parse_args(argv)
    report = args.report or args.results
    if args.results not in (report, report.parent):
        raise UserError(f"--report {report}: is not in {args.results}; give the folder of a page that was made of it")
    with alone(report, "manifest"):
        manifest = make_manifest(
            args.results,
            report,
            methods=args.methods,
            seeds=args.seeds,
            command=args.command,
            configuration=read_json(args.configuration) if args.configuration else None,
        )
        write_json(report / NAME, manifest.model_dump(mode="json"))
    size = sum(content.bytes for content in manifest.files.values())
    print(f"manifest: {report / NAME}: {len(manifest.files)} files, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    run_command(main)
