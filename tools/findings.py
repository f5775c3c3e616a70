"""The table of findings in README.md, from the tables of the reference runs: `python -m tools.findings`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mmbench.files.atomic import write_text

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- findings: made by `make findings` -->\n", "<!-- end of findings -->\n"
HEAD = """\
| question (reference run) | metric | MT-Diffusion | best other method | verdict |
|---|---|--:|--:|---|
"""
FASHION = "fashion-labels"
PAINT = "Image and label: generating images of given labels"
JOINT = "Image and label: generating image and label together"
#: Reference run, question and metric of a row of its table `overview`, and the question in the README's words.
SHOWN = (
    (FASHION, "Image and label: classifying", "Accuracy ↑", "Classify an image (Fashion-MNIST)"),
    (FASHION, "Image and label: classifying noised images", "Accuracy ↑", "Classify a noised image"),
    (FASHION, PAINT, "Judged accuracy ↑", "Generate an image from a class"),
    (FASHION, PAINT, "FD ↓", "the same images"),
    (FASHION, JOINT, "Judged accuracy ↑", "Generate an image and its class together"),
    (FASHION, JOINT, "FD ↓", "the same images"),
)


@cache
def overview(run: str) -> dict[tuple[str, str], list[str]]:
    """The cells of the table `overview` of a reference run, by question and metric."""
    text = (ROOT / "results" / "reference" / run / "tables" / "overview.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {(cells[0], cells[1]): cells for cells in rows}


def findings() -> str:
    """The table in Markdown.

    Raises:
        KeyError: a run has no such question and metric.
    """
    lines = []
    for run, question, metric, words in SHOWN:
        _, _, studied, other, value, _, verdict = overview(run)[question, metric]
        lines.append(f"| {words} | {metric} | {studied} | {value} {other} | {verdict} |\n")
    return HEAD + "".join(lines)


def updated(readme: str) -> str:
    """The text of the README with today's table between the two marks."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + findings() + END + rest.split(END)[1]


if __name__ == "__main__":
    path = ROOT / "README.md"
    write_text(path, updated(path.read_text(encoding="utf-8")))
