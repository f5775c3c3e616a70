"""The benchmarks of sampling, more tasks, scaling and the workflow's own time run, at sizes that say nothing."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from mmbench.errors import UserError
from mmbench.files.store import read_json
from mmbench.models.diffusion.sampler import SamplerName

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """The benchmark that the test is parametrised with."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module(request.param)


@pytest.mark.parametrize(
    ("benchmark", "file"),
    [
        ("multitask", "multitask-cpu.json"),
        ("overhead", "overhead-cpu.json"),
        ("quality", "quality-cpu.json"),
        ("sampling", "sampling.json"),
        ("scaling", "scaling-cpu.json"),
    ],
    indirect=["benchmark"],
)
def test_the_committed_tables_are_those_of_whole_records(benchmark: ModuleType, file: str) -> None:
    record = read_json(RESULTS / file)
    assert (RESULTS / file).with_suffix(".md").read_text(encoding="utf-8") == benchmark.as_text(record)
    assert record.get("complete", True)


@pytest.mark.parametrize("benchmark", ["sampling"], indirect=True)
def test_what_is_required_is_in_the_records(benchmark: ModuleType) -> None:
    """Of more tasks, few evaluations, and the workflow's own time; of speed beside others: benchmarks/README.md."""
    for run in read_json(RESULTS / "multitask-cpu.json")["runs"]:
        assert run["methods"]["4 modalities"]["ratio"]["cpu"]["median"] <= 1.25
    sampling = read_json(RESULTS / "sampling.json")
    for metric in (benchmark.FD, benchmark.LPIPS):
        found = {(p["nfe"], p["sampler"]): [] for p in sampling["points"]}
        for point in sampling["points"]:
            found[point["nfe"], point["sampler"]].append(point[metric])
        best = min(statistics.mean(values) for (nfe, _), values in found.items() if nfe == 250)
        assert min(statistics.mean(values) for (nfe, _), values in found.items() if nfe <= 20) <= 1.05 * best
    overhead = read_json(RESULTS / "overhead-cpu.json")
    assert overhead["run"]["any"] >= 0.9 * overhead["run"]["wall"]
    assert overhead["plan"][-1]["jobs"] >= 1000 and overhead["plan"][-1]["cpu"] < 5


def written(benchmark: ModuleType, out: Path, *words: str) -> dict:
    """What a benchmark writes, once the text beside it is known to be made of it."""
    benchmark.main([*words, "--out", str(out)])
    record = read_json(out)
    assert out.with_suffix(".md").read_text(encoding="utf-8").strip() == benchmark.as_text(record).strip()
    return record


@pytest.mark.parametrize("benchmark", ["sampling"], indirect=True)
def test_every_sampler_is_measured_on_the_same_noise(
    benchmark: ModuleType, lpips_weights: Path, tmp_path: Path
) -> None:
    words = ["--weights", str(lpips_weights), "--work", str(tmp_path / "work"), "--profile", "smoke", "--steps", "1"]
    few = ["--nfe", "1", "2", "--seeds", "2", "--drawn", "12", "--filled", "4"]
    record = written(benchmark, tmp_path / "sampling.json", *words, *few)
    points = {(p["sampler"], p["nfe"], p["seed"]): p for p in record["points"]}
    assert points.keys() == {(s, n, i) for s in get_args(SamplerName) for n in (1, 2) for i in (0, 1)}
    for metric in (benchmark.FD, benchmark.LPIPS):
        one = {points[sampler, 1, 0][metric] for sampler in get_args(SamplerName)}
        assert len(one) == 1  # one evaluation is the estimate of z_0, whichever the sampler
        assert points["ddim", 2, 0][metric] != points["ddim", 2, 1][metric]
    with pytest.raises(UserError, match="--training and --data belong together"):
        benchmark.main([*words, "--training", str(tmp_path)])


@pytest.mark.parametrize("benchmark", ["multitask"], indirect=True)
def test_more_tasks_are_measured_beside_one(benchmark: ModuleType, tmp_path: Path) -> None:
    few = ["--profiles", "smoke", "--modalities", "4", "--batch-size", "4", "--rounds", "1"]
    (run,) = written(benchmark, tmp_path / "multitask.json", *few)["runs"]
    single, four = run["methods"].values()
    assert single["ratio"]["cpu"]["median"] == 1 and four["flops_ratio"] > 1
    assert four["parameters"] > single["parameters"] and four["seconds"]["cpu"]["median"] > 0


