"""Quality against compute: what is read off learning curves, and how the page shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import METHODS, Fake, write_results
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from mmbench.errors import UserError
from mmbench.files.store import read_json, write_json
from mmbench.report.draw import figures
from mmbench.report.page import write_report
from mmbench.report.parts.curves import quality_against_compute
from mmbench.report.parts.reach import Reach, compute_to_reach, over_ratios, ratio
from mmbench.report.parts.section import Context, Headline
from mmbench.report.tables.board import make_board
from mmbench.runs.results import ExperimentResults, load_results

pytestmark = pytest.mark.slow

SHARES, FLOPS, QUESTION = (0.25, 0.5), 4.1e13, "Reconstructing, 50\u00a0% masked: LPIPS (AlexNet) ↓"


class TestReach:
    """The compute at which a curve is as good as a target."""

    @pytest.mark.parametrize(
        ("values", "target", "expected"),
        [
            ([0.4, 0.2, 0.1], 0.2, Reach(2.0)),  # at a point
            ([0.4, 0.2, 0.1], 0.3, Reach(math.sqrt(2))),  # half way in value, half way in the logarithm
            ([0.4, 0.2, 0.1], 0.125, Reach(2 * 2**0.75)),
            ([0.4, 0.2, 0.1], 0.1, Reach(4.0)),
            ([0.4, 0.2, 0.1], 0.0999, None),
            ([0.4, 0.2, 0.1], 0.4, Reach(1.0, "≤")),
            ([0.4, 0.2, 0.1], 9.0, Reach(1.0, "≤")),
            ([0.4, 0.1, 0.3], 0.25, Reach(math.sqrt(2))),  # once reached, it stays so
            ([0.4, 0.6, 0.2], 0.3, Reach(2 * math.sqrt(2))),  # from the best so far, not from the worse last point
            ([0.4, 0.4, 0.4], 0.4, Reach(1.0, "≤")),
            ([0.4, 0.4, 0.4], 0.3, None),
        ],
    )
    def test_lower_and_higher_are_mirror_images(self, values: list[float], target: float, expected: Any) -> None:
        for sign in (1, -1):
            found = compute_to_reach([1, 2, 4], [sign * v for v in values], sign * target, higher_is_better=sign < 0)
            assert (found is None) == (expected is None)
            if found:
                assert (found.compute, found.bound) == (pytest.approx(expected.compute), expected.bound)

    @given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(-5, 5), st.floats(0, 5))
    def test_more_quality_never_takes_less(self, values: list[float], target: float, more: float) -> None:
        compute = list(np.geomspace(1, 2 ** (len(values) - 1), len(values)))
        first, second = (compute_to_reach(compute, values, t, higher_is_better=True) for t in (target, target + more))
        assert second is None or (first is not None and first.compute <= second.compute * (1 + 1e-9))
        assert (first is None) == (max(values) < target)

    @pytest.mark.parametrize(
        ("compute", "values", "target"),
        [([], [], 1), ([1, 2], [1], 1), ([2, 1], [1, 2], 1), ([0, 1], [1, 2], 1), ([1, 1], [1, 2], 1),
         ([1, 2], [1, math.nan], 1), ([1, 2], [1, 2], math.inf)],
    )  # fmt: skip
    def test_what_is_no_curve_is_refused(self, compute: list[float], values: list[float], target: float) -> None:
        with pytest.raises(ValueError, match=r"need as many|positive and rising"):
            compute_to_reach(compute, values, target, higher_is_better=True)


class TestRatio:
    def test_a_bound_turns_with_the_side_it_is_on(self) -> None:
        assert ratio(Reach(2), Reach(4)) == Reach(0.5)
        assert ratio(Reach(2, "≤"), Reach(4)) == Reach(0.5, "≤")
        assert ratio(Reach(2), Reach(4, "≤")) == Reach(0.5, "≥")
        assert ratio(Reach(2, "≤"), Reach(4, "≤")) is None

    def test_the_mean_is_geometric_and_its_interval_of_logarithms(self) -> None:
        mean, summary = over_ratios([Reach(0.5), Reach(2.0)])  # type: ignore[misc]
        assert mean == Reach(pytest.approx(1.0))
        half = 12.706 * math.log(2)  # t of one degree of freedom, times log 2 * sqrt(2) / sqrt(2)
        assert (summary.low, summary.high) == (
            pytest.approx(math.exp(-half), rel=1e-3),
            pytest.approx(math.exp(half), 1e-3),
        )

    def test_a_bound_has_no_interval_and_opposite_bounds_no_mean(self) -> None:
        mean, summary = over_ratios([Reach(0.5, "≤"), Reach(2.0)])  # type: ignore[misc]
        assert mean == Reach(pytest.approx(1.0), "≤") and summary.low is None and summary.high is None
        assert over_ratios([Reach(0.5, "≤"), Reach(2.0, "≥")]) is None and over_ratios([]) is None
        assert over_ratios([Reach(0.5)])[1].low is None  # type: ignore[index]


#: LPIPS of the half masked images at a quarter, half and the end of a training, by method and seed.
VALUES = {
    "unet_regression": {0: (0.4, 0.2, 0.10), 1: (0.4, 0.3, 0.12)},  # the best finished baseline: mean 0.11
    "mt_diffusion": {0: (0.3, 0.05, 0.04), 1: (0.2, 0.12, 0.30)},  # faster; one seed gets worse again
    "palette": {0: (0.4, 0.3, 0.10), 1: (0.4, 0.3, 0.20)},  # one seed gets there
    "reconstruction_only": {0: (0.03, 0.2, 0.2), 1: (0.05, 0.2, 0.2)},  # at once
    "unet_regression@per_task": {0: (None, None, 0.09), 1: (None, None, 0.11)},  # a shorter training, at its end
}
FAKES = (
    *(fake for fake in METHODS if fake.name in VALUES),
    Fake("unet_regression@per_task", "U-Net regression [per_task]", 1.0),
    *(fake for fake in METHODS if fake.name == "biharmonic"),
)


def set_value(path: Path, value: float) -> None:
    """Make the value of the question another one."""
    scores = read_json(path)
    for row in scores["metrics"]:
        if (row["name"], row["case"]) == ("lpips_alex", "reconstruct-50"):
            row["value"] = value
    write_json(path, scores)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_results(
        tmp_path_factory.mktemp("results") / "fake", methods=FAKES, seeds=(0, 1), items=8, predictions=False,
        snapshots=SHARES,
    )  # fmt: skip
    for method, seeds in VALUES.items():
        for seed, values in seeds.items():
            run = folder / "masking" / method / f"seed{seed}"
            for part, value in zip((*(f"at{share}" for share in SHARES), "."), values, strict=True):
                if value is not None:
                    set_value(run / part / "metrics.json", value)
    return folder


@pytest.fixture(scope="module")
def report(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables alone: figures are built and not rendered, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_svg", lambda figure: "<svg/>")
        for name in ("get_layout_engine", "savefig"):
            patch.setattr(Figure, name, lambda *_, **__: None)
        return write_report(load_results(tree), tmp_path_factory.mktemp("report")).parent


def cells(report: Path, kind: str) -> dict[str, dict[str, Any]]:
    """The question's column of a table, by the rows' first cells."""
    table = json.loads((report / "tables" / f"masking-reach-{kind}.json").read_text())
    column = table["header"].index(QUESTION)
    return {row[0]["text"]: row[column] for row in table["rows"]}


def headlines(results: ExperimentResults) -> list[Headline]:
    """The question alone."""
    board = make_board(results, "lpips_alex", ["reconstruct-50"])
    return [Headline("Reconstructing, 50\u00a0% masked", board, "reconstruct-50")]


class TestTables:
    def test_what_each_method_needs_for_the_best_finished_baseline(self, report: Path) -> None:
        found = cells(report, "baseline")
        assert (found["Target"]["text"], found["Target"]["lines"]) == ("0.1100", ["finished U-Net regression"])
        own = [0.25 * 2**0.8, 0.5]  # of the share of a training: a fifth of the way from 0.05 back to 0.3; at a half
        mean = math.sqrt(own[0] * own[1])
        cell = found["MT-Diffusion"]
        assert cell["text"] == f"{mean:.2f}×" and cell["value"] == pytest.approx(mean)
        half = 12.7062 * abs(math.log(own[0] / own[1])) / 2
        assert cell["lines"][0] == f"[{mean * math.exp(-half):.2f}, {mean * math.exp(half):.2f}]"
        flops, images, seconds = (np.mean(own) * x for x in (41.0, 38.4, 80.5))
        flops_images, time = cell["more"][0].rsplit(" · ", 1)
        assert flops_images == f"{flops:.3g} TFLOP · {images:.3g} k images"
        assert time == f"{seconds:.0f} s"
        assert found["U-Net regression"]["text"] == "1×"
        assert found["U-Net regression"]["more"] == ["41 TFLOP · 38.4 k images · 1 min 20 s"]
        assert found["Palette-type diffusion"] | {"mark": "", "tone": ""} == {
            "text": "not reached", "value": None, "lines": ["by 1 of 2 seeds", "with 41 TFLOP"], "mark": "", "tone": ""
        }  # fmt: skip
        assert found["Reconstruction only (twin)"]["text"] == "≤ 0.25×"
        assert found["Reconstruction only (twin)"]["more"][0].startswith("≤ 10.2 TFLOP")
        assert found["U-Net regression, 100 % of the steps"]["text"] == "≤ 1.00×"
        assert "Biharmonic inpainting" not in found

    def test_what_each_method_needs_for_the_finished_studied_method(self, report: Path) -> None:
        """Its second seed is better at first than at the end, so the bound is on the side that is divided by."""
        found = cells(report, "studied")
        assert (found["Target"]["text"], found["Target"]["lines"]) == ("0.1700", ["finished MT-Diffusion"])
        assert found["MT-Diffusion"]["text"] == "1×"
        assert found["MT-Diffusion"]["more"][0].startswith("≤ ")
        assert found["Reconstruction only (twin)"]["text"] == "no ratio"
        assert found["U-Net regression"]["text"] == "not reached"
        assert found["U-Net regression"]["lines"] == ["by 1 of 2 seeds", "with 41 TFLOP"]

    def test_a_method_is_compared_where_both_have_a_seed(self, tree: Path, tmp_path: Path) -> None:
        results = load_results(tree, methods=["unet_regression", "mt_diffusion"])
        found = results.experiments[0]
        kept, parts = (
            [run for run in runs if (run.method, run.seed) != ("unet_regression", 1)]
            for runs in (found.runs, found.snapshots)
        )
        one = replace(found, runs=kept, snapshots=parts)
        assert quality_against_compute(Context(results, one, tmp_path), headlines(one))
        cell = cells(tmp_path, "baseline")["MT-Diffusion"]
        assert cell["value"] == pytest.approx(0.25 * 2**0.8)
        assert cell["lines"] == [] and len(cell["more"]) == 1, "an interval of one seed"

    def test_the_curves_have_every_number(self, report: Path) -> None:
        frame = pd.read_csv(report / "tables" / "masking-curves.csv")
        for method, seeds in VALUES.items():
            for seed, values in seeds.items():
                own = frame[(frame["method"] == method) & (frame["seed"] == seed) & (frame["case"] == "reconstruct-50")]
                shares = [s for s, v in zip((*SHARES, 1.0), values, strict=True) if v is not None]
                assert own["share"].tolist() == shares
                assert own["value"].tolist() == [v for v in values if v is not None]
                assert own["flops"].tolist() == pytest.approx([FLOPS * s for s in shares])
                assert own["images"].tolist() == [38_400 * s for s in shares]
        assert set(frame["question"]) == {
            *(f"Reconstructing, {p}\u00a0% masked" for p in (10, 25, 50, 75)),
            "Generating images",
        }


class TestPage:
    def test_without_snapshots_there_is_nothing_of_it(self, tree: Path, tmp_path: Path) -> None:
        results = load_results(tree, snapshots=[])
        context = Context(results, results.experiments[0], tmp_path)
        assert quality_against_compute(context, headlines(context.experiment)) is None
        assert context.written == [] and not list(tmp_path.iterdir())

    def test_a_choice_of_snapshots(self, tree: Path) -> None:
        found = load_results(tree, snapshots=[0.5]).experiments[0].snapshots
        assert {run.share for run in found} == {0.5} and len(found) == 8


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda run: (run / "at0.5").rename(run / "athalf"),
            "athalf: its name has no share of the training; rename it like at0.25",
        ),
        (lambda run: set_flops(run / "at0.5"), "does not rise, so they are not of one training run"),
        (lambda run: set_settings(run / "at0.5"), "at0.5/metrics.json: belongs to another training run than"),
    ],
)
def test_what_is_no_snapshot_of_the_training_is_named(
    tmp_path: Path, change: Callable[[Path], object], says: str
) -> None:
    folder = write_results(tmp_path, methods=METHODS[:1], seeds=(0,), items=4, predictions=False, snapshots=[0.5])
    run = folder / "masking" / "mt_diffusion" / "seed0"
    assert len(load_results(folder).experiments[0].snapshots) == 1
    (run / "at0.5" / "training.json").rename(run / "aside.json")  # as `make reference` leaves it
    assert len(load_results(folder).experiments[0].snapshots) == 1
    (run / "aside.json").rename(run / "at0.5" / "training.json")
    change(run)
    with pytest.raises(UserError, match=says):
        load_results(folder)


def set_flops(folder: Path) -> None:
    """Make the cost that of a longer training."""
    scores = read_json(folder / "metrics.json")
    write_json(folder / "metrics.json", scores | {"cost": scores["cost"] | {"training_flops": 8.2e13}})


def set_settings(folder: Path) -> None:
    """Make the record one of a longer training."""
    record = read_json(folder / "training.json")
    write_json(folder / "training.json", record | {"settings": {"train": {"steps": 1200, "batch_size": 64}}})
