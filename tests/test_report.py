"""The report: what it shows is what was measured, it needs nothing but itself, and broken results are named."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_results import METHODS, SHARES, item_values, write_results
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmbench.errors import UserError
from mmbench.report.board import Board, make_board
from mmbench.report.figures import spread
from mmbench.report.load import ExperimentResults, load_results
from mmbench.report.page import write_report
from mmbench.report.tables import Cell, Table, to_latex, to_markdown

ROOT = Path(__file__).parents[1]
ITEMS = 30
NASTY = "<script>alert(1)</script> & 50 % | _x_"


class Page(HTMLParser):
    """The tags of a page and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of made-up methods with three seeds; one method's title is hostile, one run was never scored."""
    methods = [replace(m, title=NASTY) if m.name == "mean_fill" else m for m in METHODS]
    folder = write_results(tmp_path_factory.mktemp("results") / "fake", methods=methods, items=ITEMS)
    (folder / "masking" / "unfinished" / "seed0").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def report(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report of those results."""
    return write_report(load_results(tree), tmp_path_factory.mktemp("report"), "snakemake --cores all").parent


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page((report / "index.html").read_text())


@pytest.fixture(scope="module")
def masking(tree: Path) -> ExperimentResults:
    return load_results(tree).experiments[0]


@pytest.fixture(scope="module")
def board(masking: ExperimentResults) -> Board:
    return make_board(masking, "lpips_alex", [f"reconstruct-{round(100 * share)}" for share in SHARES])


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report of two methods with one seed, whose predictions were not kept, and with `results`."""
    out = tmp_path_factory.mktemp("little")
    methods = [m for m in METHODS if m.name in ("mt_diffusion", "palette")]
    write_results(out / "results", methods=methods, seeds=(0,), items=8, predictions=False)
    return write_report(load_results(out / "results"), out / "report").parent


@pytest.fixture(scope="module")
def one_seed(little: Path) -> Page:
    return Page((little / "index.html").read_text())


def values(method: str, seed: int, case: str, metric: str) -> np.ndarray:
    """Per-image values of a made-up method, as the results were written from."""
    fake = next(m for m in METHODS if m.name == method)
    return item_values(fake, seed, ITEMS)[case, metric]


class TestNumbers:
    """Recomputed from what the results were written from."""

    def test_mean_deviation_and_interval_over_seeds(self, board: Board) -> None:
        means = [values("palette", seed, "reconstruct-50", "lpips_alex").mean() for seed in range(3)]
        summary = board.entries["palette", "reconstruct-50"].summary
        assert (summary.mean, summary.sd) == pytest.approx((np.mean(means), np.std(means, ddof=1)))
        low, high = stats.t.interval(0.95, 2, loc=np.mean(means), scale=stats.sem(means))
        assert (summary.low, summary.high) == pytest.approx((low, high))

    def test_ranks_and_best_baseline(self, board: Board) -> None:
        for case in board.cases:
            mean = {
                m.name: np.mean([values(m.name, s, case, "lpips_alex") for s in range(3)])
                for m in METHODS
                if "reconstruct" in m.tasks
            }
            order = sorted(mean, key=lambda m: mean[m])
            assert [board.entries[m, case].rank for m in order] == list(range(1, len(order) + 1))
            assert board.best_baseline[case] == next(m for m in order if not m.startswith("mt_diffusion"))

    def test_paired_difference_is_that_of_the_seed_averages(self, board: Board) -> None:
        case, best = "reconstruct-75", board.best_baseline["reconstruct-75"]
        mine, other = (np.mean([values(m, s, case, "lpips_alex") for s in range(3)], axis=0) for m in ("palette", best))
        found = board.entries["palette", case].difference
        assert found is not None and found.low is not None and found.high is not None
        assert found.difference == pytest.approx((mine - other).mean())
        assert found.low < found.difference < found.high

    @pytest.mark.parametrize("metric", ["lpips_alex", "psnr_hole"])
    def test_better_means_better_in_the_direction_of_the_metric(self, masking: ExperimentResults, metric: str) -> None:
        """The made-up multitask model is the worse at 10 % and the best at 75 %, the mean fill always far behind."""
        board = make_board(masking, metric, ["reconstruct-10", "reconstruct-75"])
        readings = {
            (m, c): board.reading(m, f"reconstruct-{c}") for m in ("mt_diffusion", "mean_fill") for c in (10, 75)
        }
        assert readings == {
            ("mt_diffusion", 10): "worse",
            ("mt_diffusion", 75): "better",
            ("mean_fill", 10): "worse",
            ("mean_fill", 75): "worse",
        }
        assert board.reading(board.best_baseline["reconstruct-10"], "reconstruct-10") == ""

    def test_the_long_table_has_every_number(self, report: Path, masking: ExperimentResults) -> None:
        table = pd.read_csv(report / "tables" / "masking-long.csv")
        keys = ["method", "seed", "case", "metric"]
        merged = table.merge(masking.metrics[[*keys, "value"]], on=keys, suffixes=("", "_measured"))
        assert len(merged) == len(table) == len(masking.metrics)
        np.testing.assert_array_equal(merged["value"], merged["value_measured"])

    def test_what_the_page_shows_is_what_the_table_holds(self, page: Page, board: Board) -> None:
        for (_, _), entry in board.entries.items():
            assert f"{entry.summary.mean:.4f} ± {entry.summary.sd:.4f}" in page.text

    def test_generation_is_beside_its_floor_and_has_no_interval_over_images(self, report: Path) -> None:
        rows = list(csv.reader((report / "tables" / "masking-generation.csv").open()))
        assert float(rows[-1][1]) == 4.6 and "floor" in rows[-1][0]
        assert "never bootstrapped" in (report / "tables" / "masking-generation.md").read_text()


class TestPage:
    """One file that a browser needs nothing else for."""

    def test_it_loads_nothing(self, page: Page) -> None:
        loaded = [v for tag, a in page.tags if tag != "a" for n, v in a.items() if n in ("src", "href", "srcset")]
        assert len(loaded) > 10
        assert [link[:60] for link in loaded if not link.startswith(("data:", "#"))] == []

    def test_anchors_are_unique_and_lead_somewhere(self, page: Page, report: Path) -> None:
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert [i for i, n in Counter(ids).items() if n > 1] == []
        links = [a["href"] for tag, a in page.tags if tag == "a"]
        assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []
        files = [link for link in links if not link.startswith(("#", "https://", "data:"))]
        assert len(files) > 20
        assert [link for link in files if not (report / link).is_file()] == []

    def test_every_picture_says_what_it_shows(self, page: Page) -> None:
        pictures = [a for tag, a in page.tags if tag == "img"]
        assert len(pictures) > 20
        assert [a for a in pictures if "alt" not in a] == []

    def test_a_hostile_title_is_text(self, page: Page, report: Path) -> None:
        assert not any("alert" in a.get("src", "") for _, a in page.tags)
        assert "<script>alert" not in (report / "index.html").read_text()
        assert NASTY in page.text

    def test_a_run_without_scores_is_named(self, page: Page) -> None:
        assert "unfinished/seed0" in page.text

    def test_variants_are_no_baselines(self, board: Board) -> None:
        assert "mt_diffusion@zero" in board.methods
        assert not any(m.startswith("mt_diffusion") for m in board.best_baseline.values())


class TestLittle:
    """Less than everything is shown as such."""

    def test_one_seed_has_no_deviation(self, one_seed: Page) -> None:
        assert "One training seed (0): no standard deviation" in one_seed.text
        assert " ± " not in one_seed.text

    def test_without_predictions_there_are_no_pictures_of_them(self, one_seed: Page) -> None:
        assert not any(a.get("src", "").startswith("data:image/png") for tag, a in one_seed.tags if tag == "img")
        assert "The predictions were not kept beside the scores" in one_seed.text

    def test_the_same_results_give_the_same_bytes(self, little: Path, tmp_path: Path) -> None:
        write_report(load_results(little.parent / "results"), tmp_path)
        names = sorted(p.relative_to(little) for p in little.rglob("*") if p.is_file())
        assert names == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
        assert [n for n in names if (little / n).read_bytes() != (tmp_path / n).read_bytes()] == []

    def test_a_lone_method_is_compared_with_nothing(self, tree: Path, tmp_path: Path, recwarn) -> None:
        path = write_report(load_results(tree, methods=["palette"], seeds=[0]), tmp_path)
        assert not list((path.parent / "figures").glob("*-ratios.*"))
        assert [str(warning.message) for warning in recwarn] == []

    def test_a_choice_of_methods_and_seeds(self, tree: Path) -> None:
        chosen = load_results(tree, methods=["ddpm", "palette"], seeds=[1]).experiments[0]
        assert [(run.method, run.seed) for run in chosen.runs] == [("ddpm", 1), ("palette", 1)]
        assert set(chosen.metrics["seed"]) == {1}


TABLE = Table(
    "numbers",
    "A caption with 100 % & more.",
    ["Method", "10 % | masked"],
    [[Cell(NASTY), Cell("0.1000 ± 0.01", 0.1, ["[0.09, 0.11]"], "best")], [Cell("b"), Cell("0.2", 0.2)]],
)


def test_latex_is_escaped() -> None:
    text = to_latex(TABLE)
    assert r"\& 50 \% \textbar{} \_x\_" in text and r"\textbf{0.1000 $\pm$ 0.01" in text
    assert re.search(r"(?<!\\)[%_]", text.replace("\\begin", "")) is None or "\\label" in text


def test_markdown_keeps_its_columns() -> None:
    rows = [line for line in to_markdown(TABLE).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert "<script>" not in to_markdown(TABLE)


@pytest.mark.parametrize("name", ["masking-lpips-alex", "masking-generation", "masking-cost"])
def test_the_files_of_a_table_agree(report: Path, name: str) -> None:
    path = report / "tables" / name
    rows = list(csv.reader(path.with_suffix(".csv").open()))
    stored = json.loads(path.with_suffix(".json").read_text())
    lines = [line for line in path.with_suffix(".md").read_text().splitlines() if line.startswith("|")]
    tex = path.with_suffix(".tex").read_text()
    assert len(rows) == len(stored["rows"]) + 1 == len(lines) - 1
    assert tex.count(r"\\") >= len(rows)
    assert len(rows[0]) == len(stored["header"])


BREAKS: list[tuple[str, Callable[[Path], object], str]] = [
    ("not JSON", lambda run: (run / "metrics.json").write_text("{"), "metrics.json: not a JSON file"),
    ("no metrics", lambda run: (run / "metrics.json").write_text('{"method": "a"}'), "has no key 'title'"),
    (
        "a metric without a value",
        lambda run: (run / "metrics.json").write_text(
            '{"method": "a", "title": "A", "seed": 0, "metrics": [{"name": "fd"}]}'
        ),
        "metric 'fd' has no key",
    ),
    ("no column", lambda run: (run / "items.csv").write_text("case,item\nx,1\n"), "items.csv: has no column 'metric'"),
]


@pytest.mark.parametrize(("spoil", "says"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS])
def test_broken_results_are_named(tree: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str) -> None:
    copy = tmp_path / "fake"
    shutil.copytree(tree, copy)
    spoil(copy / "masking" / "palette" / "seed0")
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        load_results(copy)
    assert "palette" in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_fails_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmbench.report", "--results", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and done.stdout == ""
    assert re.fullmatch(r"error: .*holds no experiment.*run `snakemake --cores all` first\n", done.stderr)
    assert not (tmp_path / "out").exists()


@given(positions=st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=12), gap=st.floats(0.001, 0.3))
def test_labels_keep_their_order_distance_and_limits(positions: list[float], gap: float) -> None:
    placed = np.array(spread(positions, gap, 0.0, 1.0))
    order = np.argsort(positions, kind="stable")
    gaps = np.diff(placed[order])
    assert placed.min() >= -1e-9 and placed.max() <= 1 + 1e-9
    assert (gaps >= min(gap, 1 / max(1, len(positions) - 1)) - 1e-9).all()
    if len(positions) == 1 or np.diff(np.sort(positions)).min() >= gap:
        np.testing.assert_allclose(placed, positions, atol=1e-9)
