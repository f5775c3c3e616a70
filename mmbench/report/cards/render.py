"""Markdown from a template, after the block of metadata that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from mmbench.report import text

TEMPLATES = Path(__file__).parent


def render(template: str, metadata: Mapping[str, Any], **values: Any) -> str:
    """A card: metadata as YAML between two lines of dashes, then the template; an undefined name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,  # Markdown, not HTML; what could end a cell of a table goes through `cell`
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cell": cell,
        "sentence": sentence,
        "quantity": text.quantity,
    }
    block = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)
    return f"---\n{block}---\n\n{environment.get_template(template).render(**values)}"


def sentence(words: str) -> str:
    """Words as a sentence: a capital letter, and a full stop."""
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def cell(value: Any) -> str:
    """A value that stays within its cell of a Markdown table and is no markup of HTML."""
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
