"""YAML files that people write: only plain values are read, and errors are one line.

Plain words are read by YAML 1.2 rather than by the rules of PyYAML: `1e-3` is a number and not text; `yes`, `no`, `on`,
`off`, `1:30` and `2026-11-30` are text and neither truth values nor a number nor a date; `010` is ten and not eight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mmbench.errors import UserError

#: The errors of reading a text that is not YAML, or that has an impossible value: a month 13, a number of 5,000 digits,
#: lists that are nested too deeply.
NOT_YAML = (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError)

#: The words that YAML 1.2 (its core schema, section 10.3.2) does not read as text, by the tag that it gives them.
PLAIN_WORDS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


class UniqueKeys(yaml.SafeLoader):
    """Builds only plain values, and refuses aliases and a key that a mapping has twice.

    With aliases of aliases, a few lines could stand for more values than any memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; yaml.constructor.ConstructorError if it is an alias."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, f"the alias *{event.anchor} is not followed: write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping; yaml.constructor.ConstructorError if it has a key twice, or a key that is not one word."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


UniqueKeys.yaml_implicit_resolvers = {
    None: [(f"tag:yaml.org,2002:{tag}", re.compile(rf"({pattern})\Z")) for tag, pattern in PLAIN_WORDS.items()]
}
# PyYAML would read a number that begins with 0 as an octal one.
UniqueKeys.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def read_yaml(path: Path, root: Path) -> dict[str, Any]:
    """The keys and values of a YAML file; UserError if it is missing, is not YAML, or holds something else."""
    name = shown(path, root)
    try:
        mapping = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}; give the name or the path of a file that is there") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
        raise UserError(f"{name}: {line}: not plain YAML ({error.problem}); correct that line") from None
    except NOT_YAML as error:
        raise UserError(f"{name}: not a YAML text file ({error}); save it as text in UTF-8") from None
    if not isinstance(mapping, dict):
        raise UserError(f"{name}: holds {type(mapping).__name__}, not keys and values; start from a file in config/")
    return mapping


def typed(value: Any) -> Any:
    """`value` with YAML's types, because Snakemake passes everything below the top level of `--config` as text."""
    if isinstance(value, Mapping):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    if not isinstance(value, str):
        return value
    try:
        return yaml.load(value, UniqueKeys)
    except NOT_YAML:
        return value


def shown(path: Path, root: Path) -> str:
    """A path for a reader: relative to the checkout if it is inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
