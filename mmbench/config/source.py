"""The meaning of a source file of the project without its wording: its imports, and its hash."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmbench.config.literals import parse

#: Functions and errors whose arguments are texts for users.
SPOKEN = ("print", "UserError")
#: The descriptions of a command line, and their arguments that are texts for users.
PARSER, HELP = ("Option", "Argument"), ("help", "metavar", "show_default")


@dataclass(frozen=True)
class Source:
    """The meaning of a file.

    Attributes:
        imports: the dotted names that it imports anywhere, and the packages that contain them.
        digest: SHA-256 of its `meaning`.
    """

    imports: frozenset[str]
    digest: bytes


def read_source(path: Path, root: Path) -> Source:
    """The meaning of a file, each version of which is parsed once; UserError if it is not Python."""
    stat = path.stat()
    return _read(path, root, stat.st_mtime_ns, stat.st_size)


@cache
def _read(path: Path, root: Path, *_version: int) -> Source:
    tree = parse(path, path)
    folders = path.relative_to(root).parts if path.is_relative_to(root) else ()
    digest = hashlib.sha256("\0".join(meaning(tree)).encode("utf-8", "backslashreplace")).digest()
    return Source(frozenset(imported(tree, folders)), digest)


def imported(tree: ast.AST, folders: Sequence[str]) -> set[str]:
    """The dotted names that a tree imports when it runs, and the packages that contain them.

    Args:
        folders: the parts of the file's path below the checkout, for relative imports.
    """
    names: set[str] = set()
    queue = [tree]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = folders[: -node.level] if node.level else ()
            module = ".".join([*package, *filter(None, [node.module])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif not isinstance(node, ast.expr) and not _is_of_types(node):  # expressions, most of the nodes, do not import
            queue += ast.iter_child_nodes(node)
    return {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}


def _is_of_types(node: ast.AST) -> bool:
    """Whether a part of a tree is only for a type checker and never runs."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def meaning(tree: ast.AST) -> list[str]:
    """The names and values of a syntax tree in order, the same in every version of Python.

    It leaves out positions, comments, strings that stand alone (such as docstrings), printed texts, the arguments of a
    raised error, the message of an assertion and the help of a command line.
    """
    words: list[str] = []
    _add(tree, words)
    return words


def _add(node: ast.AST, words: list[str]) -> None:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        node = ast.Raise(node.exc.func, node.cause)
    spoken = _spoken(node)
    words.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or value == [] or name in spoken:
            continue
        words.append(name)
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, ast.AST):
                words.append(repr(part))
            elif not _is_remark(part, node):
                _add(part, words)
    words.append(")")


def _spoken(node: ast.AST) -> tuple[str, ...]:
    """The fields of a node that hold only texts for users."""
    if isinstance(node, ast.Assert):
        return ("msg",)
    if isinstance(node, ast.Call) and _name(node.func) in SPOKEN:
        return ("args", "keywords")
    return ()


def _is_remark(node: ast.AST, parent: ast.AST) -> bool:
    """Whether a part of a node only informs users."""
    if isinstance(node, ast.keyword):
        return isinstance(parent, ast.Call) and _name(parent.func) in PARSER and node.arg in HELP
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return isinstance(value, ast.Call) and _name(value.func) == "print"


def _name(function: ast.expr) -> str | None:
    return getattr(function, "id", None) or getattr(function, "attr", None)
