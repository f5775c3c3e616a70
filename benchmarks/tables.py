"""How the benchmarks write what they measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmbench.files.atomic import write_text
from mmbench.files.store import write_json


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_record(out: Path | None, record: Mapping[str, Any], text: str) -> None:
    """Write what was measured as JSON to `out`, and its tables beside it; nothing without `out`."""
    if out:
        write_json(out, record)
        write_text(out.with_suffix(".md"), text)
