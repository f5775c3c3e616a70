"""Two runs side by side: which values are farther apart than allowed, and what only one of them has."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_data import NETWORK, TRAIN, coarse_images, write_splits
from fake_results import METHODS, write_results

from mmbench.cli.app import main
from mmbench.errors import UserError
from mmbench.files.store import read_json, write_json
from mmbench.runs.compare import EXACT, TOLERANCES, Key, Tolerance, Value, kind, pair_up, read_tolerances, read_values
from mmbench.stages import evaluate, predict, reference, train
from mmbench.stages.cases import write_cases

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REFERENCE = sorted((ROOT / "results" / "reference").glob("*/manifest.json"))
RUNS = [path.parent for path in REFERENCE if len(read_json(path)["seeds"]) > 1]
DDPM = "masking/ddpm/seed0/metrics.json"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal runs."""
    methods = [method for method in METHODS if method.name in ("mt_diffusion", "ddpm")]
    return tuple(write_results(tmp_path / name, methods=methods, seeds=(0, 1), items=4) for name in "ab")  # type: ignore[return-value]


def says(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """The exit status of the comparison, and what it printed."""
    try:
        main(["compare", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().out
    return 0, capsys.readouterr().out


def change(path: Path, metric: str, by: float | None) -> None:
    """Add to a metric's value, or take the value away."""
    record = read_json(path)
    row = next(row for row in record["metrics"] if kind(row["name"]) == metric)
    row["value"] = None if by is None else row["value"] + by
    write_json(path, record)


def test_equal_runs_are_equal(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    status, out = says(capsys, *runs, "--exact")
    count = len(read_values(runs[0]))
    assert status == 0 and out.splitlines()[-1] == (
        f"ok: {count} values in both, {count} equal, 0 outside the tolerances, 0 only in A, 0 only in B"
    )


@pytest.mark.parametrize(("share", "outside"), [(0.9, False), (1.1, True)])
def test_a_value_is_outside_if_it_is_farther_than_its_metric_may(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], share: float, outside: bool
) -> None:
    values = read_values(runs[0])
    key = next(key for key in values if key.method == "ddpm" and key.seed == 0 and kind(key.metric) == "fd")
    value = values[key].value or 0.0
    allowed = read_tolerances(TOLERANCES)["fd"].allowed(value, value, values[key].n)
    change(runs[1] / DDPM, "fd", -share * allowed)
    status, out = says(capsys, *runs)
    row = next(line for line in out.splitlines() if line.startswith("fd["))
    assert status == int(outside)
    assert row.split()[1:4] == ["4", "3", str(int(outside))] and "masking/ddpm seed 0 generate: " in row
    assert out.splitlines()[-1].startswith("FAILED: " if outside else "ok: ")
    assert says(capsys, *runs, "--exact")[0] == 1


def test_what_only_one_run_has_is_named_and_no_failure(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (runs[1] / DDPM).unlink()
    status, out = says(capsys, *runs)
    assert status == 0 and "only in A: masking/ddpm seed 0 (4 values)" in out.splitlines()
    assert ", 4 only in A, 0 only in B" in out


def test_a_value_that_one_run_could_not_measure_is_outside(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    change(runs[1] / DDPM, "kd", None)
    status, out = says(capsys, *runs)
    assert status == 1 and re.search(r"^kd\[.* inf .* and none$", out, flags=re.MULTILINE)
    change(runs[0] / DDPM, "kd", None)
    assert says(capsys, *runs)[0] == 0


def test_other_questions_data_and_code_are_noted(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    cases, card = read_json(runs[1] / "masking/cases.json"), read_json(runs[1] / "data/card.json")
    cases["cases"][0]["sha256"] = card["splits"]["test"]["sha256"] = "00" * 32
    write_json(runs[1] / "masking/cases.json", cases)
    write_json(runs[1] / "data/card.json", card)
    for run, sha in zip(runs, ("a" * 40, "b" * 40), strict=True):
        record = read_json(run / DDPM)
        write_json(run / DDPM, record | {"provenance": {"git_sha": sha, "packages": {"torch": "2"}}})
    status, out = says(capsys, *runs)
    assert status == 0
    assert "note: cases: masking has other cases of the name reconstruct-10" in out
    assert "note: data: data has other items in test" in out
    assert f"note: git_sha: A {'a' * 40} | B {'b' * 40}" in out and "note: packages" not in out


def test_runs_that_cannot_be_compared_are_one_line(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no scores"):
        main(["compare", str(runs[0]), str(tmp_path / "nothing")])
    (runs[1] / "masking").rename(runs[1] / "other")
    with pytest.raises(UserError, match="have no value in common"):
        main(["compare", *map(str, runs)])


def test_the_larger_of_the_bounds_holds() -> None:
    tolerance = Tolerance(absolute=0.1, relative=0.05, items=2, reason="why")
    assert tolerance.allowed(1.0, 0.0, 1000) == 0.1
    assert tolerance.allowed(-4.0, 1.0, 1000) == pytest.approx(0.2)
    assert tolerance.allowed(1.0, 1.0, 10) == pytest.approx(0.2)
    assert EXACT.allowed(1.0, 1.0, 10) == 0
    key = Key("e", "m", 0, "c", "own[x]")
    pairs = [pair_up({key: Value(1.0, 9)}, {key: Value(1.2, 9)}, {"default": EXACT, name: tolerance}) for name in
             ("own", "other")]  # fmt: skip
    assert [pair[0].outside for pair in pairs] == [False, True]


def test_every_metric_of_the_reference_runs_has_a_tolerance_of_its_own() -> None:
    own = read_tolerances(TOLERANCES)
    assert {kind(key.metric) for run in RUNS for key in read_values(run)} <= own.keys()


def spreads(run: Path) -> Iterator[tuple[str, float, float]]:
    """Kind, and how far the values of the seeds of a trained method lie apart: absolutely, and of the largest."""
    values: dict[Key, list[float]] = {}
    for key, value in read_values(run).items():
        if key.method not in ("mean_fill", "biharmonic") and value.value is not None:
            values.setdefault(key._replace(seed=0), []).append(value.value)
    for key, found in values.items():
        apart, largest = max(found) - min(found), max(map(abs, found))
        yield kind(key.metric), apart, apart / largest if largest else 0.0


def test_tolerances_are_half_of_what_lies_between_training_seeds() -> None:
    """What config/tolerances.yaml says of its bounds, and gives as their reason."""
    own, found = read_tolerances(TOLERANCES), [row for run in RUNS for row in spreads(run)]
    for name in own.keys() - {"default"}:
        absolute, relative = (statistics.median(row[i] for row in found if row[0] == name) for i in (1, 2))
        bound, apart = (own[name].relative, relative) if own[name].relative else (own[name].absolute, absolute)
        assert 0.4 * apart < bound < 0.6 * apart, name
        said = re.search(r"seeds lie ([0-9.]+)( %)?", own[name].reason)
        assert said and float(said[1]) / (100 if said[2] else 1) == pytest.approx(apart, rel=0.05), name


# The same seed on the same machine

STAGES = """
import json, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_compare import whole_run
whole_run(Path(sys.argv[1]), Path(sys.argv[3]))
"""
SETTINGS = {
    "experiment": "masking",
    "method": "mt_diffusion",
    "method_settings": {"weights": {"image": 0.5, "masked_image": 0.1}},
    "network": NETWORK,
    "train": {**TRAIN, "steps": 5, "batch_size": 4, "checkpoint_every": 3, "flip": True},
    "sample": {"sampler": "dpm++", "nfe": 3, "batch_size": 5},
    "data": {},
    "shares": [0.5],
    "evaluate": {"reconstructions": 4, "samples": 12, "reference": "test"},
}


def whole_run(folder: Path, weights: Path) -> None:
    """Everything from the data to the scores, by the commands of the stages, on the CPU."""
    splits = {split: {"image": coarse_images(n, n)} for split, n in (("train", 16), ("test", 14))}
    write_splits(folder / "data", splits, size=[32, 32])
    write_json(folder / "settings.json", SETTINGS)
    cases, out = folder / "masking", folder / "masking" / "mt_diffusion" / "seed3"
    write_cases(SETTINGS, folder / "data", cases)
    common = ["--settings", folder / "settings.json", "--data", folder / "data", "--device", "cpu"]
    own = ["--method", ROOT / "mmbench/models/mt_diffusion.py", "--seed", 3, "--out", out]
    scored = ["--weights", weights, "--cases", cases, "--reference", cases / "reference.npz", "--predictions", out]
    calls = [
        (reference, [*common, "--weights", weights, "--out", cases]),
        (train, [*common, *own, "--state", out / "state"]),
        (predict, [*common, *own, "--weights", out / "weights.safetensors", "--cases", cases]),
        (evaluate, [*common, *scored, "--method", "mt_diffusion", "--seed", 3, "--out", out]),
    ]
    for stage, arguments in calls:
        stage.main([*map(str, arguments)])


def test_the_same_seed_on_the_same_machine_gives_the_same_bits(
    tmp_path: Path, lpips_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In two processes: nothing depends on what ran before, on addresses or on the order of sets."""
    first, second = tmp_path / "first", tmp_path / "second"
    whole_run(first, lpips_weights)
    arguments = [sys.executable, "-c", STAGES, str(second), str(Path(__file__).parent), str(lpips_weights)]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    own = "masking/mt_diffusion/seed3"
    for name in ("weights.safetensors", "predictions.npz", "items.csv"):
        assert (first / own / name).read_bytes() == (second / own / name).read_bytes(), name
    scores = [json.dumps(read_json(folder / own / "metrics.json")["metrics"]) for folder in (first, second)]
    assert scores[0] == scores[1]
    capsys.readouterr()
    status, out = says(capsys, first, second, "--exact")
    assert status == 0 and "note: " not in out
