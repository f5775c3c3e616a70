"""The sources that a page links to: files of the repository, definitions of metrics, and papers."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmbench.config.discovery import MULTITASK
from mmbench.config.methods import method_of
from mmbench.experiments import ROOT
from mmbench.report.text import slug

DEFINITIONS = Path("docs/metrics.md")
#: The arXiv numbers of the papers that docstrings of methods cite, by author and year.
PAPERS = {
    "Amit et al. 2021": "2112.00390",
    "Bao et al. 2023": "2303.06555",
    "Chen et al. 2024": "2407.17571",
    "Deja et al. 2023": "2301.13622",
    "Dhariwal and Nichol 2021": "2105.05233",
    "He et al. 2022": "2111.06377",
    "Ho and Salimans 2022": "2207.12598",
    "Ho et al. 2020": "2006.11239",
    "Isola et al. 2017": "1611.07004",
    "Karras et al. 2022": "2206.00364",
    "Kouzelis et al. 2025": "2504.16064",
    "Li et al. 2023": "2312.03701",
    "Lugmayr et al. 2022": "2201.09865",
    "Meng et al. 2022": "2108.01073",
    "Pathak et al. 2016": "1604.07379",
    "Ronneberger et al. 2015": "1505.04597",
    "Saharia et al. 2022": "2111.05826",
}
_CITED = re.compile(r"[A-Z]\w+ (?:et al\.|and [A-Z]\w+) (?:19|20)\d\d")


@dataclass(frozen=True)
class Source:
    """A method's file.

    Attributes:
        path: the path in the repository.
        about: the first paragraph of its docstring.
        papers: author and year of the papers that the docstring cites, each with its address, empty if not known.
    """

    path: Path
    about: str
    papers: Mapping[str, str]


def source_of(experiment: str, method: str) -> Source | None:
    """The file of a method and the content of its docstring; None if this checkout has no such file."""
    name = method_of(method)
    paths = [Path("baselines", experiment, f"{name}{suffix}") for suffix in (".py", ".smk")]
    path = MULTITASK if name == MULTITASK.stem else next((path for path in paths if (ROOT / path).is_file()), None)
    if path is None or not (ROOT / path).is_file():
        return None
    if path.suffix != ".py":
        return Source(path, "", {})
    words = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8-sig"))) or ""
    cited = ["Chen et al. 2024"] if path == MULTITASK else []
    cited += list(dict.fromkeys(" ".join(citation.split()) for citation in _CITED.findall(words)))
    papers = {name: f"https://arxiv.org/abs/{PAPERS[name]}" if name in PAPERS else "" for name in cited}
    return Source(path, " ".join(words.partition("\n\n")[0].split()), papers)


def link_to(path: Path, out: Path) -> str:
    """The address of a file of the repository for a page in `out`; empty if there is none.

    It lies in the repository that CITATION.cff names; without one it is relative to a page in the checkout.
    """
    if address := repository():
        return f"{address}/blob/main/{path.as_posix()}"
    if not out.resolve().is_relative_to(ROOT.resolve()):
        return ""
    return Path(os.path.relpath(ROOT.resolve() / path, out.resolve())).as_posix()


@cache
def repository() -> str:
    """The repository's address in CITATION.cff; empty if there is none."""
    path = ROOT / "CITATION.cff"
    words = path.read_text(encoding="utf-8") if path.is_file() else ""
    address = re.search(r"^repository-code: *[\"']?(https://[^\s\"']+?)/?[\"']?$", words, re.MULTILINE)
    return address[1] if address else ""


def definition_of(metric: str, out: Path) -> str:
    """The address of a metric's definition, for a page in `out`; empty where there is none."""
    heads, link = definitions(), link_to(DEFINITIONS, out)
    base = re.split(r"[\[@/]", metric)[0]
    return f"{link}#{heads[base]}" if link and base in heads else ""


@cache
def definitions() -> dict[str, str]:
    """By metric, the heading in docs/metrics.md of the first table with it, or else of the first mention of it."""
    path, tables, prose, head = ROOT / DEFINITIONS, dict[str, str](), dict[str, str](), ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if line.startswith("#"):
            head = slug(line.lstrip("#"))
        for heads, words in ((tables, line.split("|")[1] if line.startswith("|") else ""), (prose, line)):
            for name in re.findall(r"`([a-z0-9_]+)[^`]*`", words):
                heads.setdefault(name, head)
    return prose | tables
