"""The report: what it shows is what was measured, it needs nothing but itself, and broken results are named."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import METHODS, SHARES, Fake, write_results
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

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
from mmbench.report.tables.table import Cell, Table, latex, to_csv, to_markdown
from mmbench.runs.results import ExperimentResults, load_results
from mmbench.scoring.statistics import PairedDifference, Retrained, over_seeds

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


@dataclass
class Shown:
    """A cell as the page shows it."""

    text: str = ""
    lines: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    mark: str = ""
    tone: str = ""


class Page(HTMLParser):
    """A page's tags, visible text, tables by their id, and what is wrong with its nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.sources: dict[str, str] = {"style": "", "script": ""}
        self.tables: dict[str, list[list[Shown]]] = {}
        self.open: list[tuple[str, dict[str, str]]] = []
        self.wrong: list[str] = []
        self.rows: list[list[Shown]] | None = None
        self.feed(text)
        self.wrong += [tag for tag, _ in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        self.tags.append((tag, own))
        if tag not in VOID:
            self.open.append((tag, own))
        if tag == "table":
            self.rows = self.tables.setdefault(own.get("id", "").removeprefix("table-"), [])
        elif tag == "tr" and self.rows is not None:
            self.rows.append([])
        elif tag in ("td", "th") and self.rows is not None:
            self.rows[-1].append(Shown(tone=" ".join(set(own.get("class", "").split()) - {"left", "long"})))
        elif (classes := own.get("class", "").split()) and classes[0] == "sub" and self.rows:
            cell = self.rows[-1][-1]
            (cell.more if "more" in classes else cell.lines).append("")
        elif tag in ("strong", "u") and self.rows is not None:
            self.rows[-1][-1].mark = {"strong": "best", "u": "second"}[tag]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop()[0] != tag:
            self.wrong.append(f"/{tag} at line {self.getpos()[0]}")
        if tag == "table":
            self.rows = None

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self.open]
        if inside and inside[-1] in self.sources:
            self.sources[inside[-1]] += data
            return
        self.words.append(data)
        classes = [own.get("class", "") for _, own in self.open]
        if self.rows and self.rows[-1] and {"td", "th"} & set(inside) and "hidden" not in classes:
            cell = self.rows[-1][-1]
            if sub := next((name.split() for name in classes if name.split()[:1] == ["sub"]), None):
                (cell.more if "more" in sub else cell.lines)[-1] += data
            else:
                cell.text += data.strip("\n")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


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


def t_interval(metric: str, values: list[float]) -> tuple[float, float]:
    """The t-interval of the mean; of SSIM, which lies between -1 and 1, by the logit of its place between them."""
    mean, half = np.mean(values), stats.t.isf(0.025, len(values) - 1) * stats.sem(values)
    if metric != "ssim":
        return mean - half, mean + half
    low, high = (np.tanh(np.arctanh(mean) + sign * half / (1 - mean**2)) for sign in (-1, 1))
    return low, high


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


def flip_p(x: np.ndarray) -> float:
    """Two-sided sign-flip p-value."""
    signs = np.random.default_rng(1).choice([-1, 1], (4999, len(x)))
    return float((1 + np.sum(np.abs(np.mean(signs * x, axis=1)) >= abs(x.mean()))) / 5000)


def adjusted(p: dict[Any, float]) -> dict[Any, float]:
    """Holm's adjustment."""
    order = sorted(p, key=lambda key: p[key])
    steps = [p[key] * (len(p) - i) for i, key in enumerate(order)]
    return {key: min(1.0, max(steps[: n + 1])) for n, key in enumerate(order)}


def margins(x: np.ndarray, level: float) -> list[float]:
    """Student's margins of the mean of differences (seeds, images) over seeds and over images."""
    return [stats.t.isf((1 - level) / 2, m.size - 1) * stats.sem(m) for m in (x.mean(axis=1), x.mean(axis=0))]


