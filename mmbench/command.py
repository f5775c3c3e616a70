"""Functions as commands: a typed signature becomes arguments and options, a docstring the help, mistakes one line."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mmbench.errors import UsageError, UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Function = Callable[..., None]
Clickable = TyperCommand | TyperGroup
#: The status that typer makes of Ctrl-C.
INTERRUPTED = 130


class StageCommand(TyperCommand):
    """A command whose options take several values in a row, as rules write them: `--seeds 0 1 2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after putting the option's name before each of its values, as typer expects."""
        lists = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        words: list[str] = []
        option = ""
        for word in args:
            if word.startswith("--"):
                option = word if word in lists else ""
            if word != option:
                words += [option, word] if option else [word]
        return super().parse_args(ctx, words)


def clickable(function: Function | typer.Typer, name: str, kind: type[TyperCommand] = TyperCommand) -> Clickable:
    """A function, or an app of several functions, as a command that reads a command line."""
    app = function
    if not isinstance(app, typer.Typer):
        app = new_app()
        app.command(name, help=prose(function), cls=kind)(finishing(function))
    made: Clickable = get_command(app)  # type: ignore[assignment]
    made.name = name
    return made


def finishing(function: Function) -> Function:
    """A function that no code it calls, such as a method's file, can end with the exit status of success."""

    @functools.wraps(function)
    def run(*values: Any, **named: Any) -> None:
        try:
            function(*values, **named)
        except SystemExit as stopped:
            if stopped.code:
                raise
            last = traceback.extract_tb(stopped.__traceback__)[-1]
            where = f"{last.filename}, line {last.lineno}"
            raise UserError(f"{where}: ended the process before the work was done; return instead") from None

    return run


def new_app(**settings: Any) -> typer.Typer:
    """An app whose errors `call` handles."""
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich", **settings)


def prose(function: Function) -> str:
    """A docstring whose paragraphs have no line breaks; indented ones stay as they are."""
    parts = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else part.replace("\n", " ") for part in parts)


def call(command: Clickable, name: str, argv: Sequence[str] | None) -> None:
    """Read `argv` (None: the arguments of this process) and run the command.

    Raises:
        UsageError: the arguments are wrong.
        SystemExit: the command ended with another status than 0.
        KeyboardInterrupt: the command was interrupted.
    """
    try:
        status = command.main(args=argv, prog_name=name, standalone_mode=False)
    except typer.Abort as stopped:  # typer's word for the end of a file
        raise stopped.__cause__ or stopped from None
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        message = error.format_message().rstrip(".")
        if isinstance(error.__cause__, ValidationError):
            message += f" (got {error.__cause__.errors()[0]['input']!r:.80})"
        if not message:  # without any arguments, the help has been printed
            raise SystemExit(2) from None
        raise UsageError(f"{message}; see `{context.command_path if context else name} --help`") from None
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if isinstance(status, int) and status:
        raise SystemExit(status)


def stage_main(function: Function, name: str) -> Callable[[Sequence[str] | None], None]:
    """The `main` of the stage `name` whose command is `function`, for `errors.run_command`."""

    def main(argv: Sequence[str] | None = None) -> None:
        call(clickable(function, name, StageCommand), f"python -m mmbench.stages.{name}", argv)

    main.__doc__ = f"`python -m mmbench.stages.{name} ...`"
    return main


def console() -> Console:
    """The console for tables: as wide as the terminal, or 160 characters without one."""
    from rich.console import Console  # noqa: PLC0415 (not for stages)

    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=160)


def new_table(*columns: str, **settings: Any) -> Table:
    """A table without lines, whose columns wrap long words."""
    from rich.table import Table  # noqa: PLC0415 (not for stages)

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", **settings)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
