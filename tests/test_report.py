"""The report: what it shows is what was measured, it needs nothing but itself, and broken results are named."""

from __future__ import annotations

import base64
import csv
import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import METHODS, SHARES, Fake, write_results
from hypothesis import given
from hypothesis import strategies as st

from mmbench.claims.statements import load_claims
from mmbench.errors import UserError
from mmbench.experiments.masking.section.pictures import reconstructions
from mmbench.files.store import read_json, save_arrays, write_json
from mmbench.report.draw.figures import spread
from mmbench.report.page import write_report
from mmbench.report.parts.section import Context
from mmbench.report.tables.board import Board, Entry, make_board
from mmbench.report.tables.cost import cost_table, size_cell
from mmbench.report.tables.differences import said
from mmbench.report.tables.table import Cell, Table, latex, to_csv, to_latex, to_markdown
from mmbench.runs.results import ExperimentResults, load_results
from mmbench.scoring.statistics import PairedDifference, Retrained, compare_paired, holm, over_seeds

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NASTY = r"<script>alert(1)</script> & 50 % | _x_ $\foo$ #1 ~^{}"
NOTE = 'a note with <b>markup</b> & "quotes"'
CASES = [f"reconstruct-{round(100 * share)}" for share in SHARES]
DECIMALS = {"lpips_alex": 4, "lpips_vgg": 4, "psnr_hole": 2, "ssim": 4, "l1_hole": 4}
#: Table of each metric, by its slug.
TABLES = {metric: "masking-" + metric.replace("_", "-") for metric in DECIMALS}
HIGHER = {"psnr_hole", "ssim"}
#: As far apart as everything shown needs: a variant that is best of all at three shares, two baselines that cannot be
#: told apart, one whose seeds differ so much that its difference is only that of these trainings, and one whose title
#: is hostile. Two were trained here, which is enough of curves.
FAKES = (
    *(m for m in METHODS if m.name in ("mt_diffusion", "unet_regression")),
    *(replace(m, parameters=0, wobble=0.3) for m in METHODS if m.name in ("palette", "ddpm")),
    Fake("mt_diffusion@zero", "MT-Diffusion, ω = 0", 0.9, ("reconstruct", "generate"), 50, parameters=0),
    Fake("twin", "Twin of the U-Net", 1.005, parameters=0),
    Fake("mean_fill", NASTY, 6.0, nfe=0, parameters=0),
)
TITLES = {fake.name: fake.title for fake in FAKES}
VOID = {"meta", "link", "img", "br", "hr", "wbr", "input"}


class Page(HTMLParser):
    """A page's tags, visible text, and what is wrong with its nesting."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.sources: dict[str, str] = {"style": "", "script": ""}
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(source)
        self.wrong += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag} at line {self.getpos()[0]}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.sources:
            self.sources[self.open[-1]] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def table(self, name: str) -> list[list[str]]:
        """The cells of a table as HTML."""
        whole = re.search(rf'<table[^>]*id="table-{name}".*?</table>', self.source, re.DOTALL)
        assert whole, name
        rows = re.findall(r"<tr.*?</tr>", whole[0], re.DOTALL)
        return [re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL) for row in rows]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of made-up methods with three seeds; a title and a note are hostile, one run was never scored."""
    folder = write_results(tmp_path_factory.mktemp("results") / "fake", methods=FAKES, items=30)
    (folder / "masking" / "unfinished" / "seed0").mkdir(parents=True)
    card = read_json(folder / "data" / "card.json")
    write_json(folder / "data" / "card.json", {**card, "notes": [NOTE]})
    return folder


@pytest.fixture(scope="module")
def masking(tree: Path) -> ExperimentResults:
    return load_results(tree).experiments[0]


