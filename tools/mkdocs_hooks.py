"""Hooks of mkdocs: a site with the layout of the repository, where the documents' links lead where they do there.

What a document links to outside docs/ becomes a page or a file of the site, a link to a folder one to its page, and a
formula (a fence called `math`, which GitHub typesets itself) a drawing that needs no script.
"""

from __future__ import annotations

import hashlib
import html
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import mathtext
from matplotlib.font_manager import FontProperties
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.superfences import SuperFencesException

#: The target of a link or picture in Markdown.
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")
#: The target of a link in HTML, if it is a file of the same site.
HREF = re.compile(r'(?:href|src)="([\w./@-]+)"')
#: Pages of a folder, the first that is there.
FRONTS = ("index.html", "README.md")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fences called `math` are formulas."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "math", "format": draw_formula})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of docs/ at their places in the repository, the home page, and all that these link to elsewhere."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)

    def at_place(name: str) -> File:
        return File(name, str(root), config.site_dir, config.use_directory_urls)

    placed = Files([file for file in files if file.src_dir != config.docs_dir])
    names = [(docs / file.src_uri).relative_to(root).as_posix() for file in files if file.src_dir == config.docs_dir]
    queue = [*names, *listed(config.nav)]
    while queue:
        name = queue.pop()
        if placed.get_file_from_path(name) is None:
            placed.append(at_place(name))
            queue += linked(root, name) if name.endswith(".md") else []
    return placed


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to folders lead to the pages of these."""
    folder = (Path(config.config_file_path).parent / page.file.src_uri).parent

    def complete(link: re.Match[str]) -> str:
        front = front_of(folder / link[1])
        return f"{link[1].rstrip('/')}/{front.name}" if front else link[1]

    return LINK.sub(complete, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Beside the pages of runs, what these link to, as it is; their links to documents lead to the pages of these."""
    root, site = Path(config.config_file_path).parent, Path(config.site_dir)
    for page in site.glob("results/**/index.html"):
        words = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r'(href="[./]+docs/[\w-]+)\.md(?=[#"])', r"\1.html", words), encoding="utf-8")
        for target in HREF.findall(words):
            place = (page.parent / target).relative_to(site)
            if (root / place).is_file() and not (site / place).exists():
                (site / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / place, site / place)


def listed(entry: Any) -> Iterator[str]:
    """The documents of the navigation, or of an entry of it."""
    if isinstance(entry, str):
        yield entry
    for part in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from listed(part)


def front_of(folder: Path) -> Path | None:
    """The page of a folder; None for what is no folder or has none."""
    return next((folder / name for name in FRONTS if (folder / name).is_file()), None)


def linked(root: Path, document: str) -> Iterator[str]:
    """Files of the repository that a document links to, as paths from its root."""
    folder = (root / document).parent
    for target in LINK.findall((root / document).read_text(encoding="utf-8")):
        path = front_of(folder / target) or folder / target
        place = Path(os.path.normpath(path))
        if place.is_file() and place.is_relative_to(root):
            yield place.relative_to(root).as_posix()


def draw_formula(source: str, language: str, css_class: str, options: dict[str, Any], md: Any, **more: Any) -> str:
    """A formula in the part of LaTeX that Matplotlib knows, as HTML with an SVG in the colour of the text around it.

    Raises:
        SuperFencesException: it cannot be read; any other error would leave the formula as it was written.
    """
    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "mathtext.fontset": "cm", "savefig.facecolor": "none"}):
        try:
            formula = f"${' '.join(source.split())}$"
            mathtext.math_to_image(formula, drawn, FontProperties(size=14), format="svg", color="#010203")
        except ValueError as error:
            raise SuperFencesException(f"formula {source!r}: {error}") from error
    svg = re.sub(r"<(metadata|style).*?</\1>|<!--.*?-->", "", drawn.getvalue(), flags=re.DOTALL)
    svg = svg[svg.index("<svg") :].replace("#010203", "currentColor")
    prefix = hashlib.sha256(source.encode()).hexdigest()[:8]  # glyphs of two formulas have the same ids
    svg = re.sub(r'(?<= )(id="|xlink:href="#)', rf"\g<1>{prefix}-", svg)
    return f'<div class="{css_class}" role="img" aria-label="{html.escape(source.strip())}">{svg}</div>'
