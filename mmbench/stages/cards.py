"""Write README.md into folders of prepared data and of trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from mmbench.command import stage_main
from mmbench.errors import UserError, run_command
from mmbench.files.atomic import write_text
from mmbench.files.locks import alone
from mmbench.report.cards import data_card, model_card

NAME = "README.md"


def card_of(folder: Path) -> str:
    """The card of the data or the model in a folder; UserError if the folder holds neither data nor a model."""
    if (folder / "card.json").is_file():
        return data_card(folder)
    if (folder / "training.json").is_file() or (folder / "metrics.json").is_file():
        return model_card(folder)
    raise UserError(f"{folder}: has no card.json, training.json or metrics.json; name a folder of data or of a method")


def command(
    folders: Annotated[list[Path], Argument(metavar="FOLDER...", help="Of prepared data, or of one training.")],
) -> None:
    """Write README.md into folders of prepared data and of trained models."""
    for folder in folders:
        card = card_of(folder)
        with alone(folder, "card"):
            write_text(folder / NAME, card)
        print(folder / NAME)


main = stage_main(command, "cards")

if __name__ == "__main__":
    run_command(main)
