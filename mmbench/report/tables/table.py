"""A table that is written in five formats: HTML (by the page's templates), CSV, JSON, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mmbench.errors import UserError
from mmbench.files.atomic import write_text
from mmbench.files.store import write_json
from mmbench.report.text import DASH

Mark = Literal["", "best", "second"]

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "\u2212": r"$-$",
    "×": r"$\times$",
    "—": "---",
    "–": "--",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "²": r"$^2$",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "\u00a0": "~",
}


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: the main text.
        value: the number behind it, for sorting and CSV; None for words.
        lines: smaller lines below, such as the interval that decides.
        mark: `best` (bold) or `second` (underlined) of its column.
        tone: `better`, `worse`, `unclear` or `reference` for its colour; `studied` on a row's name for the whole row.
        ends: the interval of a difference, which the page shows as a bar.
        more: lines that are shown on demand, such as the single seeds; JSON has them, Markdown and LaTeX do not.
        link: the target of its text on the page; empty without a link.
    """

    text: str
    value: float | None = None
    lines: Sequence[str] = ()
    mark: Mark = ""
    tone: str = ""
    ends: tuple[float, float] | None = None
    more: Sequence[str] = ()
    link: str = ""


NONE = Cell(DASH)


@dataclass(frozen=True)
class Table:
    """A captioned table. The first column names its rows.

    Attributes:
        name: the name of its files and of its anchor.
        caption: one sentence on what is shown and how to read it.
        header: the column names.
        rows: rows of cells, as many as the header has.
        words: columns that hold words, which are aligned left.
    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    words: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.header)]:
            raise ValueError(f"table {self.name}: {len(self.header)} columns but a row of {len(wrong[0])}")


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `<name>.csv`, `.json`, `.md` and `.tex`; returns their paths."""
    paths = [folder / f"{table.name}.{suffix}" for suffix in ("csv", "json", "md", "tex")]
    write_text(paths[0], to_csv(table))
    write_json(paths[1], to_json(table))
    write_text(paths[2], to_markdown(table))
    write_text(paths[3], to_latex(table))
    return paths


def write_frame(frame: pd.DataFrame, path: Path) -> Path:
    """Write a data frame as CSV with full precision; an empty one is refused."""
    if frame.empty:
        raise UserError(f"{path}: there is nothing to write; evaluate the methods first")
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    return path


def to_csv(table: Table) -> str:
    """The table as CSV: numbers in full precision, words where there is no number, empty where there is no value."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.header)
    for row in table.rows:
        words = ["" if cell.text == DASH else cell.text for cell in row]
        writer.writerow([word if cell.value is None else cell.value for word, cell in zip(words, row, strict=True)])
    return stream.getvalue()


def to_json(table: Table) -> dict[str, Any]:
    """The table as plain values: caption, header, notes, and rows of text, value, lines, mark, tone and any more."""

    def plain(cell: Cell) -> dict[str, Any]:
        shown = {"text": cell.text, "value": cell.value, "lines": [*cell.lines], "mark": cell.mark, "tone": cell.tone}
        return shown | ({"more": [*cell.more]} if cell.more else {})

    rows = [[plain(cell) for cell in row] for row in table.rows]
    return {"caption": table.caption, "header": list(table.header), "rows": rows, "notes": list(table.notes)}


def to_markdown(table: Table) -> str:
    """A pipe table; best in bold, second underlined, smaller lines after a break."""
    lines = [f"**{_markdown(table.caption)}**", ""]
    lines.append("| " + " | ".join(_markdown(name) for name in table.header) + " |")
    lines.append("".join("|:--" if left else "|--:" for left in _flush_left(table)) + "|")
    for row in table.rows:
        lines.append("| " + " | ".join(_markdown_cell(cell) for cell in row) + " |")
    lines += ["", *(f"{_markdown(note)}\n" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _flush_left(table: Table) -> list[bool]:
    return [column == 0 or column in table.words for column in range(len(table.header))]


def _markdown_cell(cell: Cell) -> str:
    text = _markdown(cell.text)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)
    return "<br>".join([text, *(f"<sub>{_markdown(line)}</sub>" for line in cell.lines)])


def _markdown(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([|*_`\[\]])", r"\\\1", " ".join(text.split()))


def to_latex(table: Table) -> str:
    """A complete `table` float with rules of the package booktabs; nothing else is needed."""
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex(table.caption)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{''.join('l' if left else 'r' for left in _flush_left(table))}}}",
        r"    \toprule",
        "    " + " & ".join(latex(name) for name in table.header) + r" \\",
        r"    \midrule",
    ]
    lines += ["    " + " & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in table.rows]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    if table.notes:
        lines.append(rf"  \par\smallskip{{\footnotesize {latex(' '.join(table.notes))}}}")
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_cell(cell: Cell) -> str:
    text = latex(cell.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.mark, text)
    if not cell.lines:
        return text
    return rf"\shortstack[r]{{{text}" + "".join(rf"\\{{\scriptsize {latex(line)}}}" for line in cell.lines) + "}"


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped; other characters stay as UTF-8."""
    return "".join(_LATEX.get(character, character) for character in text)
