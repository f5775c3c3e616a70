"""ARCHITECTURE.md, made from the imports and the docstrings of the packages: `make architecture`.

`LAYERS` is the rule, which `tests/test_architecture.py` holds the code to: a room imports rooms of lower layers only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mmbench.config.source import read_source

ROOT = Path(__file__).parents[1]
PACKAGE = "mmbench"
PLUGINS = "experiments/*"
#: Packages whose files are found by their names: what finds them is a room of its own, below all that uses it.
FOUND_BY_NAME = ("modalities", "experiments")
FRONT = "/__init__"
#: Rooms from the lowest layer to the highest. A room imports rooms of lower layers, never of its own or a higher one.
#: The folders of single experiments are the room `experiments/*`: they are loaded by name and imported by nobody.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("command", "files"),
    ("modalities/__init__",),
    ("experiments/__init__",),
    ("config",),
    ("method", "runs"),
    ("models", "data"),
    ("modalities",),
    ("experiments",),
    ("training", "frozen"),
    ("scoring",),
    ("claims",),
    ("report",),
    (PLUGINS, "inference"),
    ("stages",),
    ("planning",),
    ("cli",),
)
#: Rooms that have no docstring of their own.
PURPOSES = {
    PLUGINS: "The experiments themselves, a folder each; loaded by their names and imported by nobody.",
    "experiments": "What an experiment's data look like, its frozen cases, and the method built for it.",
    "modalities": "The kinds themselves, a file each; loaded by their names.",
}
HEAD = """# Architecture

`make architecture` makes this file from the imports and the docstrings of the code; a test says when it is out of date.

A run is a directed graph of jobs. Each job is one **stage**, `python -m mmbench.stages.<rule>`, and stages meet through
files only. A stage reads its settings, loads what it needs, checks it, works and writes. What a stage needs lies in the
rooms below it.

A room imports rooms below it, never beside or above it. Experiments (`mmbench/experiments/<name>/`), baselines
(`baselines/<experiment>/<name>.py`), kinds of modalities (`mmbench/modalities/<kind>.py`) and data sets
(`mmbench/data/<name>.py`) are found by their paths: one more is one more file or folder, and nothing else changes.
"""


def room(path: Path) -> str:
    """The room of a file of the package, `path` being relative to the checkout; empty for the package's own front."""
    parts = path.with_suffix("").parts[1:]
    if len(parts) > 2 and parts[0] == "experiments":
        return PLUGINS
    if parts[0] in FOUND_BY_NAME and parts[1:] == ("__init__",):
        return parts[0] + FRONT
    return "" if parts[0].startswith("__") else parts[0]


def file_of(name: str) -> Path | None:
    """The file of the package that a dotted name is in, relative to the checkout; None for other packages."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1) if parts[0] == PACKAGE else ():
        base = Path(*parts[:length])
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if (ROOT / path).is_file():
                return path
    return None


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports, at any depth of it, but for what only a type checker imports, and itself."""
    rooms: set[str] = set()
    for name in read_source(ROOT / path, ROOT).imports:
        if file := file_of(name):
            rooms.add(room(file))
    return rooms - {room(path), ""}


def files() -> Iterator[Path]:
    """Every Python file of the package, relative to the checkout."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        yield path.relative_to(ROOT)


@cache
def imports() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    graph: dict[str, set[str]] = {name: set() for layer in LAYERS for name in layer}
    for path in files():
        if name := room(path):
            graph.setdefault(name, set()).update(imported_rooms(path))
    return graph


def may_import(name: str) -> set[str]:
    """The rooms that a room may import: those of the layers below its own."""
    level = next(i for i, layer in enumerate(LAYERS) if name in layer)
    return {other for layer in LAYERS[:level] for other in layer}


def purpose(name: str) -> str:
    """What a room is for: the first sentence of its docstring."""
    if name in PURPOSES:
        return PURPOSES[name]
    place = ROOT / PACKAGE / name.removesuffix(FRONT)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(text.split())


def reduced(graph: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """The edges of a graph without circles that no longer path stands for."""

    def below(name: str) -> set[str]:
        return {name}.union(*(below(other) for other in graph[name]))

    for name in sorted(graph):
        indirect: set[str] = set().union(*(below(other) - {other} for other in graph[name]))
        yield from ((name, other) for other in sorted(graph[name] - indirect))


def picture(graph: dict[str, set[str]]) -> str:
    """The layers as a Mermaid diagram; an arrow that longer ways stand for is left out."""
    key = {name: name.replace("/*", "_all").replace(FRONT, "_front") for name in graph}
    lines = ["```mermaid", "flowchart TD"]
    for number, layer in reversed(list(enumerate(LAYERS))):
        boxes = " ".join(f'{key[name]}["{name}"]' for name in layer)
        lines.append(f"    subgraph l{number}[ ]\n        direction LR\n        {boxes}\n    end")
    lines += [f"    {key[name]} --> {key[other]}" for name, other in reduced(graph)]
    return "\n".join([*lines, "```"])


def document() -> str:
    """The text of ARCHITECTURE.md."""
    graph = {name: rooms & may_import(name) for name, rooms in imports().items()}
    rows = ["| room | what it is for | imports |", "|---|---|---|"]
    for layer in reversed(LAYERS):
        for name in layer:
            used = ", ".join(sorted(graph[name])) or "nothing of the package"
            rows.append(f"| `{name}` | {purpose(name)} | {used} |")
    return "\n".join([HEAD, "## The layers", "", picture(graph), "", "## The rooms", "", *rows, ""])


if __name__ == "__main__":
    (ROOT / "ARCHITECTURE.md").write_text(document(), encoding="utf-8")
