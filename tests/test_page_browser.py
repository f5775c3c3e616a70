"""The page in a real browser: from a file, alone, by mouse and by keyboard, light and dark, large and small."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fake_joint import write_joint
from fake_results import METHODS, write_results
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mmbench.claims.statements import load_claims
from mmbench.report.page import write_report
from mmbench.runs.results import load_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
COMMAND = "snakemake --cores all --config profile=fake"
DESKTOP, PHONE = (1280, 900), (375, 700)
#: Where Linux and macOS have one; CHROMIUM names another. Nothing is downloaded.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def find_chromium() -> str | None:
    """Path of a Chromium on this machine."""
    return os.environ.get("CHROMIUM") or next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two experiments, with everything that a page can have."""
    folder = tmp_path_factory.mktemp("browser") / "fake"
    chosen = ("mt_diffusion", "mt_diffusion@zero", "unet_regression", "palette", "ddpm", "mean_fill")
    fakes = [method for method in METHODS if method.name in chosen]
    write_results(folder, methods=fakes, seeds=(0, 1), items=12, snapshots=(0.5,))
    write_joint(folder, methods=("mt_diffusion", "segmenter"), seeds=(0, 1), items=4)
    return write_report(load_results(folder), folder / "report", COMMAND, claims=load_claims(ROOT))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium here ({', '.join(PROGRAMS)}): install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Opened:
    """A page that was opened from its file, and what it asked for and complained of."""

    def __init__(self, browser: Browser, path: Path, size: tuple[int, int], **more: Any) -> None:
        width, height = size
        self.context = browser.new_context(viewport={"width": width, "height": height}, **more)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Opened]:
    found = Opened(browser, report, DESKTOP)
    yield found
    found.context.close()


@pytest.fixture
def page(opened: Opened) -> Page:
    return opened.page


def column(page: Page, table: str, number: int) -> list[str]:
    """What the rows of a table that are shown have in a column, from the top."""
    script = "([t, n]) => [...document.querySelector(t).tBodies[0].rows].filter(r => !r.hidden)"
    found: list[str] = page.evaluate(f"{script}.map(r => r.cells[n].innerText.split('\\n')[0])", [table, number])
    return found


def focused(page: Page, what: str) -> Any:
    return page.evaluate(f"document.activeElement.{what}")


def test_it_asks_for_nothing_but_itself_and_complains_of_nothing(opened: Opened, report: Path) -> None:
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(100)
    assert [url for url in opened.asked if not url.startswith("data:")] == [report.as_uri()]
    assert opened.said == []
    assert page.evaluate(
        "[...document.querySelectorAll('main img')].every(image => image.complete && image.naturalWidth > 0)"
    )


class TestTables:
    TABLE = "#table-masking-lpips-alex"

    def test_sorted_by_mouse_and_by_keyboard(self, page: Page) -> None:
        header = page.locator(f"{self.TABLE} thead th").nth(1)
        header.get_by_role("button").click()
        values = [float(text.split()[0]) for text in column(page, self.TABLE, 1) if text != "—"]
        assert header.get_attribute("aria-sort") == "ascending"
        assert values == sorted(values) and len(values) == 5
        assert column(page, self.TABLE, 1)[-1] == "—"  # who has no value is last, whichever way
        header.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == "descending"
        downwards = [float(text.split()[0]) for text in column(page, self.TABLE, 1) if text != "—"]
        assert downwards == values[::-1] and column(page, self.TABLE, 1)[-1] == "—"
        page.locator(f"{self.TABLE} thead th").first.get_by_role("button").click()
        names = column(page, self.TABLE, 0)
        assert names == sorted(names, key=str.lower) and header.get_attribute("aria-sort") is None

    def test_filtered_by_words_by_column_and_by_number(self, page: Page) -> None:
        box = page.locator("figure.table", has=page.locator(self.TABLE))
        words, which = box.get_by_label("Filter the rows"), box.get_by_label("Column to filter by")
        every = column(page, self.TABLE, 0)
        words.fill("diffusion palette")
        assert column(page, self.TABLE, 0) == ["Palette-type diffusion"]
        assert box.get_by_role("status").inner_text() == f"1 of {len(every)} rows"
        words.fill("< 0.02")
        which.select_option("in 10 % masked")
        kept = [float(text.split()[0]) for text in column(page, self.TABLE, 1)]
        assert 0 < len(kept) < 5 and max(kept) < 0.02
        which.select_option("in Method")
        assert column(page, self.TABLE, 0) == []
        words.fill("")
        assert column(page, self.TABLE, 0) == every

    def test_best_and_second_best_and_intervals_are_seen(self, page: Page) -> None:
        bar = page.locator(f"{self.TABLE}-differences .range").first
        left, right = (float(bar.evaluate(f"e => e.style.getPropertyValue('--{k}')")) for k in "am")
        assert 0 <= left <= right <= 100
        assert page.locator(f"{self.TABLE} strong").count() == page.locator(f"{self.TABLE} u").count() == 4

    def test_one_number_stands_in_a_cell_until_more_is_wanted(self, page: Page) -> None:
        box = page.locator("figure.table", has=page.locator(self.TABLE))
        cell = box.locator("tbody td").first
        more = (cell.get_attribute("title") or "?").split("\n")
        assert len(more) == 2 and not cell.locator(".more").first.is_visible()
        box.get_by_label("Intervals and seeds").check()
        assert cell.locator(".more").all_inner_texts() == more and cell.locator(".more").first.is_visible()
        others = page.locator("figure.table", has=page.locator(f"{self.TABLE}-differences")).locator(".more")
        assert not others.first.is_visible()


