"""The constants that files of the project declare, read from their source without running them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from mmbench.errors import UserError
from mmbench.modalities import kinds_of_card


def parse(path: Path, shown: Path) -> ast.Module:
    """A file's syntax tree, in whatever encoding it declares, as Python reads it; UserError if it is not Python."""
    try:
        return ast.parse(path.read_bytes(), filename=str(shown))
    except FileNotFoundError:
        raise UserError(f"{shown}: no such method file; `ls baselines/*/` shows those there are") from None
    except SyntaxError as error:
        raise UserError(f"{shown}: line {error.lineno or 1}: not Python ({error.msg}); mend it") from None
    except (ValueError, RecursionError, MemoryError) as error:  # the last two are of what is nested too deep
        raise UserError(f"{shown}: not a Python text file ({error}); mend it") from None


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """The value of every name that a module sets at its top level."""
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = node.value
    return values


@cache
def data_modalities(root: Path, name: str) -> dict[str, str] | None:
    """The kinds of the modalities that the card of a data set's module has, by name; None if it does not say.

    It is read without importing it, which may take seconds.
    """
    path = Path("mmbench", "data", f"{name}.py")
    card = assigned(parse(root / path, path)).get("CARD")
    words = {word.arg: word.value for word in getattr(card, "keywords", ())}
    try:
        return kinds_of_card({"modalities": ast.literal_eval(words["modalities"])})
    except (KeyError, TypeError, ValueError):
        return None
