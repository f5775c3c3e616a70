"""The guides: what they add works when it is added, what they quote is printed, what they draw is drawn."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import yaml
from documents import (
    BLOCKS,
    COMMANDS,
    ROOT,
    Block,
    apply_diff,
    call,
    commands,
    copy_checkout,
    prose,
)
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image
from snakemake.cli import get_argument_parser
from tiny_model import write_model
from torch import Tensor, nn

from mmbench.cli import run as run_command
from mmbench.config.configuration import Config
from mmbench.config.discovery import find_in
from mmbench.files.store import load_arrays, read_json, write_json
from mmbench.frozen.features import Extractor, load_extractor
from mmbench.frozen.user_files import run_file
from tools import figures

pytestmark = pytest.mark.slow

REFERENCE = ROOT / "results/reference/camvid-masking"
#: Runs modules of the checkout that it is started in, so of the copy's `mmbench` and not of the one under test.
STAGES = """
import json, runpy, sys
for words in json.load(sys.stdin):
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__")
"""


def of_document(name: str, language: str) -> list[Block]:
    return [block for block in BLOCKS if block.document == f"docs/{name}.md" and block.language == language]


# What is added works


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, lpips_weights: Path) -> Path:
    """A copy of the checkout with the files and the changes that the guides show, in which every stage was run on them.

    One process runs them all, as each would spend seconds on importing PyTorch.
    """
    folder = tmp_path_factory.mktemp("extended")
    copy_checkout(folder)
    for block in (block for block in BLOCKS if block.language == "diff"):
        apply_diff(block, folder)
    settings = next(json.loads(b.text) for b in of_document("results", "json") if "train" in json.loads(b.text))
    settings["data"] |= {"train": 40, "validation": 8, "test": 24}
    settings["evaluate"] |= {"reconstructions": 6, "samples": 16}
    weights = ["--weights", str(lpips_weights)]
    stages(
        folder,
        ["mmbench.stages.data", "--settings", written(folder, "data", settings), "--out", "results/data"],
        *asked(folder, settings, "masking", weights),
        *baseline(folder, settings, "masking", "mean_fill", weights),
        *asked(folder, settings, "thumbnail", weights),
        *baseline(folder, settings, "thumbnail", "regression", weights),
        *baseline(folder, settings, "thumbnail", "mt_diffusion", weights),
        ["mmbench.stages.report", "--results", "results", "--out", "results"],
        ["pytest", "-q", "-p", "no:cacheprovider", "tests/test_metrics_edges.py"],
    )
    return folder


def written(folder: Path, name: str, settings: dict) -> str:
    """The name of a file of settings."""
    write_json(folder / f"{name}.json", settings)
    return f"{name}.json"


def asked(folder: Path, settings: dict, experiment: str, weights: list[str]) -> list[list[str]]:
    """The stages before any method."""
    own = written(folder, experiment, settings | {"experiment": experiment})
    common = ["--settings", own, "--data", "results/data", "--out", f"results/{experiment}"]
    return [["mmbench.stages.cases", *common], ["mmbench.stages.reference", *common, *weights]]


def baseline(folder: Path, settings: dict, experiment: str, name: str, weights: list[str]) -> list[list[str]]:
    """The stages of one method, with the settings of its experiment's configuration."""
    configured = yaml.safe_load((folder / f"config/experiments/{experiment}.yaml").read_text())["methods"]
    settings = settings | {"experiment": experiment, "method": name, "method_settings": configured.get(name, {})}
    file = "mmbench/models/mt_diffusion.py" if name == "mt_diffusion" else f"baselines/{experiment}/{name}.py"
    cases, out = f"results/{experiment}", f"results/{experiment}/{name}/seed0"
    own = written(folder, f"{experiment}-{name}", settings)
    common = f"--settings {own} --data results/data --seed 0 --out {out}".split()
    given = f"--cases {cases} --reference {cases}/reference.npz --predictions {out} --method {name} --title {name}"
    return [
        ["mmbench.stages.train", *common, "--method", file, "--state", f"{out}/state"],
        ["mmbench.stages.predict", *common, *f"--method {file} --weights {out}/weights.safetensors".split(),
         "--cases", cases],
        ["mmbench.stages.evaluate", *common, *weights, *given.split()],
    ]  # fmt: skip