class TestFigures:
    FIGURE = "#figure-masking-lpips-alex-ratios"

    def test_the_value_at_the_pointer(self, page: Page) -> None:
        plot = page.locator(f"{self.FIGURE} .plot")
        plot.scroll_into_view_if_needed()
        lines = (plot.get_attribute("data-points") or "").split("\n")
        x, y, words = lines[3].split(" ", 2)
        box = plot.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + int(x) / 1000 * box["width"], box["y"] + int(y) / 1000 * box["height"])
        assert plot.locator(".tip").inner_text() == words
        assert re.fullmatch(r".+, (10|25|50|75)\s% masked: 0\.\d{4} ± .+, [\d.]+× \[[\d.]+×, [\d.∞]+×\]", words)
        shown = [text for n in range(1, 5) for text in column(page, "#table-masking-lpips-alex", n)]
        assert words.partition(": ")[2].partition(" [")[0] in shown
        page.mouse.move(box["x"] - 5, box["y"] - 5)
        assert plot.locator(".tip").is_hidden()

    def test_all_values_by_keyboard(self, page: Page) -> None:
        plot = page.locator(f"{self.FIGURE} .plot")
        said = [line.split(" ", 2)[2] for line in (plot.get_attribute("data-points") or "").split("\n")]
        plot.focus()
        read = []
        for _ in said:
            page.keyboard.press("ArrowRight")
            read.append(plot.locator(".tip").inner_text())
        assert read == said and len(said) == 5 * 4
        page.keyboard.press("Home")
        assert plot.get_by_role("status").inner_text() == said[0]
        page.keyboard.press("Escape")
        assert plot.locator(".tip").is_hidden()

    def test_every_figure_copies_its_command(self, browser: Browser, report: Path) -> None:
        found = Opened(browser, report, DESKTOP, permissions=["clipboard-read", "clipboard-write"])
        for name, command in (
            ("overview-masking", COMMAND),
            ("masking-training", "snakemake --cores all masking --config profile=fake"),
            ("joint-matrix", "snakemake --cores all joint --config profile=fake"),
        ):
            button = found.page.get_by_label(f"Copy the command that makes {name}", exact=True)
            button.click()
            expect(button).to_have_text("Copied")
            assert found.page.evaluate("navigator.clipboard.readText()") == command
        figures = found.page.locator("figure[id^=figure-]")
        assert figures.count() == found.page.locator("figure[id^=figure-] button[data-copy]").count() > 10
        found.context.close()

    def test_where_nothing_can_be_copied_the_command_is_shown(self, browser: Browser, report: Path) -> None:
        found = Opened(browser, report, DESKTOP)
        found.page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden')))")
        button = found.page.get_by_label("Copy the command that makes overview-masking", exact=True)
        button.click()
        expect(button).to_have_text(COMMAND)
        assert found.said == []
        found.context.close()


class TestPictures:
    def test_one_is_enlarged_and_its_neighbours_reached_by_keyboard(self, page: Page) -> None:
        grid = page.locator("#figure-masking-reconstructions table")
        rows = grid.locator("tbody tr")
        assert grid.locator("img.pixels[tabindex='0']").count() == 1  # one stop, however many pictures
        first = rows.nth(0).locator("img.pixels:visible").first
        first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        second = rows.nth(1).locator("img.pixels:visible").nth(1)
        assert focused(page, "alt") == second.get_attribute("alt")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        assert dialog.is_visible() and (second.get_attribute("alt") or "?") in dialog.inner_text()
        large = dialog.locator("img").bounding_box()
        assert large is not None and large["width"] % 32 == 0 and large["width"] > 200
        page.keyboard.press("ArrowDown")
        third = rows.nth(2).locator("img.pixels:visible").nth(1)
        assert (third.get_attribute("alt") or "?") in dialog.inner_text()
        page.keyboard.press("Escape")
        assert dialog.is_hidden() and focused(page, "alt") == third.get_attribute("alt")

    def test_a_slider_goes_over_the_masked_share(self, page: Page) -> None:
        figure = page.locator("#figure-masking-reconstructions")
        slider = figure.get_by_label("Masked share")
        shown = figure.locator("thead th:visible")
        assert shown.all_inner_texts() == ["50\u00a0% masked"] == [slider.get_attribute("aria-valuetext")]
        pictures = figure.locator("img.pixels:visible").count()
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert shown.all_inner_texts() == ["75\u00a0% masked"]
        assert figure.locator("img.pixels[tabindex='0']:visible").count() == 1
        page.keyboard.press("End")
        assert shown.count() == 4 and figure.locator("img.pixels:visible").count() == 4 * pictures

    def test_without_scripts_everything_is_there(self, browser: Browser, report: Path) -> None:
        found = Opened(browser, report, DESKTOP, java_script_enabled=False)
        assert found.page.locator("#figure-masking-reconstructions thead th").count() == 4
        assert found.page.locator("#figure-masking-reconstructions img.pixels:visible").count() > 20
        found.context.close()

    def test_one_is_enlarged_and_closed_by_mouse(self, page: Page) -> None:
        page.locator("#figure-masking-trajectory img.pixels").last.click()
        dialog = page.get_by_role("dialog")
        assert "DDPM: answer at step 125 (t = 125)" in dialog.inner_text()
        dialog.get_by_role("button", name="Close").click()
        assert dialog.is_hidden()


