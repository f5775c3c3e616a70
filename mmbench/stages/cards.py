"""Command line: write README.md into folders of prepared data and of trained models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmbench.errors import Parser, UserError, run_command
from mmbench.files.locks import alone
from mmbench.files.store import write_text
from mmbench.report.cards import data_card, model_card

NAME = "README.md"


def card_of(folder: Path) -> str:
    """The card of what is in a folder.

    Raises:
        UserError: it holds neither data nor a model.
    """
    if (folder / "card.json").is_file():
        return data_card(folder)
    if (folder / "training.json").is_file() or (folder / "metrics.json").is_file():
        return model_card(folder)
    raise UserError(f"{folder}: has no card.json, training.json or metrics.json; name a folder of data or of a method")


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.stages.cards results/quick/data results/quick/masking/mt_diffusion/seed0`."""
    parser = Parser(prog="python -m mmbench.stages.cards", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of prepared data, or of one training")
    for folder in parser.parse_args(argv).folders:
        card = card_of(folder)
        with alone(folder, "card"):
            write_text(folder / NAME, card)
        print(folder / NAME)


if __name__ == "__main__":
    run_command(main)