@pytest.fixture(scope="module")
def report(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report of those results."""
    out, claims = tmp_path_factory.mktemp("report"), load_claims(ROOT)
    return write_report(load_results(tree), out, "snakemake --cores <n>", claims=claims).parent


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page((report / "index.html").read_text())


@pytest.fixture(scope="module")
def summary(report: Path) -> pd.DataFrame:
    frame = pd.read_csv(report / "tables" / "masking-summary.csv", keep_default_na=False, na_values=[""])
    return frame.set_index(["metric", "case", "method"])


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`results` of two methods with one seed, without predictions, records of training and reference, and `report`.

    The report is of one method, and made by the command line in a process of its own, which must not load torch.
    """
    out = tmp_path_factory.mktemp("little")
    methods = [m for m in METHODS if m.name in ("mt_diffusion", "palette")]
    write_results(out / "results", methods=methods, seeds=(0,), items=8, predictions=False)
    for path in [out / "results/masking/reference.json", *out.glob("results/masking/*/*/training.json")]:
        path.unlink()
    code = "import runpy, sys; runpy.run_module('mmbench.stages.report', run_name='__main__'); "
    code += "print('torch' in sys.modules)"
    flags = [
        "--results",
        str(out / "results"),
        "--out",
        str(out / "report"),
        "--methods",
        "mt_diffusion",
        "--claims",
        "config/claims.yaml",
    ]
    command, environment = [sys.executable, "-c", code, *flags], {**os.environ, "PYTHONHASHSEED": "5"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    assert re.fullmatch(r"report: .*/report/index.html \(\d+\.\d MiB\)\nFalse\n", done.stdout), done.stdout
    assert done.stderr == ""
    return out


@pytest.fixture(scope="module")
def one_seed(little: Path) -> Page:
    return Page((little / "report" / "index.html").read_text())


def table(report: Path, name: str) -> dict[str, Any]:
    """A table's JSON, its rows by their first cell."""
    stored = json.loads((report / "tables" / f"{name}.json").read_text())
    return {**stored, "by_title": {row[0]["text"]: row[1:] for row in stored["rows"]}}


def measured(tree: Path, metric: str, case: str) -> dict[str, list[float]]:
    """What metrics.json says, one number per seed, by method; read here without the report's own reader."""
    found: dict[str, list[float]] = {}
    for path in sorted((tree / "masking").glob("*/seed*/metrics.json")):
        for row in json.loads(path.read_text())["metrics"]:
            if (row["name"], row["case"]) == (metric, case):
                found.setdefault(path.parts[-3], []).append(row["value"])
    return found


def t_interval(metric: str, values: list[float]) -> tuple[float | None, float | None]:
    """The interval of the mean, between the bounds of the metric."""
    found = over_seeds(values, bounds={"psnr_hole": None, "ssim": (-1.0, 1.0)}.get(metric, (0.0, np.inf)))
    return found.low, found.high


def per_image(tree: Path, metric: str, case: str) -> dict[str, np.ndarray]:
    """What items.csv says (seeds, images), by method."""
    found: dict[str, list[list[float]]] = {}
    for path in sorted((tree / "masking").glob("*/seed*/items.csv")):
        with path.open(newline="") as stream:
            own = [r for r in csv.DictReader(stream) if (r["metric"], r["case"]) == (metric, case)]
        if own:
            values = [float(r["value"]) for r in sorted(own, key=lambda r: int(r["item"]))]
            found.setdefault(path.parts[-3], []).append(values)
    return {method: np.array(values) for method, values in found.items()}


def ranking(tree: Path, metric: str, case: str) -> list[str]:
    """Methods from the best mean to the worst."""
    mean = {method: np.mean(values) for method, values in measured(tree, metric, case).items()}
    return sorted(mean, key=lambda method: -mean[method] if metric in HIGHER else mean[method])


def best_baseline(tree: Path, metric: str, case: str) -> str:
    return next(m for m in ranking(tree, metric, case) if m in ("unet_regression", "twin", "palette", "mean_fill"))


def lone_board(entry: Entry, higher: bool) -> Board:
    """A board of one method beside the best baseline."""
    return Board("any", higher, ["a"], ["m", "b"], {"a": "b"}, {("m", "a"): entry})


@pytest.mark.parametrize("metric", DECIMALS)
class TestValues:
    """Every number of every table, recomputed from the files of the results."""

    def test_mean_deviation_interval_seeds_and_rank(
        self, tree: Path, report: Path, summary: pd.DataFrame, metric: str
    ) -> None:
        rows = table(report, TABLES[metric])["by_title"]
        assert rows.keys() == set(TITLES.values())
        for column, case in enumerate(CASES):
            order = ranking(tree, metric, case)
            marks = {title: row[column]["mark"] for title, row in rows.items() if row[column]["mark"]}
            assert marks == {TITLES[order[0]]: "best", TITLES[order[1]]: "second"}
            for method, values in measured(tree, metric, case).items():
                cell, form = rows[TITLES[method]][column], f"{{:.{DECIMALS[metric]}f}}".format
                (low, high), mean, sd = t_interval(metric, values), np.mean(values), np.std(values, ddof=1)
                assert cell["value"] == pytest.approx(mean) and cell["text"] == f"{form(mean)} ± {form(sd)}"
                ends = f"[{form(low)}, {form(high)}]".replace("-", "\u2212")
                assert (cell["lines"], cell["more"]) == ([], [ends, " · ".join(map(form, values))])
                row = summary.loc[metric, case, method]
                expected = (3, mean, sd, low, high, order.index(method) + 1)
                assert tuple(row[["seeds", "mean", "sd", "t_low", "t_high", "rank"]]) == pytest.approx(expected)
                assert [row["seed0"], row["seed1"], row["seed2"]] == values
                assert row["best_baseline"] == best_baseline(tree, metric, case)

    def test_who_does_not_do_the_task_has_a_dash(self, report: Path, metric: str) -> None:
        stored = table(report, TABLES[metric])
        assert [(cell["text"], cell["value"]) for cell in stored["by_title"]["DDPM"]] == [("—", None)] * 4


class TestDifferences:
    """Paired differences, recomputed from items.csv."""

    @pytest.mark.parametrize("metric", ["lpips_alex", "psnr_hole"])
    def test_difference_interval_p_and_reading(self, tree: Path, summary: pd.DataFrame, metric: str) -> None:
        pairs: dict[tuple[str, str], PairedDifference] = {}
        for case in CASES:
            values, best = per_image(tree, metric, case), best_baseline(tree, metric, case)
            pairs |= {(case, m): compare_paired(values[m], values[best]) for m in values if m != best}
        p, retrained_p = holm([x.p for x in pairs.values()]), holm([x.retrained.p for x in pairs.values()])
        readings: set[tuple[str, str]] = set()
        for ((case, method), x), here_p, there_p in zip(pairs.items(), p, retrained_p, strict=True):
            row = summary.loc[metric, case, method]
            expected = (x.difference, x.low, x.high, x.p, here_p)
            assert tuple(row[["difference", "bca_low", "bca_high", "p", "p_holm"]]) == pytest.approx(expected)
            expected = (x.retrained.low, x.retrained.high, x.retrained.p, there_p)
            names = ["retrained_low", "retrained_high", "retrained_p", "retrained_p_holm"]
            assert tuple(row[names]) == pytest.approx(expected)
            word = "better" if (x.difference > 0) == (metric in HIGHER) else "worse"
            assert row["reading_of_these"] == (word if x.clear and here_p <= 0.05 else "unclear"), (case, method)
            assert row["reading"] == (word if x.retrained.clear and there_p <= 0.05 else "unclear"), (case, method)
            readings.add((row["reading"], row["reading_of_these"]))
        # or the methods were made up too much alike
        assert {("better", "better"), ("worse", "worse"), ("unclear", "unclear"), ("unclear", "worse")} <= readings

    @pytest.mark.parametrize("metric", DECIMALS)
    def test_the_table_shows_the_summary(self, tree: Path, report: Path, summary: pd.DataFrame, metric: str) -> None:
        stored = table(report, f"{TABLES[metric]}-differences")
        assert f"{'above' if metric in HIGHER else 'below'} 0 is better" in stored["caption"]
        words = {"better": "better", "worse": "worse", "unclear": "no significant difference"}
        for (case, method), row in summary.loc[metric].loc[CASES].iterrows():
            cell, digits = stored["by_title"][TITLES[method]][CASES.index(case)], DECIMALS[metric]
            if method == row["best_baseline"]:
                assert (cell["text"], cell["value"], cell["tone"]) == ("best baseline", 0, "reference")
                assert pd.isna(row["difference"]) and pd.isna(row["reading"])
                continue
            assert (cell["value"], cell["tone"]) == (row["difference"], row["reading"])
            assert re.fullmatch(r"[+\u2212]\d+\.\d+(e\u2212\d+)?", cell["text"])
            assert float(cell["text"].replace("\u2212", "-")) == pytest.approx(cell["value"], abs=0.6 * 10**-digits)
            for name, line in (("retrained", cell["lines"][0]), ("bca", cell["more"][1])):
                ends = re.fullmatch(r"\[(\S+), (\S+)\](?: over images only)?", line.replace("\u2212", "-"))
                assert ends is not None
                expected = [row[f"{name}_low"], row[f"{name}_high"]]
                assert [float(end) for end in ends.groups()] == pytest.approx(expected, abs=0.6 * 10**-digits)
            values, best = per_image(tree, metric, case), row["best_baseline"]
            seeds = [float(x) for x in cell["more"][2].replace("\u2212", "-").split(" · ")]
            assert seeds == pytest.approx((values[method] - values[best]).mean(axis=1), abs=0.6 * 10**-digits)
            here = f"; {words[row['reading_of_these']]} (these training runs)" if row["reading"] == "unclear" else ""
            here = "" if row["reading_of_these"] == "unclear" else here
            assert re.fullmatch(r"p [=<] [\d.]+", cell["more"][0])
            assert cell["lines"][1:] == [f"{words[row['reading']]}{here}"]

    def test_who_answers_with_the_studied_weights_is_no_baseline(self, tmp_path: Path) -> None:
        folder = write_results(tmp_path / "fake", methods=FAKES[:3], seeds=(0,), items=4, predictions=False)
        before = make_board(load_results(folder).experiments[0], "lpips_alex", CASES)
        assert set(before.best_baseline.values()) == {"unet_regression"}
        for method in ("mt_diffusion", "unet_regression"):
            path = folder / "masking" / method / "seed0" / "predictions.json"
            write_json(path, read_json(path) | {"provenance": {"inputs_sha256": {"weights": "ab"}}})
        after = make_board(load_results(folder).experiments[0], "lpips_alex", CASES)
        assert set(after.best_baseline.values()) == {"palette"}

    def test_a_variant_is_studied_and_no_baseline(self, summary: pd.DataFrame) -> None:
        """Though its mean is the best of all."""
        row = summary.loc["lpips_alex", "reconstruct-10", "mt_diffusion@zero"]
        assert (row["rank"], row["reading"]) == (1, "better") and row["best_baseline"] in ("unet_regression", "twin")
        assert set(summary["best_baseline"]) == {"unet_regression", "twin", "ddpm"} & set(summary["best_baseline"])

    @pytest.mark.parametrize(
        ("low", "high", "p_holm", "higher", "reading"),
        [
            (0.1, 0.3, 0.05, True, "better"),
            (0.1, 0.3, 0.05, False, "worse"),
            (-0.3, -0.1, 0.001, True, "worse"),
            (-0.3, -0.1, 0.001, False, "better"),
            (0.1, 0.3, 0.06, True, "unclear"),  # the interval is clear, but not after so many comparisons
            (-0.1, 0.3, 0.001, True, "unclear"),
            (None, None, None, True, ""),
        ],
    )
    def test_a_reading_needs_the_interval_and_the_adjusted_p(
        self, low: float | None, high: float | None, p_holm: float | None, higher: bool, reading: str
    ) -> None:
        """Of one training it is about that alone; of several, the wider interval and its own p decide."""
        found = PairedDifference(30, 0.2 if (low or 0) > -0.2 else -0.2, low, high, 0.001)
        board = lone_board(Entry({0: 0.5}, over_seeds([0.5]), 2, found, p_holm), higher)
        assert board.reading("m", "a") == board.of_these("m", "a") == reading and board.reading("b", "a") == ""
        assert board.scope("m", "a") == (" (these training runs)" if reading in ("better", "worse") else "")
        if low is None or high is None or p_holm is None:
            return
        trained = Retrained((0.2, 0.2), low, high, 0.001)
        clear = replace(found, low=min(0.1, found.difference), high=max(-0.1, found.difference), retrained=trained)
        board = lone_board(Entry({0: 0.5}, over_seeds([0.5]), 2, clear, 0.001, p_holm), higher)
        assert board.reading("m", "a") == reading and board.scope("m", "a") == ""
        here = "better" if (found.difference > 0) == higher else "worse"
        assert board.of_these("m", "a") == here
        words = {"unclear": f"no significant difference; {here} (these training runs)"}
        assert said(board, "m", "a") == words.get(reading, reading)

    def test_only_the_seeds_that_both_have_are_compared(self, masking: ExperimentResults) -> None:
        def without(*seeds: int) -> Board:
            items = masking.items
            gone = (items["method"] == "palette") & items["seed"].isin(seeds)
            return make_board(replace(masking, items=items[~gone]), "lpips_alex", CASES)

        found = [without(*seeds).entries["palette", CASES[0]].difference for seeds in ((), (1,), (1, 2))]
        assert all(difference is not None for difference in found)
        seeds = [d.retrained.by_seed if d and d.retrained else () for d in found]
        assert seeds[1] == (seeds[0][0], seeds[0][2]) and seeds[2] == ()

    def test_what_was_compared_must_be_the_same_images(self, masking: ExperimentResults) -> None:
        items = masking.items
        own = (items["method"] == "palette") & (items["item"] == 3)
        for wrong, says in ((own, "'palette' and "), (own & (items["seed"] == 1), "its seeds list different items")):
            with pytest.raises(UserError, match=f"items.csv of .*{says}.*evaluate"):
                make_board(replace(masking, items=items[~wrong]), "lpips_alex", CASES)


class TestOtherTables:
    """The tidy file, drawing from noise, cost."""

    def test_the_long_table_has_every_number(self, tree: Path, report: Path) -> None:
        with (report / "tables" / "masking-long.csv").open(newline="") as stream:
            rows = [
                (r["method"], int(r["seed"]), r["case"], r["metric"], float(r["value"]), r["share"])
                for r in csv.DictReader(stream)
            ]
        expected = []
        for path in (tree / "masking").glob("*/seed*/metrics.json"):
            own = json.loads(path.read_text())
            expected += [
                (own["method"], own["seed"], m["case"], m["name"], m["value"], str(m.get("share", "")))
                for m in own["metrics"]
            ]
        assert len(expected) == 3 * (6 * 5 * 4 + 3 * 4)
        assert sorted(rows) == sorted(expected)

    def test_drawing_from_noise(self, tree: Path, report: Path) -> None:
        """FD beside its ratio to plain DDPM and the floor; nothing of this has an interval over images."""
        stored, fd = table(report, "masking-generation"), "fd[vgg16-relu5_3-gap]"
        values = {m: np.array(v) for m, v in measured(tree, fd, "generate").items()}
        assert stored["header"][:3] == ["Method", "FD ↓", "FD ÷ DDPM"]
        assert list(stored["by_title"]) == ["MT-Diffusion", "MT-Diffusion, ω = 0", "DDPM", "Real images (floor)"]
        for method, value in values.items():
            cells, ratios = stored["by_title"][TITLES[method]], value / values["ddpm"]
            assert [cells[0]["value"], cells[1]["value"]] == pytest.approx([value.mean(), ratios.mean()])
            assert cells[1]["more"][1] == " · ".join(f"{ratio:.2f}×" for ratio in ratios)
        assert [cell["value"] for cell in stored["by_title"]["Real images (floor)"]] == [4.6, None, 0.001, 0.9, None]
        assert any("not bootstrapped" in note for note in stored["notes"])

    def test_what_is_equal_over_seeds_has_no_deviation(self, report: Path) -> None:
        """The recall of 0.4 has none from rounding its mean either."""
        recall = table(report, "masking-generation")["by_title"]["DDPM"][-1]
        assert (recall["text"], recall["value"], recall["more"][0]) == ("0.400 ± 0.000", 0.4, "[0.400, 0.400]")

    def test_cost(self, report: Path) -> None:
        rows = table(report, "masking-cost")["by_title"]
        assert [c["text"] for c in rows["MT-Diffusion"][:6]] == [
            "sampler", "reconstruct and generate", "2.69 M", "38.4 k", "41 T", "50",
        ]  # fmt: skip
        assert [c["value"] for c in rows["MT-Diffusion"][2:8]] == [2.69e6, 38_400, 4.1e13, 50, 81.0, 15.0]
        assert [c["text"] for c in rows[NASTY][:3]] == ["no network", "reconstruct", "—"]

    def test_unequal_sizes_and_tuned_settings_are_said(self, tmp_path: Path) -> None:
        larger = [replace(m, parameters=3_228_000) if m.name == "palette" else m for m in METHODS]
        folder = write_results(tmp_path / "fake", methods=larger, seeds=(0, 1), items=4, predictions=False)
        results = load_results(folder).experiments[0]
        sizes = {method: size_cell(results, method) for method in results.titles}
        assert (sizes["palette"].lines, sizes["palette"].tone) == (["1.20×"], "worse")
        assert (sizes["unet_regression"].lines, sizes["unet_regression"].tone) == (["1.00×"], "")
        assert sizes["mt_diffusion"].lines == () and sizes["mean_fill"].text == "—"
        notes = cost_table(results).notes
        assert "Not within 5 % of MT-Diffusion's number of parameters: Palette-type diffusion (1.20×)." in notes
        assert "RePaint on the DDPM, chosen on the validation split: resample 3, 3 (one per seed)." in notes


class TestPage:
    """One file that a browser needs nothing else for, and that says to everyone what it shows."""

    def test_it_loads_nothing(self, page: Page) -> None:
        loaded = [
            v for tag, a in page.tags if tag != "a" for n, v in a.items() if n in ("src", "href", "srcset", "data")
        ]
        assert len(loaded) > 20
        assert [link[:60] for link in loaded if not link.startswith("data:")] == []
        assert not {"iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
        assert not [a for tag, a in page.tags if tag == "script" and a]
        assert not re.search(r"@import|url\((?!['\"]?data:)", page.sources["style"])
        assert page.sources["script"].strip()
        assert not re.search(r"fetch\(|XMLHttp|import|WebSocket|sendBeacon|https?:", page.sources["script"])

    def test_nor_do_its_drawings(self, page: Page) -> None:
        drawings = [a["src"] for _, a in page.tags if a.get("src", "").startswith("data:image/svg+xml;base64,")]
        assert len(drawings) == 2 * 4  # light and dark: two metrics against the best baseline; training; overview
        for drawing in drawings:
            text = base64.b64decode(drawing.split(",")[1]).decode()
            assert not re.search(r"""(href|src)=["'](?!#|data:)|<script|@import|url\((?!#)""", text)
            assert "alert(1)" not in text or "&lt;script&gt;alert(1)" in text

    def test_anchors_are_unique_and_lead_somewhere(self, page: Page, report: Path) -> None:
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert [i for i, n in Counter(ids).items() if n > 1] == []
        links = [a["href"] for tag, a in page.tags if tag == "a"]
        inner = [link[1:] for link in links if link.startswith("#")]
        inner += [a[key] for _, a in page.tags for key in ("aria-labelledby", "aria-describedby", "for") if key in a]
        assert len(inner) > 4 and [link for link in inner if link not in ids] == []
        files = [link for link in links if not link.startswith("#")]
        files = [link for link in files if not link.startswith("https://arxiv.org/abs/")]
        files.remove("manifest.json")  # written after the page, whose hash it has
        assert [link for link in files if not (report / link).is_file()] == []
        written = {str(p.relative_to(report)) for p in report.rglob("*") if p.is_file()}
        assert written == {*files, "index.html"}

    def test_every_picture_table_and_region_has_a_name(self, page: Page) -> None:
        pictures = [a for tag, a in page.tags if tag in ("img", "svg")]
        assert len(pictures) > 40
        assert [a for a in pictures if not (a.get("alt") or a.get("aria-label"))] == []
        assert [a for _, a in page.tags if a.get("role") == "region" and not a.get("aria-label")] == []
        assert [a for tag, a in page.tags if tag == "th" and "scope" not in a] == []
        assert [tag for tag, _ in page.tags].count("h1") == 1
        assert ("html", {"lang": "en"}) in page.tags and page.wrong == []
        assert not re.search(r"\b(nan|NaN|None|inf|Undefined)\b", page.text)

    def test_it_shows_what_the_tables_hold(self, page: Page, report: Path) -> None:
        names = [path.stem for path in (report / "tables").glob("*.json")]
        assert len(names) == 2 * 5 + 7
        for name in names:
            stored = json.loads((report / "tables" / f"{name}.json").read_text())
            header, *rows = page.table(name)
            assert len(header) == len(stored["header"]) and len(rows) == len(stored["rows"])
            for row, cells in zip(rows, stored["rows"], strict=True):
                for place, (shown, cell) in enumerate(zip(row, cells, strict=True)):
                    words = html.unescape(re.sub(r"<[^>]+>", "", shown))
                    assert all(text in words for text in (cell["text"], *cell["lines"], *cell.get("more", [])))
                    assert {"best": "<strong", "second": "<u", "": ""}[cell["mark"]] in shown
                    assert not place or cell["tone"] in re.match("<[^>]*>", shown)[0]  # type: ignore[index]

    def test_the_overview_says_who_is_best_at_what(self, page: Page, report: Path) -> None:
        stored = json.loads((report / "tables" / "overview.json").read_text())
        by_question = {row[0]["text"]: row for row in stored["rows"]}
        summary = pd.read_csv(report / "tables" / "masking-summary.csv")
        for share in (10, 50):
            row = by_question[f"Masked reconstruction: reconstructing, {share}\u00a0% masked"]
            own = summary[(summary["case"] == f"reconstruct-{share}") & (summary["metric"] == "lpips_alex")]
            studied = own[own["method"] == "mt_diffusion"].iloc[0]
            other = own[own["method"] == studied["best_baseline"]].iloc[0]
            assert [row[2]["value"], row[4]["value"]] == pytest.approx([studied["mean"], other["mean"]])
            assert (row[3]["text"], row[4]["mark"]) == (other["title"], "best")  # the baseline at these shares
        assert "Masked reconstruction: generating images" in by_question
        assert (report / "figures" / "overview-masking.png").is_file()

    def test_what_others_wrote_is_text(self, page: Page, report: Path) -> None:
        source = (report / "index.html").read_text()
        assert [tag for tag, _ in page.tags].count("script") == 1
        assert "<script>alert" not in source and "<b>markup" not in source
        assert NASTY in page.text and NOTE in page.text and "snakemake --cores <n>" in page.text
        assert "Not scored, so not shown: unfinished/seed0." in page.text


class TestLittle:
    """Less than everything is shown as such."""

    def test_one_seed_has_no_deviation(self, little: Path, one_seed: Page) -> None:
        assert "One training seed (0): no standard deviation and no interval over training runs." in one_seed.text
        assert "±" not in one_seed.text
        cell = table(little / "report", "masking-lpips-alex")["by_title"]["MT-Diffusion"][0]
        assert (cell["text"], cell["lines"]) == (f"{cell['value']:.4f}", [])
        frame = pd.read_csv(little / "report" / "tables" / "masking-summary.csv")
        assert frame[["sd", "t_low", "t_high"]].isna().all(axis=None) and frame["mean"].notna().all()

    def test_what_is_not_there_is_not_shown(self, little: Path, one_seed: Page) -> None:
        """Predictions, a reference, and another method to compare with."""
        assert not any(a.get("src", "").startswith("data:image/png") for tag, a in one_seed.tags if tag == "img")
        assert list(table(little / "report", "masking-generation")["by_title"]) == ["MT-Diffusion"]
        assert "floor" not in one_seed.text and 'id="table-claims"' not in one_seed.source
        assert not list((little / "report" / "figures").glob("*-ratios.*"))
        differences = table(little / "report", "masking-lpips-alex-differences")["by_title"]["MT-Diffusion"]
        assert [(cell["text"], cell["value"]) for cell in differences] == [("—", None)] * 4

    def test_the_same_results_give_the_same_bytes(self, little: Path, tmp_path: Path, recwarn: Any) -> None:
        """Here as in the other process, which hashes otherwise."""
        write_report(load_results(little / "results", methods=["mt_diffusion"]), tmp_path, claims=load_claims(ROOT))
        names = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
        assert names == sorted(p.relative_to(little / "report") for p in (little / "report").rglob("*") if p.is_file())
        assert [n for n in names if (little / "report" / n).read_bytes() != (tmp_path / n).read_bytes()] == []
        assert [str(warning.message) for warning in recwarn] == []

    def test_the_same_predictions_give_the_same_pictures(self, tree: Path, report: Path, tmp_path: Path) -> None:
        results = load_results(tree)
        assert reconstructions(Context(results, results.experiments[0], tmp_path), "lpips_alex")
        name = "figures/masking-reconstructions.png"
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes()

    def test_a_choice_of_methods_and_seeds(self, tree: Path) -> None:
        chosen = load_results(tree, methods=["ddpm", "palette"], seeds=[1]).experiments[0]
        assert [(run.method, run.seed) for run in chosen.runs] == [("ddpm", 1), ("palette", 1)]
        assert set(chosen.metrics["seed"]) == {1}


class TestFiles:
    """CSV, JSON, Markdown and LaTeX of one table say the same."""

    TABLE = Table(
        "t",
        "A caption of 50 %",
        ["Method", "FD ↓"],
        [[Cell("one — two"), Cell("1.5 ± 0.1", 1.5, lines=("[1, 2]",), mark="best")], [Cell("<a>|b"), Cell("—")]],
        notes=["a_note"],
    )

    def test_csv_has_numbers_and_no_dash_for_nothing(self) -> None:
        assert to_csv(self.TABLE) == "Method,FD ↓\none — two,1.5\n<a>|b,\n"

    def test_markdown(self) -> None:
        assert to_markdown(self.TABLE).splitlines() == [
            "**A caption of 50 %**", "", "| Method | FD ↓ |", "|:--|--:|",
            r"| one — two | **1.5 ± 0.1**<br><sub>\[1, 2\]</sub> |", r"| &lt;a&gt;\|b | — |", "", r"a\_note",
        ]  # fmt: skip

    def test_latex(self) -> None:
        lines = [line.strip() for line in to_latex(self.TABLE).splitlines()]
        assert lines[3:-2] == [
            r"\caption{A caption of 50 \%}", r"\label{tab:t}", r"\begin{tabular}{lr}", r"\toprule",
            r"Method & FD $\downarrow$ \\", r"\midrule",
            r"one --- two & \shortstack[r]{\textbf{1.5 $\pm$ 0.1}\\{\scriptsize {[}1, 2{]}}} \\",
            r"\textless{}a\textgreater{}\textbar{}b & --- \\", r"\bottomrule", r"\end{tabular}",
        ]  # fmt: skip
        assert r"a\_note" in lines[-2]

    def test_every_table_is_written_in_every_format(self, report: Path) -> None:
        names = {suffix: {path.stem for path in report.glob(f"tables/*.{suffix}")} for suffix in ("json", "md", "tex")}
        assert len(names["json"]) == 17 and names["json"] == names["md"] == names["tex"]
        assert names["json"] < {path.stem for path in report.glob("tables/*.csv")}

    @given(st.text(st.sampled_from("ab \\&%$#_{}~^<>|[]±×—≤²\u2212\u00a0") | st.characters(codec="ascii"), max_size=30))
    def test_latex_acts_on_nothing_in_a_text(self, text: str) -> None:
        known = r"\\text\w+\{\}|\\[&%$#_{}]|\{[][]\}|\$(?:\\\w+|-|\^2)\$|~|[^\\&%$#_{}~^]"
        assert re.fullmatch(f"(?:{known})*", latex(text))

    @given(st.lists(st.text(st.sampled_from("ab|\\*_`<>&[] \n"), max_size=8), min_size=1, max_size=4))
    def test_markdown_keeps_its_columns(self, texts: list[str]) -> None:
        made = to_markdown(Table("t", "caption", ["h"] * len(texts), [[Cell(text) for text in texts]]))
        row = [line for line in made.splitlines() if line.startswith("|")][2]
        bars = re.sub(r"\\.", "", row).count("|")
        assert bars == len(texts) + 1 and "<" not in row


def test_predictions_that_are_no_pictures_of_the_cases_are_refused(
    tree: Path, masking: ExperimentResults, tmp_path: Path
) -> None:
    save_arrays(tmp_path / "predictions.npz", {"reconstruct-10/image": np.zeros((30, 32, 32, 3), np.uint8)})
    run = replace(masking.runs_of("palette")[0], folder=tmp_path)
    context = Context(load_results(tree, methods=["palette"], seeds=[0]), replace(masking, runs=[run]), tmp_path)
    with pytest.raises(UserError, match=r"predictions.npz: reconstruct-10/image is .*; run mmbench.stages.predict"):
        reconstructions(context, "lpips_alex")


@given(positions=st.lists(st.floats(-1, 3), min_size=1, max_size=12), gap=st.floats(0.001, 0.6))
def test_labels_keep_their_order_distance_and_limits(positions: Sequence[float], gap: float) -> None:
    placed = np.array(spread(positions, gap, -1.0, 3.0))
    gaps = np.diff(placed[np.argsort(positions, kind="stable")])
    assert placed.min() >= -1 - 1e-9 and placed.max() <= 3 + 1e-9
    assert (gaps >= min(gap, 4 / max(1, len(positions) - 1)) - 1e-9).all()


def test_labels_that_meet_part_evenly() -> None:
    assert spread([0.5, 0.5, 0.9], 0.1, 0, 1) == pytest.approx([0.45, 0.55, 0.9])
    assert spread([1.0, 1.0], 0.1, 0, 1) == pytest.approx([0.9, 1.0])
    assert spread([0.3, 0.2, 0.25], 1.0, 0, 1) == pytest.approx([1.0, 0.0, 0.5])


class TestRatio:
    @pytest.mark.parametrize(
        ("higher", "own", "base", "expected"),
        [(True, 2.0, 1.0, 2.0), (False, 2.0, 1.0, 0.5), (True, 0.0, 1.0, None), (False, 1.0, 0.0, None)],
    )  # fmt: skip
    def test_above_1_is_better(self, higher: bool, own: float, base: float, expected: float | None) -> None:
        entries = {(name, "c"): Entry({0: value}, over_seeds([value]), 1) for name, value in (("a", own), ("b", base))}
        board = Board("m", higher, ["c"], ["a", "b"], {"c": "b"}, entries)
        assert board.ratio("a", "c") == (expected and pytest.approx((expected,) * 3))
        assert board.ratio("nobody", "c") is None

    @pytest.mark.parametrize(("higher", "expected"), [(True, (1.5, 1.25, 2.0)), (False, (2 / 3, 0.5, 0.8))])
    def test_the_interval_is_the_one_that_decides(self, higher: bool, expected: tuple[float, ...]) -> None:
        decided = Retrained((1.0, 1.0), 0.5, 2.0, 0.01)
        paired = PairedDifference(9, 1.0, 0.9, 1.1, 0.001, decided)
        own = Entry({0: 3.0}, over_seeds([3.0]), 1, paired)
        board = Board(
            "m",
            higher,
            ["c"],
            ["a", "b"],
            {"c": "b"},
            {("a", "c"): own, ("b", "c"): Entry({0: 2.0}, over_seeds([2.0]), 2)},
        )
        assert board.ratio("a", "c") == pytest.approx(expected)
        alone = replace(
            board, entries={**board.entries, ("a", "c"): replace(own, difference=replace(paired, retrained=None))}
        )
        narrow = (1.5, 1.45, 1.55) if higher else (2 / 3, 2 / 3.1, 2 / 2.9)
        assert alone.ratio("a", "c") == pytest.approx(narrow)