def lone_board(entry: Entry, higher: bool) -> Board:
    """A board of one method beside the best baseline."""
    return Board("any", higher, ["a"], ["m", "b"], {"a": "b"}, {("m", "a"): entry})


@pytest.mark.parametrize("metric", DECIMALS)
class TestValues:
    """Every number of every table, recomputed from the files of the results."""

    def test_mean_deviation_interval_and_seeds(self, tree: Path, report: Path, metric: str) -> None:
        rows = table(report, TABLES[metric])["by_title"]
        assert rows.keys() == set(TITLES.values())
        for column, case in enumerate(CASES):
            for method, values in measured(tree, metric, case).items():
                cell, form = rows[TITLES[method]][column], f"{{:.{DECIMALS[metric]}f}}".format
                low, high = t_interval(metric, values)
                assert cell["value"] == pytest.approx(np.mean(values))
                assert cell["text"] == f"{form(np.mean(values))} ± {form(np.std(values, ddof=1))}"
                ends = f"[{form(low)}, {form(high)}]".replace("-", "\u2212")
                assert (cell["lines"], cell["more"]) == ([], [ends, " · ".join(map(form, values))])

    def test_best_and_second_best_are_marked(self, tree: Path, report: Path, metric: str) -> None:
        rows = table(report, TABLES[metric])["by_title"]
        for column, case in enumerate(CASES):
            order = ranking(tree, metric, case)
            marks = {title: row[column]["mark"] for title, row in rows.items() if row[column]["mark"]}
            assert marks == {TITLES[order[0]]: "best", TITLES[order[1]]: "second"}

    def test_who_does_not_do_the_task_has_a_dash(self, report: Path, metric: str) -> None:
        stored = table(report, TABLES[metric])
        assert [(cell["text"], cell["value"]) for cell in stored["by_title"]["DDPM"]] == [("—", None)] * 4
        assert "—: the method does not answer this task." in stored["notes"]

    def test_the_summary_has_the_same(self, tree: Path, summary: pd.DataFrame, metric: str) -> None:
        for case in CASES:
            by_method, order = measured(tree, metric, case), ranking(tree, metric, case)
            for method, values in by_method.items():
                row = summary.loc[metric, case, method]
                low, high = t_interval(metric, values)
                expected = (3, np.mean(values), np.std(values, ddof=1), low, high, order.index(method) + 1)
                assert tuple(row[["seeds", "mean", "sd", "t_low", "t_high", "rank"]]) == pytest.approx(expected)
                assert [row["seed0"], row["seed1"], row["seed2"]] == values
                assert row["best_baseline"] == best_baseline(tree, metric, case)


