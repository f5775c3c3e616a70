"""The benchmarks run, at a size that says nothing; their committed figures are of what they measure."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from mmbench.files.store import read_json
from mmbench.frozen.features import EXTRACTOR

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "results" / "evaluation-cpu.json"


COVERED = ROOT / "benchmarks" / "results" / "intervals.json"


@pytest.fixture
def evaluation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import evaluation  # noqa: PLC0415

    return evaluation


def test_every_step_of_every_experiment_is_timed(
    evaluation: ModuleType, lpips_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--weights",
        str(lpips_weights),
        "--images",
        "3",
        "--whole",
        "400",
        "--compare",
        "--out",
        str(tmp_path / "times.json"),
    ]
    evaluation.main(["--items", "60", *options])
    record, measured = read_json(tmp_path / "times.json"), read_json(MEASURED)
    assert capsys.readouterr().out.startswith((tmp_path / "times.md").read_text().splitlines()[0])
    for name, experiment in record["experiments"].items():
        assert experiment["steps"].keys() >= measured["experiments"][name]["steps"].keys()
        spent = [seconds["wall"] for seconds in experiment["steps"].values()]
        assert min(spent) >= 0 and sum(spent) == pytest.approx(experiment["total"]["wall"])
    assert [entry["network"] for entry in record["networks"]] == [EXTRACTOR, "lpips-alex", "lpips-vgg"]
    first, again = (record["whole"][name] for name in ("without a cache", "with it"))
    assert record["whole"]["images"] == 400 and first["cpu"] > again["cpu"] > 0 and again["peak_bytes"] > 1e8
    values = {entry["metric"]: entry["values"].values() for entry in record["torch_fidelity"]}
    ours, theirs = values.pop("fd")
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    ours, theirs = values.pop("kd")
    assert ours == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-4)
    ours, theirs = values.pop("precision, recall")
    assert ours[:2] == pytest.approx([theirs["precision"], theirs["recall"]], abs=1e-4) and not values


def test_the_committed_figures_are_of_ten_thousand_images_and_one_core_needs_less_than_a_minute(
    evaluation: ModuleType,
) -> None:
    record = read_json(MEASURED)
    assert MEASURED.with_suffix(".md").read_text(encoding="utf-8") == evaluation.as_text(record)
    assert (record["items"], record["threads"], set(record["experiments"])) == (10_000, 1, set(evaluation.EXPERIMENTS))
    assert all(experiment["total"]["cpu"] < 60 for experiment in record["experiments"].values())
    assert record["whole"]["images"] >= 9_999
    for used in (record["whole"][name] for name in ("without a cache", "with it")):
        assert used["cpu"] < 60 and used["peak_bytes"] < 2 << 30


@pytest.fixture
def intervals(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import intervals  # noqa: PLC0415

    return intervals


def test_coverage_is_simulated_and_written(
    intervals: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    intervals.main(["--runs", "2", "--images", "20", "--out", str(tmp_path / "intervals.json")])
    record, simulated = read_json(tmp_path / "intervals.json"), read_json(COVERED)
    assert capsys.readouterr().out.strip() == (tmp_path / "intervals.md").read_text(encoding="utf-8").strip()
    for part in ("intervals", "families"):
        assert [set(line) for line in record[part]] == [set(line) for line in simulated[part]]


def test_the_interval_that_decides_is_wrong_no_more_often_than_it_says(intervals: ModuleType) -> None:
    record = read_json(COVERED)
    assert COVERED.with_suffix(".md").read_text(encoding="utf-8") == intervals.as_text(record)
    independent = [line for line in record["intervals"] if line["images"] != "neighbours"]
    assert len(independent) == 2 * 3 * 5 and record["runs"] == 1000
    assert max(line["wrong"]["images and trainings"] for line in independent) <= 0.05 + 0.014
    assert max(line["wrong"]["images and trainings"] for line in record["families"]) <= 0.05
    half = [line["wrong"]["images"] for line in independent if line["share"] == 0.5]
    assert min(half) > 0.14  # what it is for


def test_what_is_simulated_is_what_it_says(intervals: ModuleType) -> None:
    """Values of an image have variance 1, and the mean of a comparison has the variance of its parts."""
    rng = intervals.np.random.default_rng(0)
    for draw in (intervals.normal, intervals.skewed, intervals.neighbours):
        values = draw(rng, 40_000)
        assert abs(values.mean()) < 0.03 and values.var() == pytest.approx(1, abs=0.05)
    assert intervals.np.corrcoef(values[1:], values[:-1])[0, 1] == pytest.approx(0.5, abs=0.02)
    for share in (0.0, 0.5, 1.0):
        means = [intervals.draw(rng, 3, 50, share, "normal").mean() for _ in range(2000)]
        expected = 1 + (1 - share) * intervals.REST**2 / 3
        assert intervals.np.var(means) == pytest.approx(expected, rel=0.12)
