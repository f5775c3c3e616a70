"""The site of the documents: it is built without a warning, all its links lead somewhere, and it asks no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from documents import DOCUMENTS, ROOT
from mkdocs.config import load_config
from playwright.sync_api import sync_playwright

from tools.mkdocs_hooks import listed

pytestmark = pytest.mark.slow

#: The browser: the one that CHROMIUM names, or one of the system.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next((path for name in PROGRAMS if (path := shutil.which(name))), None)
#: What a page loads by itself, by element; a link is followed only when somebody clicks it.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
          "embed": "src", "object": "data", "link": "href"}  # fmt: skip
#: Addresses in the theme's scripts that are asked only for what these pages do not have (diagrams, old browsers, a
#: repository's stars), or are of those who wrote them. The test with a browser sees what is really asked.
UNUSED = (
    "https://unpkg.com/mermaid",
    "https://unpkg.com/resize-observer-polyfill",
    "https://api.github.com/",
    "https://clipboardjs.com/",
    "http://lunrjs.com",
    "https://bit.ly/2s3ChXG",
    "http://tartarus.org/",
)


class Page(HTMLParser):
    """What a page links to, loads, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.styles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if LOADED.get(tag) in found and not (tag == "link" and found.get("rel") in ("prev", "next", "canonical")):
            self.loads.append(found[LOADED[tag]])
        self.loads += [part.split()[0] for part in found.get("srcset", "").split(",") if part.strip()]
        self.styles.append(found.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page, by its file, but that of a server for what it does not have, whose links are from its root."""
    found = sorted(path for path in site.rglob("*.html") if path.name != "404.html")
    return {path: Page(path.read_text(encoding="utf-8")) for path in found}


def addresses(style: str) -> Iterator[str]:
    """What a style sheet loads."""
    for found in re.finditer(r"url\(\s*['\"]?([^'\")]*)|@import\s+['\"]([^'\"]+)", style):
        yield found[1] or found[2] or ""


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc) or urlsplit(address).scheme in ("http", "https", "ws", "wss")


def test_every_document_is_in_the_navigation() -> None:
    found = list(listed(load_config(str(ROOT / "mkdocs.yml"))["nav"]))
    assert sorted(found) == sorted({str(path.relative_to(ROOT)) for path in DOCUMENTS})


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    count = 0
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            where = f"{path.relative_to(site)} links to {link}"
            assert target.is_relative_to(site.resolve()) and target.is_file(), where
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, where
            count += 1
    assert count > 1000


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        styles = [address for style in page.styles for address in addresses(style)]
        assert not [address for address in [*page.loads, *styles] if is_elsewhere(address)], path
        assert not re.search(r'class="[^"]*\bmermaid\b', path.read_text()), f"{path}: a diagram loads a script"
    sheets = list(site.rglob("*.css"))
    used = {(path.parent / load).resolve() for path, page in pages.items() for load in page.loads if ".js" in load}
    scripts = [*used, *site.glob("assets/javascripts/workers/*.js")]
    assert sheets and len(scripts) >= 3
    for sheet in sheets:
        assert not [address for address in addresses(sheet.read_text()) if is_elsewhere(address)], sheet
    for script in scripts:
        named = set(re.findall(r"https?://[\w./-]+", script.read_text()))
        assert not [address for address in named if not address.startswith(UNUSED)], script


def test_formulas_and_docstrings_are_on_their_pages(site: Path, pages: dict[Path, Page]) -> None:
    concepts = (site / "docs/concepts.html").read_text()
    assert (
        concepts.count('<div class="math" role="img"') == (ROOT / "docs/concepts.md").read_text().count("```math") > 3
    )
    assert "currentColor" in concepts and "\\mathcal" not in re.sub(r'aria-label="[^"]*"', "", concepts)
    for name, text in {
        "models": "inference.model.Model.generate",
        "methods": "method.Method.predict",
        "diffusion": "models.diffusion.process.Process.posterior",
        "metrics": "scoring.metrics.frechet.frechet_distance",
        "data": "data.load",
        "results": "runs.results.load_results",
    }.items():
        assert f"mmbench.{text}" in pages[site / f"docs/api/{name}.html"].anchors


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")
def test_the_site_is_read_and_searched_without_a_server(site: Path) -> None:
    asked, said = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.get_by_role("link", name="Understand", exact=True).first.click()
        page.locator(".math svg").first.wait_for()
        page.locator(".md-search__input").click()
        page.keyboard.type("bridge")
        page.locator(".md-search-result__link").first.wait_for()
        assert "docs/concepts.html" in (page.locator(".md-search-result__link").first.get_attribute("href") or "")
        page.keyboard.press("Escape")
        page.set_viewport_size({"width": 390, "height": 844})
        for name in ("index.html", "docs/concepts.html", "docs/api/methods.html", "docs/metrics.html"):
            page.goto((site / name).as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} is wider than a phone"
        browser.close()
    assert asked and all(url.startswith(("file:", "data:", "blob:", "about:")) for url in asked)
    assert not said
