"""The constants that files of the project declare, read from their source without running them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mmbench.errors import UserError
from mmbench.modalities import kinds_of_card


def parse(path: Path, shown: Path) -> ast.Module:
    """The syntax tree of a file, in the encoding that it declares; UserError if it is not Python."""
    try:
        return ast.parse(path.read_bytes(), filename=str(shown))
    except FileNotFoundError:
        raise UserError(f"{shown}: no such method file; `ls baselines/*/` shows those there are") from None
    except SyntaxError as error:
        raise UserError(f"{shown}: line {error.lineno or 1}: not Python ({error.msg}); correct that line") from None
    except (ValueError, RecursionError, MemoryError) as error:  # the last two: the code is nested too deeply
        raise UserError(f"{shown}: not a Python text file ({error}); save it as text in UTF-8") from None


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """The value of every name that a module sets at its top level."""
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = node.value
    return values


def literal(values: Mapping[str, ast.expr], name: str, example: str, fits: Callable[[Any], bool], shown: Path) -> Any:
    """The value of a constant that a user's file must assign as a literal.

    Args:
        values: the names that the file assigns.
        example: an example of its value, for errors.
        shown: the name of the file in errors.

    Raises:
        UserError: the constant is missing, is computed, or has a value that is not allowed.
    """
    like = f"like {name} = {example}"
    if name not in values:
        raise UserError(f"{shown}: {name} is missing; add a line {like}")
    try:
        value = ast.literal_eval(values[name])
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise UserError(
            f"{shown}: {name} is computed, but this file is read without being run; write it out {like}"
        ) from None
    if not fits(value):
        raise UserError(f"{shown}: {name} is {value!r}; write it {like}")
    return value


@cache
def data_modalities(root: Path, name: str) -> dict[str, str] | None:
    """The kinds of a data set's modalities, by name, by the card in its module; None if the card does not list them.

    The module is not imported, since that may take seconds.
    """
    path = Path("mmbench", "data", f"{name}.py")
    card = assigned(parse(root / path, path)).get("CARD")
    words = {word.arg: word.value for word in getattr(card, "keywords", ())}
    try:
        return kinds_of_card({"modalities": ast.literal_eval(words["modalities"])})
    except (KeyError, TypeError, ValueError):
        return None
