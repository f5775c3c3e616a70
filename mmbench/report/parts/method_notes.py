"""The page's notes on each method: a description, its file, papers, settings, numbers and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmbench.config.methods import tag_of
from mmbench.report.parts.origin import flatten
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.sources import link_to, source_of
from mmbench.report.tables.cells import method_anchor
from mmbench.runs.run import Run


def method_notes(context: Context, section: Section, method: str) -> dict[str, Any]:
    """The notes on one method, with its rank in each question; what is not known of its file is empty."""
    results = context.experiment
    source, runs = source_of(results.name, method), results.runs_of(method)
    numbers = []
    for line in section.headlines:
        if entry := line.board.entries.get((method, line.case)):
            of = sum(case == line.case for _, case in line.board.entries)
            question = f"{line.question}, {line.board.column}"
            numbers.append((question, line.board.cell(method, line.case).text, f"rank {entry.rank} of {of}"))
    return {
        "anchor": method_anchor(results.name, method),
        "title": results.titles[method],
        "name": method,
        "about": source.about if source else "",
        "path": str(source.path) if source else "",
        "link": link_to(source.path, context.out) if source else "",
        "papers": list(source.papers.items()) if source else [],
        "settings": settings_of(runs),
        "numbers": numbers,
    }


def settings_of(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The settings of a method's first training run: its schedule, then its own settings."""
    settings = runs[0].training.get("settings") or {}
    tag = tag_of(runs[0].method)
    return [
        *([("variant", tag)] if tag else []),
        *flatten(settings.get("train") or {}),
        *flatten(settings.get("method_settings") or {}),
    ]
