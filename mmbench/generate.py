"""Command line: give a trained model some modalities, get the others as files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmbench.errors import Parser, UserError, run_command
from mmbench.generation import SAMPLING, load

EXAMPLES = """\
examples:
  an image's mask, label and embedding, all from one model:
    python -m mmbench.generate results/quick/joint/mt_diffusion/seed0 --given image=street.png --out answer
  eight images of a mask and a label, held to them more closely:
    python -m mmbench.generate results/quick/joint/mt_diffusion/seed0 --given mask=map.png label='day, clear' \\
      --want image --count 8 --guidance 2 --out painted
  four scenes drawn from nothing, with everything about them:
    python -m mmbench.generate results/quick/joint/mt_diffusion/seed0 --count 4 --out drawn

FOLDER/training.json says which modalities there are. Images and masks are pictures (a mask holds class numbers as
greyscale or palette, or the data set's colours; a masked image is transparent where it is to be filled), a label is a
name or a number, and everything may be an .npy or the .npz that this command wrote.
"""


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """`name=value` words as a mapping.

    Raises:
        UserError: a word has no `=`, or a name comes twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise UserError(f"--given: '{word}' is no modality=value; write e.g. image=street.png")
        if name in found:
            raise UserError(f"--given: {name} comes twice; give it once")
        found[name] = value
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.generate FOLDER --given NAME=VALUE ... --want NAME ... --out DIR`."""
    parser = Parser(
        prog="python -m mmbench.generate",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of one training, with weights and training.json")
    parser.add_argument(
        "--given", nargs="+", default=[], metavar="NAME=VALUE", help="what is given; nothing if not set"
    )
    parser.add_argument("--want", nargs="+", metavar="NAME", help="what to generate; everything not given if not set")
    parser.add_argument("--count", type=int, default=1, help="answers for each given item (default 1)")
    parser.add_argument("--guidance", type=float, help="strength of guidance; as trained if not set")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.add_argument("--sampler", choices=("ddim", "dpm++", "ancestral"), default=SAMPLING.sampler)
    parser.add_argument("--nfe", type=int, default=SAMPLING.nfe, help="network evaluations for each answer")
    parser.add_argument("--resize", action="store_true", help="resize pictures of another size to the model's")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is generated")
    args = parser.parse_args(argv)
    given = pairs(args.given)
    model = load(args.folder, args.device)
    model.check_names(given)
    answer = model.generate(
        want=args.want,
        count=args.count,
        guidance=args.guidance,
        seed=args.seed,
        sampler=args.sampler,
        nfe=args.nfe,
        resize=args.resize,
        **given,
    )
    folder = answer.save(args.out)
    print(f"{len(answer)} x {', '.join(answer.arrays)}: {folder}")


if __name__ == "__main__":
    run_command(main)
