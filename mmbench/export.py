"""Command line: a trained model as a folder of its own that loads with one call on another machine, or on a hub."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmbench.errors import Parser, UserError, run_command
from mmbench.generation import load

EXAMPLES = """\
examples:
  a folder to copy to another machine:
    python -m mmbench export results/quick/joint/mt_diffusion/seed0 street-model
  the same as a private repository of a hub that you are logged in to (`hf auth login`):
    python -m mmbench export results/quick/joint/mt_diffusion/seed0 street-model --push you/street-model --private

There, `mmbench.load("street-model")` loads the folder, and `Model.from_pretrained("you/street-model")` of
mmbench.generation the repository.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench export FOLDER OUT [--push OWNER/NAME]`."""
    parser = Parser(
        prog="python -m mmbench export",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of one training")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the three files")
    parser.add_argument("--push", metavar="OWNER/NAME", help="also upload it to this repository")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    args = parser.parse_args(argv)
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UserError(f"{args.out}: is there already; name a new folder")
    model = load(args.folder, "cpu")
    model.save_pretrained(args.out)
    print(f"{args.out}: {', '.join(sorted(path.name for path in args.out.iterdir()))}")
    if args.push:
        try:
            print(model.push_to_hub(args.push, private=args.private or None))
        except Exception as error:  # the hub's own, and those of whichever HTTP client it has
            reason = " ".join(str(error).split())
            raise UserError(f"--push {args.push}: {reason:.200}; log in, or copy {args.out} there yourself") from None


if __name__ == "__main__":
    run_command(main)
