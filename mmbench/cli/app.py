"""The list of the commands of `mmbench`; the module of a command is imported when the command is called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import mmbench
from mmbench.cli.user_account import settle
from mmbench.command import call, clickable, prose

#: The commands by purpose: the name, which is that of a module in this folder, and one line of help.
PANELS = {
    "Start": (
        ("doctor", "check machine, packages, data, weights and disk, and state how to fix each problem"),
        ("init", "create a working folder, if you have no clone of the repository"),
        ("data", "list data sets, prepare one, show its card"),
        ("new-baseline", "write a working baseline for you to edit"),
    ),
    "Run": (
        ("plan", "measure this machine and predict hours, memory and disk of a profile"),
        ("run", "run the workflow, or one experiment of it, with one live view"),
        ("score", "score predictions that were made elsewhere"),
        ("sample", "give a trained model some modalities, and write the others as files"),
        ("export", "write a trained model to a folder for another machine, or to a hub"),
    ),
    "Read": (
        ("results", "show the scores of a run"),
        ("claims", "test the claims of config/claims.yaml on the results of a run"),
        ("leaderboard", "compare several runs on one page"),
        ("compare", "compare the numbers of two runs within stated tolerances"),
        ("reproduce", "make a kept run again and compare the two"),
        ("verify", "recompute the hashes of a run's files and list what changed"),
        ("keep", "copy the small files of a finished run, to publish them"),
    ),
}
COMMANDS = {name: text for commands in PANELS.values() for name, text in commands}
#: Other names of commands.
ALIASES = {"generate": "sample"}


class Later(TyperCommand):
    """A command whose module is imported when its arguments are read, so `mmbench --help` imports none."""

    def __init__(self, name: str, of: str | None = None, **shown: Any) -> None:
        super().__init__(name, **shown)
        self.module = (of or name).replace("-", "_")

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command."""
        module = importlib.import_module(f"mmbench.cli.{self.module}")
        real = clickable(getattr(module, "app", None) or module.command, str(self.name))
        return real.make_context(info_name, args, parent=parent, **extra)


def show_version(wanted: bool) -> None:
    """Print the version and stop, if `wanted`."""
    if wanted:
        print(mmbench.__version__)
        raise typer.Exit


def top(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """A reproducible benchmark for multimodal, multitask diffusion models.

    Ten minutes from nothing to a page of results, in a clone of the repository:

      mmbench doctor
      mmbench run --profile smoke
      mmbench results results/smoke
      mmbench new-baseline masking my_idea

    `mmbench COMMAND --help` shows examples of each command. The workflow itself runs the stages, such as `python -m
    mmbench.stages.train`; docs/command.md explains both.
    """


def make_group() -> TyperGroup:
    """The group of all commands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    app.callback(help=prose(top))(top)
    group: TyperGroup = get_command(app)  # type: ignore[assignment]
    for panel, commands in PANELS.items():
        for name, text in commands:
            group.add_command(Later(name, help=text, rich_help_panel=panel))
    for name, real in ALIASES.items():
        group.add_command(Later(name, real, help=f"the same as {real}", hidden=True))
    return group


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the first argument names; UserError for an error that the user can fix."""
    settle()
    call(make_group(), "mmbench", argv)