@pytest.mark.parametrize("benchmark", ["scaling"], indirect=True)
def test_a_step_is_measured_along_an_axis(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "AXES", {"side": [16, 32], "items": [8, 16]})
    few = ["--axes", "side", "items", "--batch-size", "4", "--rounds", "1", "--steps", "1"]
    sides, items = written(benchmark, tmp_path / "scaling.json", *few)["runs"]
    assert [m["flops_ratio"] for m in items["methods"].values()] == [1, 1]
    assert 3 < sides["methods"]["side 32"]["flops_ratio"] < 4.1


def finished_run(folder: Path, began: float) -> None:
    """What Snakemake leaves of a run of 100 s in which two jobs ran, one of them with two outputs."""
    log = folder / ".snakemake" / "log" / "2026-01-02T030405.000000.snakemake.log"
    log.parent.mkdir(parents=True)
    log.write_text("  Command: /x/bin/snakemake --cores 2\nProvided cores: 2\n...\nElapsed time: 0:01:40.500000\n")
    (folder / ".snakemake" / "metadata" / "nested").mkdir(parents=True)
    for name, rule, begin, end in (
        ("nested/a", "train", 10, 60),
        ("b", "train", 11, 61),
        ("c", "evaluate", 40, 90),
        ("d", "train", -50, -20),  # of an earlier run
    ):
        record = {"rule": rule, "log": [rule], "starttime": began + begin, "endtime": began + end}
        (folder / ".snakemake" / "metadata" / name).write_text(json.dumps(record))


@pytest.mark.parametrize("benchmark", ["overhead"], indirect=True)
def test_what_a_finished_run_spent_outside_of_its_jobs(benchmark: ModuleType, tmp_path: Path) -> None:
    finished_run(tmp_path, began=datetime(2026, 1, 2, 3, 4, 5).timestamp())
    run = benchmark.read_run(tmp_path)
    assert (run["jobs"], run["cores"], run["wall"], run["command"]) == (2, 2, 100.5, "snakemake --cores 2")
    assert (run["planning"], run["any"], run["sum"]) == pytest.approx((10, 80, 101))
    assert run["rules"] == {"train": {"jobs": 1, "seconds": 51}, "evaluate": {"jobs": 1, "seconds": 50}}
    unfinished = tmp_path / ".snakemake" / "log" / "2026-02-02T030405.000000.snakemake.log"
    unfinished.write_text("Provided cores: 2\n")
    assert benchmark.read_run(tmp_path) == run
    with pytest.raises(UserError, match="no finished run of Snakemake"):
        benchmark.read_run(tmp_path / "elsewhere")


@pytest.mark.parametrize("benchmark", ["overhead"], indirect=True)
def test_jobs_are_planned_and_stages_started(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "STAGES", ("manifest",))
    record = written(benchmark, tmp_path / "overhead.json", "--jobs", "50")
    one, two = record["plan"]
    assert one["jobs"] < 50 <= two["jobs"] < 2 * one["jobs"] and two["cpu"] > 0 and two["peak_bytes"] > 1e7
    assert [stage["stage"] for stage in record["startup"]] == ["manifest"]
    with pytest.raises(UserError, match="exit"):
        benchmark.measured([sys.executable, "-c", "raise SystemExit('exit')"])


@pytest.mark.parametrize("benchmark", ["startup"], indirect=True)
def test_stages_start_in_turns(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"train", "predict", "evaluate", "tune", "reference", "embed", "judge"} <= set(benchmark.STAGES)
    monkeypatch.setattr(benchmark, "STAGES", ["manifest"])
    out = tmp_path / "startup.json"
    benchmark.main(["--rounds", "1", "--out", str(out)])
    record = read_json(out)
    assert capsys.readouterr().out.strip() == out.with_suffix(".md").read_text().strip()
    assert 0 < record["ratio"]["manifest"] < 1 < record["seconds"]["torch"] / record["seconds"]["manifest"]
