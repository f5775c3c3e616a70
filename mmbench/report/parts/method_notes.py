"""The page's notes on each method: a description, its file, papers, settings, numbers and images."""

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
    """The notes on a method of an experiment.

    Attributes:
        anchor: the anchor of the notes on the page.
        title: the name for readers.
        name: the name in files.
        about: a description; empty if the method's file is not known.
        path: the path of its file; empty if not known.
        link: the file's address; empty if a page cannot link to it.
        papers: author and year of the papers that it follows, and their addresses, if known.
        settings: the settings of training and evaluation.
        numbers: the question with its metric, the value, and the rank.
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
    """The notes on every method of an experiment, in order."""
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
    """The settings of a method's first training run: its schedule, then its own settings."""
    settings = runs[0].training.get("settings") or {}
    tag = tag_of(runs[0].method)
    return [
        *([("variant", tag)] if tag else []),
        *flatten(settings.get("train") or {}),
        *flatten(settings.get("method_settings") or {}),
    ]
