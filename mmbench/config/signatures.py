"""The settings of a method's class and their types, read from its source without running it.

They are the keyword arguments of its `__init__` after `spec`; if that takes `**settings`, also those of the base class,
or of the `TypedDict` in `Unpack`. A setting that cannot be read in this way is checked when the class is called.
"""

from __future__ import annotations

import ast
import collections.abc
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mmbench.config.imports import resolve
from mmbench.config.literals import assigned, parse

#: The builtin types.
PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "list": list, "dict": dict, "tuple": tuple}
#: The modules that define further types.
OF_TYPES = {"typing": typing, "typing_extensions": typing, "collections.abc": collections.abc}


@dataclass(frozen=True)
class Signature:
    """The settings of a class.

    Attributes:
        types: the type of each setting; Any if the source does not have it.
        required: the settings without a default.
        complete: whether there are no other settings.
    """

    types: dict[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    complete: bool = True


@dataclass(frozen=True)
class Module:
    """The meaning of the names in a file.

    Attributes:
        classes: the classes that it defines.
        values: the values that it assigns at its top level.
        imports: the source of each imported name, as a module and a name in it; the latter is empty for a module.
    """

    path: Path
    root: Path
    classes: dict[str, ast.ClassDef]
    values: dict[str, ast.expr]
    imports: dict[str, tuple[str, str]]


def read_module(path: Path, root: Path) -> Module:
    """The names in a file; each version of the file is read once."""
    stat = path.stat()
    return _read(path, root, stat.st_mtime_ns, stat.st_size)


@cache
def _read(path: Path, root: Path, *_version: int) -> Module:
    tree = parse(path, path)
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.walk(ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom | ast.If)], [])):
        if isinstance(node, ast.Import):
            imports |= {alias.asname: (alias.name, "") for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return Module(path, root, classes, assigned(tree), imports)


def method_signature(path: Path, root: Path) -> Signature:
    """The settings of the class `Method` of a method's file; UserError if the file is not Python."""
    return _signature("Method", read_module(path, root))


def _signature(name: str, module: Module) -> Signature:
    """The settings of the class of this name in a module."""
    definition = _find_class(name, module)
    if not definition:
        return Signature(complete=False)
    for part in definition[0].body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _of_function(part, *definition)
    return _of_bases(*definition)


def _of_bases(node: ast.ClassDef, module: Module) -> Signature:
    """The settings of the first class of the project that a class is derived from."""
    for base in node.bases:
        if isinstance(base, ast.Name) and _find_class(base.id, module):
            return _signature(base.id, module)
    return Signature(complete=False)


def _of_function(function: ast.FunctionDef, owner: ast.ClassDef, module: Module) -> Signature:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed([a.arg for a in positional]), reversed(arguments.defaults), strict=False))
    defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
    settings = [*positional[2:], *arguments.kwonlyargs]  # without `self` and `spec`
    types = {a.arg: _type(a.annotation, module) for a in settings}
    required = types.keys() - defaults.keys()
    if arguments.kwarg is None:
        return Signature(types, frozenset(required))
    others = _of_keywords(arguments.kwarg.annotation, module) or _of_bases(owner, module)
    passed = set(_passed(function))
    return Signature(
        {name: t for name, t in others.types.items() if name not in passed} | types,
        frozenset(required | (others.required - passed)),
        others.complete,
    )


def _of_keywords(annotation: ast.expr | None, module: Module) -> Signature | None:
    """The settings in `Unpack[...]` of a `TypedDict`."""
    if not isinstance(annotation, ast.Subscript) or not isinstance(annotation.slice, ast.Name):
        return None
    definition = _find_class(annotation.slice.id, module)
    if not definition:
        return None
    node, home = definition
    return Signature(
        {
            part.target.id: _type(part.annotation, home)
            for part in node.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        }
    )


def _passed(function: ast.FunctionDef) -> Iterator[str]:
    """The keyword arguments that an `__init__` passes to another one; they are not settings of the class."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
            yield from (word.arg for word in node.keywords if word.arg)


def _find(name: str, module: Module) -> tuple[ast.expr | ast.ClassDef, Module] | None:
    """The value or class of a name in a module, and the module that has it; None for names from other packages."""
    if name in module.classes:
        return module.classes[name], module
    if name in module.values:
        value = module.values[name]
        return _find(value.id, module) if isinstance(value, ast.Name) and value.id != name else (value, module)
    source, original = module.imports.get(name, ("", ""))
    file = resolve(source, module.root, module.path.parent) if original else None
    return _find(original, read_module(file, module.root)) if file else None


def _find_class(name: str, module: Module) -> tuple[ast.ClassDef, Module] | None:
    """The class of a name in a module, and the module that defines it; None if it is not a class of the project."""
    definition = _find(name, module)
    return (definition[0], definition[1]) if definition and isinstance(definition[0], ast.ClassDef) else None


def _type(node: ast.expr | None, module: Module) -> Any:
    """The type of an annotation; Any if it cannot be read."""
    try:
        return _meant(node, module)
    except (TypeError, ValueError, SyntaxError, AttributeError):
        return Any


def _meant(node: ast.expr | None, module: Module) -> Any:
    if isinstance(node, ast.Constant):
        return _meant(ast.parse(node.value, mode="eval").body, module) if isinstance(node.value, str) else node.value
    if isinstance(node, ast.Name):
        return PLAIN[node.id] if node.id in PLAIN else _named(node.id, module)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return typing.Union[_meant(node.left, module), _meant(node.right, module)]  # noqa: UP007
    return _subscribed(node, module) if isinstance(node, ast.Subscript) else Any


def _subscribed(node: ast.Subscript, module: Module) -> Any:
    """The type of an annotation such as `Sequence[float]`."""
    outer = _meant(node.value, module)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer is typing.Literal:
        return outer[tuple(ast.literal_eval(part) for part in inner)]
    if outer is typing.Annotated:
        return _meant(inner[0], module)
    return Any if outer is Any else outer[tuple(_meant(part, module) for part in inner)]


def _named(name: str, module: Module) -> Any:
    """The type of a name in an annotation."""
    source, original = module.imports.get(name, ("", ""))
    if source in OF_TYPES:
        return getattr(OF_TYPES[source], original)
    definition = _find(name, module)
    return _meant(definition[0], definition[1]) if definition and isinstance(definition[0], ast.expr) else Any
