"""`mmbench data`: list the data sets, prepare one, and show its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from mmbench.cli.checks import where
from mmbench.command import console, new_app, new_table, prose
from mmbench.config.checkout import find_checkout
from mmbench.config.profiles import find_profile
from mmbench.config.yaml_files import read_yaml
from mmbench.data import DataSettings, card, names
from mmbench.errors import UsageError, UserError
from mmbench.runs.records import read_card
from mmbench.stages.data import prepare

app = new_app(help="List data sets, prepare one, show its card.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set.", autocompletion=names)]


def list_all() -> None:
    """List the data sets, the modalities that they hold, and whether their files are present.

    Example:

      mmbench data list
    """
    table = new_table("name", "holds", "found")
    for name in names():
        settings = DataSettings(name)
        try:
            place = Text(where(settings), style="green")
        except UserError:
            place = Text(f"no; mmbench data card {name} says what to download", style="dim")
        try:
            held = ", ".join(card(settings).modalities)
        except UserError:
            held = "the modalities in its folder"
        table.add_row(name, held, place)
    console().print(table)
    print("\nFiles are expected in data.root of a profile, or else in $MMBENCH_DATA/<name>.")


def prepare_one(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder for the splits and card.json.")],
    size: Annotated[
        list[int] | None, typer.Option(help="Side in pixels; give it twice for height and width.", show_default="32")
    ] = None,
    train: Annotated[int | None, typer.Option(help="Number of training items.", show_default="all")] = None,
    validation: Annotated[int | None, typer.Option(help="Number of validation items.", show_default="all")] = None,
    test: Annotated[int | None, typer.Option(help="Number of test items.", show_default="all")] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the data set's files.", show_default="$MMBENCH_DATA/NAME")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Take size, items and root from this profile.")] = None,
) -> None:
    """Prepare one data set: read or generate it, check it, and write the files that training runs read.

    A run prepares its data itself; this command shows whether your files are valid.

    Examples:

      mmbench data prepare toy_streets --train 100 --validation 20 --test 20 --out streets
      mmbench data prepare camvid --root CamVid --size 96 --size 128 --out camvid
    """
    section: dict[str, Any] = {"name": name, "train": train, "validation": validation, "test": test}
    section |= {"size": (size[0] if len(size) == 1 else size) if size else 32, "root": str(root) if root else None}
    if profile:
        if size or root or any(n is not None for n in (train, validation, test)):
            raise UsageError("--profile: it sets size, items and root; leave those options out, or --profile")
        folder = find_checkout()
        section = read_yaml(find_profile(profile, folder), folder)["data"] | {"name": name}
    written = prepare(DataSettings.from_mapping(section), out)
    counts = ", ".join(f"{split} {described['count']}" for split, described in written["splits"].items())
    print(f"written: {out} ({counts} items)")


def show_card(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a data set, or a prepared folder.", autocompletion=names)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show a data set's card: its source, licence and content, and which files to download and where to put them.

    Examples:

      mmbench data card camvid
      mmbench data card results/quick/data --json
    """
    folder = Path(name)
    values = read_card(folder) if (folder / "card.json").is_file() else card(DataSettings(name)).as_dict()
    if as_json:
        print(json.dumps(values, indent=2))
        return
    table = new_table("key", "value", show_header=False)
    table.columns[0].style = "bold"
    for key, value in values.items():
        if value not in ("", (), [], {}, None) and key != "palette":
            table.add_row(key, Text(as_text(value)))
    console().print(table)


def as_text(value: Any) -> str:
    """A value of a card as text."""
    if isinstance(value, dict):
        return "\n".join(
            f"{key}: {one.get('count', '') if isinstance(one, dict) else one}" for key, one in value.items()
        )
    if isinstance(value, list | tuple):
        return "; ".join(as_text(one).replace("\n", ", ") if isinstance(one, dict) else str(one) for one in value)
    return str(value)


app.command("list", help=prose(list_all))(list_all)
app.command("prepare", help=prose(prepare_one))(prepare_one)
app.command("card", help=prose(show_card))(show_card)
