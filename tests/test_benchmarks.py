"""The benchmark of scoring runs, at a size that says nothing of time; its committed figures are of what it times."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from mmbench.features import EXTRACTOR
from mmbench.files import read_json

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "results" / "evaluation-cpu.json"


@pytest.fixture
def evaluation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import evaluation  # noqa: PLC0415

    return evaluation


def test_every_step_of_every_experiment_is_timed(
    evaluation: ModuleType, lpips_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--weights", str(lpips_weights), "--images", "3", "--compare", "--out", str(tmp_path / "times.json")]
    evaluation.main(["--items", "60", *options])
    record, measured = read_json(tmp_path / "times.json"), read_json(MEASURED)
    assert capsys.readouterr().out.startswith((tmp_path / "times.md").read_text().splitlines()[0])
    for name, experiment in record["experiments"].items():
        assert experiment["steps"].keys() == measured["experiments"][name]["steps"].keys()
        spent = [seconds["wall"] for seconds in experiment["steps"].values()]
        assert min(spent) >= 0 and sum(spent) == pytest.approx(experiment["total"]["wall"])
    assert [entry["network"] for entry in record["networks"]] == [EXTRACTOR, "lpips-alex", "lpips-vgg"]
    for entry in record["torch_fidelity"]:
        ours, theirs = entry["values"].values()
        assert entry["metric"] in ("fd", "kd", "precision, recall") and min(theirs.values()) >= 0
        assert entry["metric"] != "kd" or ours == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-4)


def test_the_committed_figures_are_of_ten_thousand_images_and_one_core_needs_less_than_a_minute(
    evaluation: ModuleType,
) -> None:
    record = read_json(MEASURED)
    assert MEASURED.with_suffix(".md").read_text(encoding="utf-8") == evaluation.as_text(record)
    assert (record["items"], record["threads"], set(record["experiments"])) == (10_000, 1, set(evaluation.EXPERIMENTS))
    assert all(experiment["total"]["cpu"] < 60 for experiment in record["experiments"].values())
