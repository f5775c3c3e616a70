"""Checks of values; an error is one line with the file, the key and the allowed values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mmbench.config.schema import Section
from mmbench.config.signatures import Signature
from mmbench.errors import UserError, near

TOP = "config/config.yaml"
ARGUMENT = ConfigDict(strict=True, allow_inf_nan=False)

T = TypeVar("T", bound=BaseModel)


def unknown(where: str, word: str, known: Sequence[str]) -> UserError:
    """The error that there is no `word`, with the most similar name and all known ones."""
    return UserError(f"{where}: '{word:.80}' does not exist{near(word, known)}; there are {', '.join(known) or 'none'}")


def check(model: type[T], values: dict[str, Any], where: str, override: Mapping[str, Any] | None = None) -> T:
    """`values` as the model; UserError names the file, the key and the allowed values of the first fault.

    `override` has the values that came from the key `override` rather than from the file `where`.
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
    """The actual and the expected value, for the middle of a line."""
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


def settings_for(signature: Signature, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A method's settings in the types of its class: for a float, `1` becomes 1.0; for a tuple, a list becomes one.

    Args:
        values: plain values, as in YAML and JSON.
        where: the beginning of errors.

    Raises:
        UserError: the class has no such setting, a setting is missing, or a value has another type.
    """
    for name in values:
        if signature.complete and name not in signature.types:
            raise unknown(where, name, sorted(signature.types))
    for name in sorted(signature.required - values.keys()):
        raise UserError(f"{where}: {name}: missing; set it, it has no default")
    return {name: _as_type(signature.types.get(name, Any), value, f"{where}: {name}") for name, value in values.items()}


def _as_type(kind: Any, value: Any, where: str) -> Any:
    try:
        return TypeAdapter(kind, config=ARGUMENT).validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        for part in first["loc"]:  # keys and indices of the value, and names of the types that were tried
            if isinstance(value, dict | list) and part in (value if isinstance(value, dict) else range(len(value))):
                value, where = value[part], f"{where}.{part}"  # type: ignore[index]
        raise UserError(f"{where}: {got(first['input'], first['msg'])}") from None