class TestDifferences:
    """Paired differences, recomputed from items.csv."""

    @pytest.mark.parametrize("metric", ["lpips_alex", "psnr_hole"])
    def test_difference_interval_p_and_reading(self, tree: Path, summary: pd.DataFrame, metric: str) -> None:
        differences: dict[tuple[str, str], np.ndarray] = {}
        for case in CASES:
            values, best = per_image(tree, metric, case), best_baseline(tree, metric, case)
            differences |= {(case, m): values[m] - values[best] for m in values if m != best}
        p = {key: flip_p(x.mean(axis=0)) for key, x in differences.items()}
        holm = adjusted(p)
        readings: Counter[str] = Counter()
        for (case, method), x in differences.items():
            row, mean = summary.loc[metric, case, method], x.mean()
            ends = stats.bootstrap(
                (x.mean(axis=0),), np.mean, n_resamples=4999, method="BCa", rng=1
            ).confidence_interval
            assert row["difference"] == pytest.approx(mean)
            assert (row["bca_low"], row["bca_high"]) == pytest.approx(tuple(ends), abs=0.1 * (ends.high - ends.low))
            assert row["p"] == pytest.approx(p[case, method], abs=0.02)
            assert row["p_holm"] == pytest.approx(holm[case, method], abs=0.1)
            low, high = row["retrained_low"], row["retrained_high"]
            seeds, images = margins(x, 0.95)[0], (mean - row["bca_low"], row["bca_high"] - mean)
            assert (mean - low, high - mean) == pytest.approx([np.hypot(seeds, margin) for margin in images])
            assert np.hypot(*margins(x, 1 - row["retrained_p"])) == pytest.approx(abs(mean), rel=1e-6)
            word = "better" if (mean > 0) == (metric in HIGHER) else "worse"
            here = (ends.low > 0 or ends.high < 0) and row["p_holm"] <= 0.05
            clear = (low > 0 or high < 0) and row["retrained_p_holm"] <= 0.05
            assert row["reading_of_these"] == (word if here else "unclear"), (case, method)
            assert row["reading"] == (word if clear else "unclear"), (case, method)
            readings[row["reading"], row["reading_of_these"]] += 1
        both = adjusted({(c, m): summary.loc[metric, c, m]["retrained_p"] for c, m in differences})
        assert {key: summary.loc[metric, *key]["retrained_p_holm"] for key in both} == pytest.approx(both)
        # or the methods were made up too much alike
        assert {("better", "better"), ("worse", "worse"), ("unclear", "unclear"), ("unclear", "worse")} <= set(readings)

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

    def test_in_the_middle_of_the_page_it_is_said_in_words(self, page: Page) -> None:
        """The made-up multitask model is the worse up to 50 % and the better at 75 %; its variant is best before."""
        assert (
            "On LPIPS (AlexNet), MT-Diffusion is better than the best baseline at 75 % masked, and worse than the "
            "best baseline at 10 %, 25 % and 50 % masked. Best mean of all: MT-Diffusion, ω = 0 at 10 %, 25 % and "
            "50 % masked; MT-Diffusion at 75 % masked."
        ) in page.text
        tones = [own["class"] for tag, own in page.tags if tag == "p" and own.get("class", "").startswith("tone ")]
        assert tones == ["tone worse"] * 3 + ["tone better"]

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
        assert ("html", {"lang": "en"}) in page.tags

    def test_tags_are_closed(self, page: Page) -> None:
        assert page.wrong == []

    def test_a_drawn_or_shown_number_is_never_missing_by_accident(self, page: Page) -> None:
        assert not re.search(r"\b(nan|NaN|None|inf|Undefined)\b", page.text)

    def test_it_shows_what_the_tables_hold(self, page: Page, report: Path) -> None:
        names = [path.stem for path in (report / "tables").glob("*.json")]
        assert len(names) == 2 * 5 + 7
        for name in names:
            stored = json.loads((report / "tables" / f"{name}.json").read_text())
            header, *rows = page.tables[name]
            assert [cell.text for cell in header] == stored["header"]
            assert len(rows) == len(stored["rows"])
            for shown, own in zip(rows, stored["rows"], strict=True):
                assert (shown[0].text, shown[0].lines) == (own[0]["text"], own[0]["lines"])
                assert [(c.text, c.lines, c.more, c.mark, c.tone) for c in shown[1:]] == [
                    (c["text"], c["lines"], c.get("more", []), c["mark"], c["tone"]) for c in own[1:]
                ]

    def test_claims_have_verdicts_in_words_and_colour(self, page: Page, one_seed: Page, report: Path) -> None:
        rows = {row[0].text: row for row in page.tables["claims"][1:]}
        stored = table(report, "claims")["by_title"]
        assert rows.keys() == stored.keys() and len(rows) == 3
        for name, row in rows.items():
            verdict = stored[name][3]
            assert (row[4].text, row[4].tone) == (verdict["text"], verdict["tone"])
        assert {(row[4].text, row[4].tone) for row in rows.values()} == {
            ("not reproduced", "worse"),
            ("contested", "unclear"),
        }
        assert (report / "tables" / "claims-trials.csv").is_file()
        assert "Of 14 claims," in page.text and "None of the 14 claims is tested" in one_seed.text
        assert "claims" not in one_seed.tables and "Not tested here: reconstruction" in one_seed.text

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

    def test_a_run_without_scores_is_named(self, page: Page) -> None:
        assert "Not scored, so not shown: unfinished/seed0." in page.text

    def test_pictures_are_enlarged_as_the_page_says(self, page: Page) -> None:
        assert "Enlarged without smoothing; 4 times in figures/masking-reconstructions.png" in page.text


