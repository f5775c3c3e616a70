"""What files of the project declare as constants, read from their source without running them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from mmbench.errors import UserError


def parse(path: Path, shown: Path) -> ast.Module:
    """A file's syntax tree; UserError if it is not Python."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{shown}: no such method file; `ls baselines/*/` shows those there are") from None
    except SyntaxError as error:
        raise UserError(f"{shown}: line {error.lineno or 1}: not Python ({error.msg}); mend it") from None
    except ValueError as error:
        raise UserError(f"{shown}: not a Python text file ({error}); mend it") from None


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """The value of every name that a module sets at its top level."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def read_tasks(root: Path, experiment: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """What is `given` and what is wanted (`want`) in each of an experiment's tasks, read without importing it.

    Raises:
        UserError: a task is not written out as `Task("name", given=(...), want=(...))`.
    """
    path = Path("mmbench", "experiments", experiment, "tasks.py")
    found = {}
    for name, value in zip(experiment_tasks(root, experiment), tasks_of(root, path).values, strict=True):
        words = {word.arg: word.value for word in getattr(value, "keywords", ())}
        try:
            found[name] = {key: tuple(ast.literal_eval(words[key])) for key in ("given", "want")}
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path}: TASKS: '{name}' is not written out; write it like Task('{name}', given=(), want=('image',))"
            ) from None
    return found


def experiment_tasks(root: Path, experiment: str) -> list[str]:
    """Names of an experiment's tasks: the keys of the dictionary TASKS in its module, read without importing it."""
    path = Path("mmbench", "experiments", experiment, "tasks.py")
    return [str(key.value) for key in tasks_of(root, path).keys if isinstance(key, ast.Constant)]


def tasks_of(root: Path, path: Path) -> ast.Dict:
    """The dictionary TASKS of an experiment's module; UserError if it is not written out."""
    tasks = assigned(parse(root / path, path)).get("TASKS")
    if not isinstance(tasks, ast.Dict) or not all(isinstance(key, ast.Constant) for key in tasks.keys):
        raise UserError(
            f'{path}: TASKS is not a dictionary written out; write it like TASKS = {{"generate": Task(...)}}'
        )
    return tasks


@cache
def experiment_modalities(root: Path, experiment: str) -> tuple[str, ...]:
    """The modalities that an experiment lists as `MODALITIES`, read without importing it; none if it does not."""
    path = Path("mmbench", "experiments", experiment, "tasks.py")
    listed = assigned(parse(root / path, path)).get("MODALITIES")
    return tuple(ast.literal_eval(listed)) if listed else ()


@cache
def data_modalities(root: Path, name: str) -> tuple[str, ...] | None:
    """The modalities that the card of a data set's module has, read without importing it; None if it does not say."""
    path = Path("mmbench", "data", f"{name}.py")
    card = assigned(parse(root / path, path)).get("CARD")
    words = {word.arg: word.value for word in getattr(card, "keywords", ())}
    try:
        return tuple(ast.literal_eval(words["modalities"]))
    except (KeyError, TypeError, ValueError):
        return None