def stages(folder: Path, *words: list[str]) -> None:
    """Run modules in a copy of the checkout, in one process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STAGES],
        cwd=folder, env=environment, input=json.dumps(words), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def scores(folder: Path, experiment: str, method: str) -> dict[tuple[str, str], float]:
    """Values of a method by case and metric."""
    rows = read_json(folder / f"results/{experiment}/{method}/seed0/metrics.json")["metrics"]
    return {(row["case"], row["name"]): row["value"] for row in rows}


def test_the_metric_is_scored_and_in_the_tables(extended: Path) -> None:
    answers = load_arrays(extended / "results/masking/mean_fill/seed0/predictions.npz")
    scored = {case for case, name in scores(extended, "masking", "mean_fill") if name == "edges_hole"}
    assert scored == {key.split("/")[0] for key in answers}
    assert "Edge error" in (extended / "results/tables/masking-edges-hole.md").read_text()


def test_the_modality_runs_through_every_stage(extended: Path) -> None:
    assert scores(extended, "thumbnail", "regression").keys() == {("shrink", "thumbnail_error")}
    found = scores(extended, "thumbnail", "mt_diffusion")
    assert {case for case, name in found if name == "thumbnail_error"} == {"shrink", "enlarge", "generate"}
    truth = load_arrays(extended / "results/thumbnail/cases.npz")["shrink/truth/thumbnail"]
    image = load_arrays(extended / "results/thumbnail/cases.npz")["shrink/given/image"] / 127.5 - 1
    np.testing.assert_allclose(
        truth.reshape(-1, 3, 4, 4), image.reshape(-1, 3, 4, 8, 4, 8).mean(axis=(3, 5)), atol=1e-5
    )
    answer = load_arrays(extended / "results/thumbnail/mt_diffusion/seed0/predictions.npz")["shrink/thumbnail"]
    assert answer.shape == truth.shape == (6, 48)
    assert found["shrink", "thumbnail_error"] == pytest.approx(np.abs(answer - truth).mean(), rel=1e-4)
    assert "Enlarging thumbnails" in (extended / "results/index.html").read_text()


def test_only_the_kinds_decide_by_a_kind() -> None:
    """A new kind is one file: nothing else asks of which kind a modality is."""
    decides = re.compile(r"(?<!dtype)\.kind (==|!=|in|not in) ")
    files = [path for folder in ("mmbench", "baselines") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in files if path.parent.name != "modalities" and decides.search(path.read_text())]


# Commands


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    copy_checkout(folder)
    return folder


def test_a_new_baseline_is_written_and_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    made = {tuple(words) for words in COMMANDS if "new-baseline" in words}
    for words in made:
        assert f"baselines/{words[4]}/{words[5]}.py" in call(list(words))
        assert words[5] in find_in(copy, words[4])
    assert made


@pytest.mark.parametrize(
    "words", sorted({tuple(words[3:]) for words in COMMANDS if words[2:4] == ["mmbench", "run"]} - {("run", "maskin")}),
    ids=" ".join,
)  # fmt: skip
def test_a_run_is_one_that_snakemake_takes(words: tuple[str, ...], copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    started: list[list[str]] = []
    monkeypatch.setattr(run_command.os, "execve", lambda _program, argv, _environment: started.append(list(argv)))
    call(["python", "-m", "mmbench", *words])
    (argv,) = started
    arguments = get_argument_parser().parse_args([w for w in argv[3:] if w not in ("--logger", "mmbench")])
    given = dict(word.split("=", 1) for word in argv if re.match(r"[a-z_]+=", word))
    values = yaml.safe_load((copy / "config/config.yaml").read_text())
    configured = Config(values | {key: yaml.safe_load(value) for key, value in given.items()}, copy)
    assert set(arguments.targets or []) <= {*configured.experiments, "all", "ablation"}


def test_the_ten_minutes_run_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads results and asks a model, with a reference run and a small model where the page says they are."""
    run = tmp_path / "results/smoke"
    run.mkdir(parents=True)
    for name in ("data", "masking"):
        (run / name).mkdir()
        for entry in (REFERENCE / name).iterdir():
            if entry.name != "mt_diffusion":
                (run / name / entry.name).symlink_to(entry)
    write_model(run / "masking/mt_diffusion/seed0", "image", "masked_image", experiment="masking", weights={})
    monkeypatch.chdir(tmp_path)
    shown = [words for block in of_document("start", "bash") for words in commands(block)]
    for words in shown:
        if words[3] == "results":
            assert "LPIPS (AlexNet)" in call(words)
    for words in shown:
        if words[3] == "sample":
            assert "4 x image" in call(words)
    assert len(list(Path("drawn").glob("image-*.png"))) == 4


# What is quoted is printed