class TestLittle:
    """Less than everything is shown as such."""

    def test_one_seed_has_no_deviation(self, little: Path, one_seed: Page) -> None:
        assert "One training seed (0): no standard deviation and no interval over training runs." in one_seed.text
        assert "±" not in one_seed.text
        cell = table(little / "report", "masking-lpips-alex")["by_title"]["MT-Diffusion"][0]
        assert (cell["text"], cell["lines"]) == (f"{cell['value']:.4f}", [])
        frame = pd.read_csv(little / "report" / "tables" / "masking-summary.csv")
        assert frame[["sd", "t_low", "t_high"]].isna().all(axis=None) and frame["mean"].notna().all()

    def test_without_predictions_there_are_no_pictures_of_them(self, one_seed: Page) -> None:
        assert not any(a.get("src", "").startswith("data:image/png") for tag, a in one_seed.tags if tag == "img")
        assert "The predictions were not kept beside the scores, so there are no images to show." in one_seed.text

    def test_without_a_reference_nothing_is_said_of_a_floor(self, little: Path, one_seed: Page) -> None:
        assert list(table(little / "report", "masking-generation")["by_title"]) == ["MT-Diffusion"]
        assert "floor" not in one_seed.text

    def test_a_lone_method_is_compared_with_nothing(self, little: Path, one_seed: Page) -> None:
        assert "MT-Diffusion is not compared image by image with a baseline" in one_seed.text
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


#: What LaTeX would act on, and how it is written instead.
ESCAPES = {
    r"\textbackslash{}": "\\", r"\&": "&", r"\%": "%", r"\$": "$", r"\#": "#", r"\_": "_", r"\{": "{", r"\}": "}",
    r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<", r"\textgreater{}": ">",
    r"\textbar{}": "|", "{[}": "[", "{]}": "]", r"$\pm$": "±", "$-$": "\u2212", r"$\times$": "×", "---": "—",
    r"$\leq$": "≤", r"$\uparrow$": "↑", r"$\downarrow$": "↓", "$^2$": "²", "~": "\u00a0",
}  # fmt: skip
ESCAPED = re.compile("|".join(re.escape(code) for code in ESCAPES))


def plain(tex: str) -> str:
    """The text that LaTeX would set."""
    return ESCAPED.sub(lambda found: ESCAPES[found[0]], tex)


def tex_cell(tex: str) -> tuple[str, list[str], str]:
    """Text, smaller lines and mark of a cell in LaTeX."""
    lines: list[str] = []
    if stack := re.fullmatch(r"\\shortstack\[r\]\{(.*?)((?:\\\\\{\\scriptsize .*?\})+)\}", tex):
        tex, lines = stack[1], [plain(line) for line in re.findall(r"\\scriptsize (.*?)\}(?=\\\\|$)", stack[2])]
    mark = ""
    if marked := re.fullmatch(r"\\(textbf|underline)\{(.*)\}", tex):
        mark, tex = {"textbf": "best", "underline": "second"}[marked[1]], marked[2]
    return plain(tex), lines, mark


def spaced(text: str) -> str:
    """Text with plain spaces for those that do not break."""
    return " ".join(text.split())