class TestPaper:
    def test_headers_and_closed_sections_are_printed(self, page: Page) -> None:
        closed = page.locator("#table-masking-psnr-hole tbody td").first
        header = page.locator("#table-masking-psnr-hole thead th").nth(1)
        assert not closed.is_visible()
        page.emulate_media(media="print", color_scheme="dark")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert closed.is_visible() and header.get_by_role("button").is_visible()
        assert page.locator("#figure-masking-reconstructions thead th:visible").count() == 4
        plot = page.locator("#figure-overview-masking .plot img")
        assert [image.get_attribute("class") for image in plot.all() if image.is_visible()] == ["light"]
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.emulate_media(media="screen")
        assert not closed.is_visible()


class TestReading:
    def test_light_and_dark_are_the_systems_until_the_reader_chooses(self, browser: Browser, report: Path) -> None:
        found = Opened(browser, report, DESKTOP, color_scheme="dark")
        page, plot = found.page, found.page.locator("#figure-overview-masking .plot img")

        def colours() -> tuple[str, list[str]]:
            shown = [image.get_attribute("class") or "" for image in plot.all() if image.is_visible()]
            return page.evaluate("getComputedStyle(document.body).backgroundColor"), shown

        dark = colours()
        assert dark[1] == ["dark"]
        page.emulate_media(color_scheme="light")
        light = colours()
        assert light[1] == ["light"] and light[0] != dark[0]
        page.get_by_role("button", name="Dark colours").click()
        assert colours() == dark
        page.reload()
        assert colours() == dark  # kept
        page.get_by_role("button", name="Light colours").focus()
        page.keyboard.press("Enter")
        assert colours() == light
        found.context.close()

    def test_the_first_stop_leads_past_the_navigation(self, page: Page) -> None:
        page.keyboard.press("Tab")
        assert focused(page, "textContent") == "Skip to the results"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
        page.keyboard.press("Enter")
        assert focused(page, "id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"

    def test_contents_lead_to_their_headings(self, page: Page) -> None:
        nav = page.get_by_role("navigation", name="Contents: Masked reconstruction")
        nav.get_by_role("link", name="Quality against compute").click()
        head = page.locator("#masking-compute")
        assert head.inner_text() == "Quality against compute"
        page.wait_for_function("document.querySelector('#masking-compute').getBoundingClientRect().top < 200")
        page.wait_for_selector("nav.bar a[aria-current][href='#masking']")

    def test_nothing_is_wider_than_the_window(self, page: Page) -> None:
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        for width, height in (DESKTOP, PHONE):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") == width

    def test_what_scrolls_is_reached_by_keyboard_and_nothing_else(self, browser: Browser, report: Path) -> None:
        found = Opened(browser, report, PHONE)
        found.page.wait_for_function("document.querySelectorAll('.scroll:not([tabindex])').length > 0")
        lost = found.page.evaluate(
            """[...document.querySelectorAll('.scroll')].filter(box => box.checkVisibility()
                && box.scrollWidth > box.clientWidth && box.tabIndex < 0 && !box.querySelector('[tabindex="0"]'))
                .map(box => box.outerHTML.slice(0, 200))"""
        )
        assert lost == []
        found.context.close()

    def test_axe_would_find_something_serious(self, page: Page) -> None:
        page.evaluate(
            "document.querySelector('#overview').innerHTML = '<button></button><b style=\"color:#ddd\">pale words</b>'"
        )
        found = Axe().run(page, context="#overview").response["violations"]
        assert {"button-name", "color-contrast"} <= {v["id"] for v in found if v["impact"] in ("serious", "critical")}

    @pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")], ids=["phone", "desktop"])
    def test_axe_finds_nothing_serious(
        self, browser: Browser, report: Path, size: tuple[int, int], scheme: Any
    ) -> None:
        found = Opened(browser, report, size, color_scheme=scheme)
        found.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        # of what axe knows, only contrast has to do with colours
        only = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
        result = Axe().run(found.page, options={"resultTypes": ["violations"], **only})
        serious = [v for v in result.response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"][:200], len(v["nodes"])) for v in serious] == []
        found.context.close()
