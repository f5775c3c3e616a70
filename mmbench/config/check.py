"""Values checked against what they may be; what is wrong is one line with the file, the key and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, Unpack, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mmbench.config.schema import Section
from mmbench.errors import UserError, near

TOP = "config/config.yaml"
ARGUMENT = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)

T = TypeVar("T", bound=BaseModel)


def unknown(where: str, word: str, known: Sequence[str]) -> UserError:
    """The error that nothing is called `word`, with the nearest name and all there are."""
    return UserError(f"{where}: '{word:.80}' does not exist{near(word, known)}; there are {', '.join(known) or 'none'}")


def check(model: type[T], values: dict[str, Any], where: str, override: Mapping[str, Any] | None = None) -> T:
    """`values` as the model; UserError names file, key, and what is allowed, for the first thing that is wrong.

    `override` are those of the values that came from the key `override` and not from the file `where`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    path = [part for part in first["loc"] if part != "[key]"]
    where = origin(override or {}, path, where)
    key, message = ".".join(map(str, path)), first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        raise unknown(f"{where}: key", key, known_keys(model, path[:-1]))
    if first["type"] == "missing":
        raise UserError(f"{where}: {key}: missing; add it (config/README.md explains every key)")
    if first["type"] in ("model_type", "dict_type"):
        message = "write keys and values below it"
    raise UserError(f"{where}: {key}: {got(first['input'], message)}")


def got(value: Any, message: str) -> str:
    """What is there, and what should be, for the middle of a line."""
    return f"got {value!r:.80}; {message[:1].lower()}{message[1:]}"


def origin(override: Mapping[str, Any], path: Sequence[int | str], file: str) -> str:
    """Where the value at `path` was set: the key `override`, or else `file`."""
    value: Any = override
    for part in path:
        if not isinstance(value, Mapping):
            break
        if part not in value:
            return file
        value = value[part]
    return f"{TOP}: override"


def known_keys(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Full names of the keys of the section at `path` inside a model."""
    for part in path:
        inner = model.model_fields[str(part)].annotation
        assert isinstance(inner, type) and issubclass(inner, Section)
        model = inner
    return [".".join([*map(str, path), name]) for name in sorted(model.model_fields)]


def check_arguments(function: Callable[..., Any], values: Mapping[str, Any], where: str) -> None:
    """Check settings against the types that a function's arguments of their names are annotated with.

    What it has no argument for, or none with a type, is left to the call; `**settings: Unpack[...]` counts as the
    arguments that it stands for.

    Raises:
        UserError: a value has another type, or is none of those that a `Literal` lists.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError:  # of a type that is imported only for a type checker
        hints = {}
    for packed in [get_args(hint)[0] for hint in hints.values() if get_origin(hint) is Unpack]:
        hints |= get_type_hints(packed, include_extras=True)
    for name in hints.keys() & values.keys():
        try:
            TypeAdapter(hints[name], config=ARGUMENT).validate_python(values[name])
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, (name, *first["loc"])))
            raise UserError(f"{where}: {key}: {got(first['input'], first['msg'])}") from None