def md_cell(text: str) -> tuple[str, list[str], str]:
    """Text, smaller lines and mark of a cell in Markdown."""
    first, *rest = text.strip().split("<br>")
    mark = "best" if first.startswith("**") else "second" if first.startswith("<u>") else ""
    first = {"best": first[2:-2], "second": first[3:-4]}.get(mark, first)
    return md_plain(first), [md_plain(re.fullmatch(r"<sub>(.*)</sub>", line)[1]) for line in rest], mark  # type: ignore[index]


def md_plain(text: str) -> str:
    text = re.sub(r"\\([\\|*_`\[\]])", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class TestFiles:
    """CSV, JSON, Markdown and LaTeX of one table say the same."""

    def test_the_files_of_a_table_agree(self, report: Path) -> None:
        stems = sorted((report / "tables").glob("*.json"))
        assert len(stems) == 17
        for path in stems:
            stored = json.loads(path.read_text())
            cells = [
                [(spaced(c["text"]), [*map(spaced, c["lines"])], c["mark"]) for c in row] for row in stored["rows"]
            ]
            with path.with_suffix(".csv").open(newline="") as stream:
                header, *rows = csv.reader(stream)
            assert header == stored["header"]
            for row, own in zip(rows, stored["rows"], strict=True):
                for text, cell in zip(row, own, strict=True):
                    if cell["value"] is None:
                        assert text == cell["text"].removeprefix("—")
                    else:
                        assert float(text) == cell["value"]
            lines = [line for line in path.with_suffix(".md").read_text().splitlines() if line.startswith("|")]
            split = [[part for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
            assert [md_plain(part.strip()) for part in split[0]] == [" ".join(h.split()) for h in header]
            assert [[md_cell(part) for part in row] for row in split[2:]] == cells
            tex = path.with_suffix(".tex").read_text()
            assert plain(re.search(r"\\caption\{(.*)\}\n", tex)[1]) == stored["caption"]  # type: ignore[index]
            body = re.search(r"\\midrule\n(.*)\\bottomrule", tex, re.DOTALL)[1]  # type: ignore[index]
            found = [[tex_cell(part) for part in row.strip().split(" & ")] for row in body.split(" \\\\\n")[:-1]]
            assert [[(spaced(t), [*map(spaced, s)], m) for t, s, m in row] for row in found] == [
                [(t, list(s), m) for t, s, m in row] for row in cells
            ]

    @given(st.text(st.sampled_from("ab \\&%$#_{}~^<>|[]±×—≤²\u2212\u00a0") | st.characters(codec="ascii"), max_size=30))
    def test_latex_acts_on_nothing_in_a_text(self, text: str) -> None:
        assert re.fullmatch(rf"(?:{ESCAPED.pattern}|[^\\&%$#_{{}}~^])*", latex(text))

    @given(st.lists(st.text(st.sampled_from("ab|\\*_`<>&[] \n"), max_size=8), min_size=1, max_size=4))
    def test_markdown_keeps_its_columns(self, texts: list[str]) -> None:
        made = to_markdown(Table("t", "caption", ["h"] * len(texts), [[Cell(text) for text in texts]]))
        row = [line for line in made.splitlines() if line.startswith("|")][2]
        bars = re.sub(r"\\.", "", row).count("|")
        assert bars == len(texts) + 1 and "<" not in row

    def test_a_dash_within_words_stays_in_csv(self) -> None:
        assert to_csv(Table("t", "c", ["a", "b"], [[Cell("one — two"), Cell("—")]])) == "a,b\none — two,\n"


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """How to spoil a JSON file below the results."""

    def spoil(root: Path) -> None:
        content = json.loads((root / name).read_text())
        (root / name).write_text(json.dumps(change(content)))

    return spoil


def write(name: str, content: Any) -> Callable[[Path], None]:
    """How to put another JSON file below the results."""
    return lambda root: write_json(root / name, content)


def append(name: str, text: str) -> Callable[[Path], None]:
    """How to spoil a text file below the results."""
    return lambda root: (root / name).write_text((root / name).read_text() + text)  # type: ignore[return-value]


def first_metric(**values: Any) -> Callable[[Any], Any]:
    return lambda d: {**d, "metrics": [{**d["metrics"][0], **values}, *d["metrics"][1:]]}


def without(key: str) -> Callable[[Any], Any]:
    """Cases without a key."""
    return lambda d: {"cases": [{k: v for k, v in case.items() if k != key} for case in d["cases"]]}


SCORES, ITEM_FILE, QUESTIONS = (
    "masking/palette/seed0/metrics.json",
    "masking/palette/seed0/items.csv",
    "masking/cases.json",
)
TRAINING, PREDICTED = (f"masking/palette/seed0/{name}.json" for name in ("training", "predictions"))
REAL = "masking/reference.json"
AGAIN = "run mmbench.stages.evaluate again"
BREAKS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "scores cut short": (append(SCORES, "}"), SCORES, "not a JSON file .*; delete it and rerun"),
    "scores a list": (edit(SCORES, lambda d: [d]), SCORES, "holds no keys .*; delete it and rerun"),
    "no title": (edit(SCORES, lambda d: {k: d[k] for k in d if k != "title"}), SCORES, f"title: missing; .*{AGAIN}"),
    "a seed in words": (edit(SCORES, lambda d: {**d, "seed": "one"}), SCORES, f"seed: got 'one'; .*{AGAIN}"),
    "no case": (
        edit(SCORES, lambda d: {**d, "metrics": [{"name": "fd"}]}),
        SCORES,
        "metrics.fd.case: missing; .*again",
    ),
    "a value that is not finite": (
        edit(SCORES, first_metric(value=float("nan"))),
        SCORES,
        r"metrics.lpips_alex.value: got nan; .*finite.*again",
    ),
    "a value in words": (
        edit(SCORES, first_metric(value="low")),
        SCORES,
        f"metrics.lpips_alex.value: got 'low'; .*number; .*{AGAIN}",
    ),
    "a cost in words": (
        edit(SCORES, lambda d: {**d, "cost": {"parameters": "?"}}),
        SCORES,
        "cost.parameters: got '[?]'; .*again",
    ),
    "a curve without steps": (write(TRAINING, {"curve": [{"loss": 1.0}]}), TRAINING, "curve.0.step: missing; .*again"),
    "an answer's cost in words": (
        write(PREDICTED, {"cases": {"generate": {"nfe": "many"}}}),
        PREDICTED,
        "cases.generate.nfe: got 'many'; .*mmbench.stages.predict again",
    ),
    "a reference without its split": (
        write(REAL, {"extractors": {"a": {"weights_sha256": "b"}}}),
        REAL,
        "split: missing; .*mmbench.stages.reference again",
    ),
    "items without a column": (
        lambda root: (root / ITEM_FILE).write_text("case,item,value\nx,1,2\n"),
        ITEM_FILE,
        f"has no column 'metric'; {AGAIN}",
    ),
    "items empty": (lambda root: (root / ITEM_FILE).write_text(""), ITEM_FILE, "not a readable table .*again"),
    "an item without a value": (append(ITEM_FILE, "x,1,ssim,\n"), ITEM_FILE, r"line \d+ has 'nan' for a number.*again"),
    "an item twice": (
        append(ITEM_FILE, "reconstruct-10,0,ssim,0.5\n"),
        ITEM_FILE,
        r"line 162 is a second ssim of item 0 of reconstruct-10; .*again",
    ),
    "a seed twice": (
        lambda root: shutil.copytree(root / "masking/palette/seed0", root / "masking/palette/seed1"),
        "masking/palette/seed1/metrics.json",
        "says the method and seed of .*seed0; remove one",
    ),
    "no cases": (edit(QUESTIONS, lambda d: {"experiment": "masking"}), QUESTIONS, "cases: missing; .*cases again"),
    "a case without a count": (edit(QUESTIONS, without("count")), QUESTIONS, "cases.reconstruct-10.count: missing; .*"),
    "a case without its share": (edit(QUESTIONS, without("share")), QUESTIONS, "cases.reconstruct-10.share: missing"),
    "no card": (lambda root: (root / "data/card.json").unlink(), "data/card.json", "no such file; run the stage"),
    "a card without a size": (
        edit("data/card.json", lambda d: {k: d[k] for k in d if k != "size"}),
        "data/card.json",
        "size: missing; .*again",
    ),
    "nothing scored": (
        lambda root: [p.unlink() for p in root.glob("masking/*/*/metrics.json")],
        "masking",
        "no .*metrics.json to report; run `snakemake --cores all masking` first",
    ),
    "nothing at all": (lambda root: (root / QUESTIONS).unlink(), "", "holds no experiment .*; run `snakemake"),
}


@pytest.mark.parametrize(("spoil", "name", "says"), BREAKS.values(), ids=BREAKS)
def test_the_command_names_what_is_broken_and_the_remedy(
    little: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, spoil: Callable[[Path], object], name: str, says: str
) -> None:
    shutil.copytree(little / "results", tmp_path / "fake")
    spoil(tmp_path / "fake")
    flags = ["--results", str(tmp_path / "fake"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["report", *flags])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("mmbench.stages.report", run_name="__main__")
    printed = capsys.readouterr()
    assert re.fullmatch(rf"error: {re.escape(str(tmp_path / 'fake' / name))}: .*{says}.*\n", printed.err)
    assert caught.value.code == 1 and printed.out == "" and not (tmp_path / "out").exists()


def test_a_failing_command_has_one_line_and_a_status(little: Path, tmp_path: Path) -> None:
    """As a shell sees it."""
    shutil.copytree(little / "results", tmp_path / "fake")
    (tmp_path / "fake" / SCORES).write_text('{"method": ')
    command = [
        sys.executable,
        "-m",
        "mmbench.stages.report",
        "--results",
        str(tmp_path / "fake"),
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: .*/palette/seed0/metrics.json: not a JSON file .*\n", done.stderr)


@pytest.mark.parametrize(
    "array", [np.zeros((30, 32, 32, 3), np.uint8), np.zeros((2, 3, 32, 32), np.uint8), np.zeros((30, 3, 32, 32))]
)
def test_predictions_that_are_no_pictures_of_the_cases_are_refused(
    tree: Path, masking: ExperimentResults, tmp_path: Path, array: np.ndarray
) -> None:
    save_arrays(tmp_path / "predictions.npz", {"reconstruct-10/image": array})
    run = replace(masking.runs_of("palette")[0], folder=tmp_path)
    context = Context(load_results(tree, methods=["palette"], seeds=[0]), replace(masking, runs=[run]), tmp_path)
    with pytest.raises(
        UserError, match=r"predictions.npz: reconstruct-10/image is .*; run mmbench.stages.predict again"
    ):
        reconstructions(context, "lpips_alex")


@given(positions=st.lists(st.floats(-1, 3), min_size=1, max_size=12), gap=st.floats(0.001, 0.6))
def test_labels_keep_their_order_distance_and_limits(positions: Sequence[float], gap: float) -> None:
    placed = np.array(spread(positions, gap, -1.0, 3.0))
    gaps = np.diff(placed[np.argsort(positions, kind="stable")])
    assert placed.min() >= -1 - 1e-9 and placed.max() <= 3 + 1e-9
    assert (gaps >= min(gap, 4 / max(1, len(positions) - 1)) - 1e-9).all()


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.01, 0.1), st.randoms(use_true_random=False))
def test_labels_that_are_apart_are_not_moved(steps: list[float], gap: float, random: Any) -> None:
    positions = list(np.cumsum([gap + step for step in steps]))
    random.shuffle(positions)
    np.testing.assert_allclose(spread(positions, gap, 0.0, 10.0), positions, atol=1e-9)


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
