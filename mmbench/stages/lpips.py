"""Command line: fetch the true weights of LPIPS, check them, and write them as safetensors (`mmbench.frozen.lpips`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmbench.errors import Parser, run_command
from mmbench.files.locks import alone
from mmbench.frozen.lpips import write_weights


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.lpips --out DIR`."""
    parser = Parser(prog="python -m mmbench.stages.lpips", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the two networks and weights.json")
    args = parser.parse_args(argv)
    with alone(args.out, "weights"):
        record = write_weights(args.out)
    for name, entry in record.items():
        print(f"{args.out / name}.safetensors: trunk of {entry['trunk']['source']}, sha256 {entry['sha256']}")


if __name__ == "__main__":
    run_command(main)
