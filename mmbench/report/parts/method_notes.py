"""What the page gathers on each method: what it is, its file, papers, settings, numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbench.config.methods import tag_of
from mmbench.report.parts.origin import flatten
from mmbench.report.parts.section import Context, Section
from mmbench.report.parts.sources import link_to, source_of
from mmbench.report.tables.cells import method_anchor
from mmbench.runs.run import Run


@dataclass(frozen=True)
class MethodNotes:
    """A method of an experiment.

    Attributes:
        anchor: where it is on the page.
        title: for a reader.
        name: in files.
        about: what it is; empty if its file is not known.
        path: of its file; empty likewise.
        link: the file's address; empty if a page cannot lead to it.
        papers: author and year of what it follows, and the address, if that is known.
        settings: by which it was trained and asked.
        numbers: question with metric, its value, and its rank.
    """

    anchor: str
    title: str
    name: str
    about: str
    path: str
    link: str
    papers: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]
    numbers: Sequence[tuple[str, str, str]]


def method_notes(context: Context, section: Section) -> list[MethodNotes]:
    """The notes on every method of an experiment, in their order."""
    return [notes_on(context, section, method) for method in context.experiment.methods]


def notes_on(context: Context, section: Section, method: str) -> MethodNotes:
    """The notes on one method."""
    results = context.experiment
    source, runs = source_of(results.name, method), results.runs_of(method)
    numbers = []
    for line in section.headlines:
        if entry := line.board.entries.get((method, line.case)):
            of = sum(case == line.case for _, case in line.board.entries)
            question = f"{line.question}, {line.board.column}"
            numbers.append((question, line.board.cell(method, line.case).text, f"rank {entry.rank} of {of}"))
    return MethodNotes(
        method_anchor(results.name, method),
        results.titles[method],
        method,
        source.about if source else "",
        str(source.path) if source else "",
        link_to(source.path if source else Path(), context.out) if source else "",
        list(source.papers.items()) if source else [],
        settings_of(runs),
        numbers,
    )


def settings_of(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The settings of a method's first training: its schedule, then what is its own."""
    settings = runs[0].training.get("settings") or {}
    tag = tag_of(runs[0].method)
    return [
        *([("variant", tag)] if tag else []),
        *flatten(settings.get("train") or {}),
        *flatten(settings.get("method_settings") or {}),
    ]