def test_the_numbers_of_the_reading_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its programs print is what it says, to the last digit."""
    monkeypatch.chdir(ROOT)
    space: dict = {}
    programs, outputs = of_document("reading", "python"), of_document("reading", "text")
    assert len(programs) == len(outputs) == 2
    for program, output in zip(programs, outputs, strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program.text, program.document, "exec"), space)
        assert [line.split() for line in printed.getvalue().splitlines()] == [
            line.split() for line in output.text.splitlines()
        ]


def test_errors_of_the_faq_with_a_command_are_printed_by_it(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs/faq.md").read_text()
    pairs = re.findall(r"```bash\n(.*?)\n```\n\n```text\nerror: (.*?)\n```", text, flags=re.DOTALL)
    assert len(pairs) == len(of_document("faq", "bash")) > 2
    for command, said in pairs:
        ((*words,),) = commands(Block("", 0, "bash", command))
        with pytest.raises(AssertionError, match=r"1|2"):
            call(words)
        assert capsys.readouterr().err == f"error: {said}\n"


# What is drawn is drawn


def test_the_figures_are_what_the_code_draws(tmp_path: Path) -> None:
    figures.draw(tmp_path)
    assert {path.name for path in figures.FOLDER.iterdir()} == set(figures.FIGURES)
    for name in figures.FIGURES:
        if name.endswith(".png"):
            ours, kept = (np.asarray(Image.open(folder / name), np.int16) for folder in (tmp_path, figures.FOLDER))
            assert ours.shape == kept.shape and np.abs(ours - kept).mean() < 0.5
            continue
        ours, kept = (re.split(r"(-?\d+\.\d+)", (folder / name).read_text()) for folder in (tmp_path, figures.FOLDER))
        assert ours[::2] == kept[::2], name
        np.testing.assert_allclose([*map(float, ours[1::2])], [*map(float, kept[1::2])], atol=0.01)


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks/explore.ipynb", nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "clear its outputs"
    manager = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=str(tmp_path / "kernel.json"))
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    NotebookClient(notebook, km=manager, timeout=60, resources=where).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in data for data in shown) == 1
    tables = " ".join(data.get("text/plain", "") for data in shown)
    for run in (ROOT / "results/reference").glob("*/manifest.json"):
        assert run.parent.name in tables
    assert "0.0571" in tables and "biharmonic" in tables
    linked = [path for path in (ROOT / "docs").glob("*.md") if "notebooks/explore.ipynb" in prose(path)]
    assert linked


# The files of docs/add-an-extractor.md, with made-up weights: their networks are those of the packages they name


CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 40), dtype=np.uint8)


def extractor_file(name: str, folder: Path) -> tuple[Path, Mapping[str, Tensor]]:
    """A file of the guide, with random weights beside it; returns the two."""
    block = next(block for block in BLOCKS if block.text.startswith(f"# extractors/{name}.py"))
    path = folder / f"{name}.py"
    path.write_text(block.text)
    torch.manual_seed(0)
    module = run_file(path)
    state: Mapping[str, Tensor] = module.build().state_dict()
    weights = folder / module.WEIGHTS
    if weights.suffix == ".safetensors":
        from safetensors.torch import save_file  # noqa: PLC0415

        save_file(dict(state), weights)
    else:
        torch.save(state, weights)
    return path, state


def compare(extractor: Extractor, oracle: nn.Module, size: int, mean: list[float], sd: list[float]) -> None:
    x = torch.from_numpy(IMAGES).float() / 255
    x = nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        found = oracle.eval()((x - torch.tensor(mean)[:, None, None]) / torch.tensor(sd)[:, None, None])
    expected = found[0].flatten(1) if isinstance(found, list) else found
    np.testing.assert_allclose(extractor(IMAGES), expected.numpy(), rtol=1e-3, atol=1e-4)


def test_dino_is_timms(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    path, state = extractor_file("dinov2_vits14", tmp_path)
    oracle = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    oracle.load_state_dict(state)
    compare(load_extractor(tmp_path, CPU, str(path)), oracle, 518, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_inception_is_pytorch_fids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fid = pytest.importorskip("pytorch_fid.inception")
    path, state = extractor_file("inception2015", tmp_path)
    monkeypatch.setattr(fid, "load_state_dict_from_url", lambda *_, **__: state)
    oracle = fid.InceptionV3([3], resize_input=False, normalize_input=False)
    compare(load_extractor(tmp_path, CPU, str(path)), oracle, 299, [0.5] * 3, [0.5] * 3)
