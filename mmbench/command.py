"""Functions as commands: a typed signature becomes arguments and options, a docstring the help, mistakes one line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mmbench.errors import UserError

Function = Callable[..., None]
Clickable = TyperCommand | TyperGroup


def clickable(function: Function | typer.Typer, name: str) -> Clickable:
    """A function, or an app of several, as something that reads words of a command line."""
    app = function
    if not isinstance(app, typer.Typer):
        app = new_app()
        app.command(name, help=prose(function))(function)
    made: Clickable = get_command(app)  # type: ignore[assignment]
    made.name = name
    return made


def new_app(**settings: Any) -> typer.Typer:
    """An app whose errors are left to `call`."""
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich", **settings)


def prose(function: Function) -> str:
    """A docstring whose paragraphs may be broken anywhere; what is indented stays as it is."""
    parts = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else part.replace("\n", " ") for part in parts)


def call(command: Clickable, name: str, argv: Sequence[str] | None) -> None:
    """Read `argv` (None: the words of this process) and run the command that they ask for.

    Raises:
        UserError: the words are wrong.
        SystemExit: the command ended with another status than 0.
    """
    try:
        status = command.main(args=argv, prog_name=name, standalone_mode=False)
    except typer.Abort:
        raise UserError("stopped; nothing was changed") from None
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        said = error.format_message().rstrip(".")
        if isinstance(error.__cause__, ValidationError):
            said += f" (got {error.__cause__.errors()[0]['input']!r:.80})"
        if not said:  # no words at all: the help has been printed
            raise SystemExit(2) from None
        raise UserError(f"{said}; `{context.command_path if context else name} --help` shows what there is") from None
    if isinstance(status, int) and status:
        raise SystemExit(status)


def main_of(function: Function, name: str) -> Callable[[Sequence[str] | None], None]:
    """The `main` of a module whose command is `function`, for `errors.run_command`."""

    def main(argv: Sequence[str] | None = None) -> None:
        call(clickable(function, name.rpartition(" ")[2]), name, argv)

    main.__doc__ = f"`{name} ...`"
    return main


def console() -> Console:
    """Where tables go: as wide as the terminal, and wide where there is none."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def existing(path: Path, what: str) -> Path:
    """`path` if it is there.

    Raises:
        UserError: it is not; `what` says what should be.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give {what}")
    return path
