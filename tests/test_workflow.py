"""The workflow for real: a copy of this checkout runs the `smoke` profile, is edited, extended and broken."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from checkout import Checkout, copied, give_networks

from mmbench.config.discovery import find_methods
from mmbench.files.store import read_json
from mmbench.runs.manifest import read_manifest
from mmbench.runs.verify import check_files, configuration_notes

ROOT = Path(__file__).parents[1]
#: What runs: every rule is reached, and every kind of method, in less time than all of them take.
CHOSEN = {
    "masking": ("mt_diffusion", "mt_head", "ddpm", "repaint", "sdedit", "unet_regression", "mean_fill"),
    "segmentation": ("unet",),
    "labels": ("cfg_ddpm",),
    "embedding": ("regression",),
    "joint": ("mt_diffusion", "segmenter"),
}
METHODS = {name: find_methods(ROOT, ["masking"])["masking"][name] for name in CHOSEN["masking"]}
TUNED = [name for name, method in METHODS.items() if method.tune]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # a whole run, on cores that may have other work

MY_IDEA = """
import torch
from mmbench.method import Method as BaseMethod

TITLE = "My idea"
TASKS = ("reconstruct",)
TRAINED = False


class Method(BaseMethod):
    def predict(self, task, given, count, sampling, generator):
        return {"image": given["masked_image"][:, :3]}
"""

DIVERGING = """
import torch
from mmbench.method import Method as BaseMethod

TITLE = "Diverging"
TASKS = ("reconstruct",)


class Method(BaseMethod):
    def __init__(self, spec):
        super().__init__(spec)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def loss(self, batch, generator):
        return {"loss": self.scale * float("nan")}

    def predict(self, task, given, count, sampling, generator):
        return {"image": given["masked_image"][:, :3]}
"""

TOOL_RULE = """# TITLE: Median of the seen pixels
# TASKS: reconstruct


rule external_median:
    input:
        cases=P / "masking" / "cases.npz",
        program="median_tool.py",
    output:
        P / "masking" / "external_median" / "seed{seed}" / "predictions.npz",
    log:
        P / "masking" / "external_median" / "seed{seed}" / "log" / "predict.log",
    shell:
        "python {input.program} {input.cases} {output} > {log} 2>&1"
"""

TOOL_PROGRAM = """
import sys
import numpy as np

answers = {}
with np.load(sys.argv[1]) as cases:
    for name in cases.files:
        case, part, modality = name.split("/")
        if (part, modality) != ("given", "masked_image"):
            continue
        images, seen = cases[name][:, :3].copy(), cases[name][:, 3] > 0
        for image, visible in zip(images, seen):
            image[:, ~visible] = np.median(image[:, visible], axis=1, keepdims=True)
        answers[f"{case}/image"] = images
np.savez(sys.argv[2], **answers)
"""


def test_every_stage_reads_the_embedded_data_where_the_configuration_names_an_extractor(tmp_path: Path) -> None:
    checkout, extractor = copied(tmp_path, warm=True), "efficientnet-lite0"
    file = checkout.root / "config" / "experiments" / "embedding.yaml"
    file.write_text(re.sub(r"(?m)^extractor: \S+", f"extractor: {extractor}", file.read_text()))
    done = checkout.smoke("--dry-run", "-p", config=["override={experiments: [masking, embedding]}"])
    assert done.returncode == 0, done.stdout[-5000:]
    commands = re.findall(r"python -m mmbench\.stages\.(\w+) .*", done.stdout)
    lines = [line for line in done.stdout.splitlines() if "python -m mmbench." in line]
    assert len(lines) == len(commands) and commands.count("embed") == commands.count("efficientnet") == 1
    folders = {"embedding": f"results/smoke/embedded/{extractor}", "masking": "results/smoke/data"}
    read = [line for line in lines if " --data " in line and "mmbench.stages.embed " not in line]
    assert len(read) > 20
    for line in read:
        experiment = "embedding" if '"experiment": "embedding"' in line else "masking"
        assert f" --data {folders[experiment]} " in line, line
    embed = next(line for line in lines if "mmbench.stages.embed " in line)
    assert f"--extractor {extractor} " in embed and "--data results/smoke/data " in embed


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Checkout:
    """A copy of the checkout in which `smoke` has run with few methods, from nothing but the LPIPS networks."""
    checkout = copied(tmp_path_factory.mktemp("checkout"), warm=True)
    methods = [f"{experiment}/{name}" for experiment, names in CHOSEN.items() for name in names]
    with (checkout.root / "config" / "profiles" / "smoke.yaml").open("a") as profile:
        profile.write(f"methods: [{', '.join(methods)}]\n")
    give_networks(checkout, request)
    done = checkout.smoke()
    assert done.returncode == 0, done.stdout[-5000:]
    return checkout


def test_every_experiment_runs_with_its_judge_embeddings_and_choices(finished: Checkout) -> None:
    page = (finished.results / "index.html").read_text()
    for experiment, methods in CHOSEN.items():
        table = pd.read_csv(finished.results / "tables" / f"{experiment}-long.csv")
        assert set(table["method"]) == set(methods)
        assert np.isfinite(table["value"]).all()
        assert all(find_methods(ROOT, [experiment])[experiment][method].title in page for method in methods)
        reference = read_json(finished.results / experiment / "reference.json")
        judged = (ROOT / f"mmbench/experiments/{experiment}/judge.py").is_file()
        assert {row["case"] for row in reference["metrics"]} == {"floor", *(["ceiling"] if judged else [])}
    predicted = read_json(finished.results / "labels" / "cfg_ddpm" / "seed0" / "predictions.json")
    assert set(predicted["cases"]["paint"]["drawing"]) == {"sampler", "nfe", "guidance"}
    assert (finished.results / "embedded" / "vgg16-relu5_3-gap" / "scaling.npz").is_file()


def chain(*methods: str, trained: Sequence[str] = ()) -> set[str]:
    """The jobs that choose for, ask and score `methods`, train those `trained`, and make the report."""
    jobs = {f"{rule} {method}" for rule in ("predict", "evaluate") for method in methods}
    jobs |= {f"tune {method}" for method in methods if method in TUNED}
    return jobs | {f"train {method}" for method in trained} | {"cards_masking", "report", "manifest", "all"}


class TestRun:
    """What a run leaves behind."""

    def test_every_method_has_its_numbers(self, finished: Checkout) -> None:
        table = finished.table()
        cases = read_json(finished.results / "masking" / "cases.json")["cases"]
        for name, method in METHODS.items():
            asked = {case["name"] for case in cases if case["task"] in method.tasks}
            assert set(table.loc[table["method"] == name, "case"]) == asked
        scored = set(table.loc[table["case"] == "reconstruct-50", "metric"])
        assert {"lpips_alex", "lpips_vgg", "psnr_hole", "ssim", "l1_hole"} <= scored

    def test_the_page_loads_nothing(self, finished: Checkout) -> None:
        page = (finished.results / "index.html").read_text()
        loads = re.findall(r"<(?!a\b)[a-z]+\b[^>]*?\s(?:src|href|srcset|data)\s*=\s*[\"']?([^\"'\s>]*)", page)
        loads += re.findall(r"url\(\s*[\"']?([^\"')]*)", page) + re.findall(r"@import[^;]*", page)
        assert len(loads) > 3
        assert [load[:80] for load in loads if not load.startswith(("data:", "#"))] == []

    def test_the_report_of_snakemake_has_everything_with_captions(self, finished: Checkout, tmp_path: Path) -> None:
        """Without a network, in categories; what only an analysis needs is left out."""
        done = finished.smoke("--report", str(tmp_path / "report.html"))
        assert done.returncode == 0, done.stdout
        text = (tmp_path / "report.html").read_text()
        found = re.search(r'"Tables": \{"Other": (\[.*?\])', text)
        assert found is not None
        tables = {Path(path).stem for path in json.loads(found[1])}
        assert {"overview", "claims", "masking-lpips-alex", "masking-cost"} <= tables
        assert not {"masking-long", "masking-summary"} & tables
        for category, name in (
            ("Report", "index.html"),
            ("Figures", "figures/overview-masking.svg"),
            ("Figures", "figures/masking-reconstructions.png"),
        ):
            assert re.search(rf'"{category}": \{{"Other": \[[^]]*"results/smoke/{name}"', text), name
        assert "profile <strong>smoke</strong>" in text
        for caption in ("The whole page of profile smoke", "A table of the page", "A figure of the page"):
            assert caption in text

    def test_every_job_kept_its_log_and_its_provenance(self, finished: Checkout) -> None:
        for name, method in METHODS.items():
            folder = finished.results / "masking" / name / "seed0"
            logs = {path.stem for path in (folder / "log").glob("*.log")}
            trained, tuned = set() if method.weights_from else {"train"}, {"tune"} if name in TUNED else set()
            assert logs == {"predict", "evaluate"} | trained | tuned
            record = read_json(folder / "metrics.json")
            assert record["title"] == method.title
            assert set(record["provenance"]["inputs_sha256"]) == {"predictions", "cases", "weights"}

    def test_its_manifest_says_what_was_run_and_is_true(self, finished: Checkout) -> None:
        manifest = read_manifest(finished.results / "manifest.json")
        chosen = {f"{experiment}/{name}" for experiment, names in CHOSEN.items() for name in names}
        judges = {f"{experiment}/judge" for experiment in ("segmentation", "labels", "joint")}
        assert manifest.methods.keys() == chosen | judges
        assert manifest.command == "snakemake --cores all --config profile=smoke"
        assert manifest.configuration.values["profile"]["train"]["steps"] == 6
        assert (manifest.took.training_flops or 0) > 1e6
        assert all(one.device in ("cpu", "cuda") and one.threads for one in manifest.hardware)
        for name in ("data/train.npz", "masking/ddpm/seed0/weights.safetensors", "tables/masking-long.csv"):
            assert name in manifest.files
        found = check_files(finished.results, manifest)
        assert not found.failed and not found.new and found.kept == len(manifest.files)
        assert list(configuration_notes(manifest, finished.root)) == []

    def test_nothing_is_left_to_do(self, finished: Checkout) -> None:
        assert finished.planned() == set()


class TestPlan:
    """What a change makes necessary."""

    def test_the_default_runs_everything(self, finished: Checkout) -> None:
        done = finished.snakemake("--dry-run", "--cores", "2")
        assert done.returncode == 0, done.stdout
        assert "results/quick/index.html" in done.stdout
        assert int(re.search(r"^total +(\d+)", done.stdout, flags=re.MULTILINE)[1]) > 30

    def test_one_experiment_is_a_target(self, finished: Checkout) -> None:
        assert finished.planned("masking") == {"report", "manifest", "masking"}

    @pytest.mark.parametrize(
        ("file", "jobs"),
        [
            ("baselines/masking/ddpm.py", chain("ddpm", "repaint", "sdedit", trained=["ddpm"])),
            ("mmbench/scoring/statistics.py", {"report", "manifest", "all"}),
            ("mmbench/config/configuration.py", set()),
        ],
    )
    def test_an_edit_of_code_reruns_what_it_touches(self, finished: Checkout, file: str, jobs: set[str]) -> None:
        with finished.edited(file, lambda text: text + "EDITED = 1\n"):
            assert finished.planned() == jobs

    def test_an_edit_of_a_methods_settings_reruns_its_chain(self, finished: Checkout) -> None:
        def add(text: str) -> str:
            return text.replace("methods:\n", "methods:\n  unet_regression: {loss: l2}\n", 1)

        with finished.edited("config/experiments/masking.yaml", add):
            assert finished.planned() == chain("unet_regression", trained=["unet_regression"])

    def test_other_sampling_trains_nothing(self, finished: Checkout) -> None:
        assert finished.planned(config=["override={experiments: [masking], sample: {nfe: 3}}"]) == chain(*METHODS)

    def test_a_choice_of_methods_needs_only_cards_and_report(self, finished: Checkout) -> None:
        planned = finished.planned(config=["override={experiments: [masking], methods: [ddpm, mt_diffusion]}"])
        assert planned == {"cards_masking", "report", "manifest", "all"}


class TestSnapshots:
    """Trainings that are looked at on their way."""

    def test_snapshots_repeat_no_training_and_are_of_what_is_trained(self, finished: Checkout) -> None:
        config = ["override={experiments: [masking], snapshots: [0.34, 0.5]}"]
        done = finished.smoke("--dry-run", "-p", config=config)
        assert done.returncode == 0, done.stdout
        made = set(re.findall(r"^    output: results/smoke/masking/(\S+?),", done.stdout, flags=re.MULTILINE))
        trained = {name for name, method in METHODS.items() if METHODS[method.weights_from or name].trained}
        files = {"predictions.npz": trained, "metrics.json": trained}
        files["weights.safetensors"] = {name for name in trained if not METHODS[name].weights_from}
        parts = ("at0.34", "at0.5")
        assert made == {f"{m}/seed0/{at}/{f}" for f, methods in files.items() for m in methods for at in parts}
        assert {"mt_diffusion", "mt_head", "repaint"} <= trained < set(METHODS)
        train = [line for line in done.stdout.splitlines() if "python -m mmbench.stages.train " in line]
        state = "results/smoke/masking/ddpm/seed0"
        assert sum(f"--until 3 --kept {state}/state" in x and f"--out {state}/at0.5" in x for x in train) == 1
        assert all("--keep" not in line for line in train)
        predict = [
            line for line in done.stdout.splitlines() if "mmbench.stages.predict " in line and "sdedit/seed0" in line
        ]
        assert len(predict) == 2
        assert all("--tuned results/smoke/masking/sdedit/seed0/tuned.json" in line for line in predict)
        assert sum(f"--weights {state}/at0.34/weights.safetensors" in line for line in predict) == 1
        report = next(line for line in done.stdout.splitlines() if "mmbench.stages.report " in line)
        assert " --snapshots 0.34 0.5 " in report

    def test_a_training_is_told_what_to_keep(self, tmp_path: Path) -> None:
        done = copied(tmp_path, warm=True).smoke(
            "--dry-run",
            "-p",
            "masking",
            config=["override={experiments: [masking], methods: [ddpm, repaint], snapshots: [0.34, 0.5]}"],
        )
        whole = [
            line
            for line in done.stdout.splitlines()
            if "python -m mmbench.stages.train " in line and "--until" not in line
        ]
        told = {re.search(r"/masking/(\w+)/seed0/state", line)[1] for line in whole if " --keep 2 3 " in line}
        assert told == {"ddpm"}


class TestMistakes:
    """Each is one line, and nothing runs."""

    def fails_with(self, done: subprocess.CompletedProcess[str], *words: str) -> None:
        """The last line is the error and names all of `words`; no line is of the code."""
        assert done.returncode != 0
        *before, last = done.stdout.strip().splitlines()
        assert last.startswith("error: ")
        assert all(word in last for word in words), last
        assert not any(re.search(r"Traceback|Error|File \"", line) for line in before), done.stdout

    def test_in_the_configuration(self, finished: Checkout) -> None:
        done = finished.smoke("--dry-run", config=["override={methods: [dpm]}"])
        self.fails_with(done, "methods", "did you mean 'ddpm'?")

    def test_in_the_name_of_an_experiments_folder(self, finished: Checkout) -> None:
        folder = finished.root / "baselines" / "maksing"
        folder.mkdir()
        try:
            self.fails_with(finished.smoke(), "baselines/maksing", "did you mean 'masking'?")
        finally:
            folder.rmdir()


@dataclass(frozen=True)
class Extension:
    """A finished checkout that was moved and then given two new methods and one that fails."""

    checkout: Checkout
    planned_after_move: set[str]
    page_before: str
    broken: subprocess.CompletedProcess[str]
    mended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def extension(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Extension:
    """New files only: no line of what was there is changed."""
    checkout = Checkout(tmp_path_factory.mktemp("moved") / "else where", warm=True)
    shutil.copytree(finished.root, checkout.root, symlinks=True)
    planned = checkout.planned()
    page = (checkout.results / "index.html").read_text()
    folder = checkout.root / "baselines" / "masking"
    (folder / "my_idea.py").write_text(MY_IDEA)
    (folder / "external_median.smk").write_text(TOOL_RULE)
    (checkout.root / "median_tool.py").write_text(TOOL_PROGRAM)
    (folder / "diverging.py").write_text(DIVERGING)
    config = "override={{experiments: [masking], methods: [ddpm, mean_fill, my_idea, external_median{more}]}}"
    broken = checkout.smoke(config=[config.format(more=", diverging")])
    assert (checkout.results / "index.html").is_file(), "the last page was lost"
    (folder / "diverging.py").unlink()
    return Extension(checkout, planned, page, broken, checkout.smoke(config=[config.format(more="")]))


class TestExtension:
    """A new method is a new file, a failing one costs nothing but itself."""

    def test_moving_the_checkout_reruns_nothing(self, extension: Extension) -> None:
        assert extension.planned_after_move == set()

    def test_a_failing_method_says_why_in_one_line(self, extension: Extension) -> None:
        said = extension.broken.stdout
        assert extension.broken.returncode != 0
        assert "error: diverging seed 0: the loss is nan at step 1; lower train.learning_rate" in said
        assert "Traceback" not in said
        assert "diverging" not in extension.page_before

    def test_the_others_are_finished_meanwhile(self, extension: Extension) -> None:
        finished = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", extension.broken.stdout, flags=re.MULTILINE)
        assert sorted(finished) == ["evaluate", "evaluate", "external_median", "predict", "train"]

    def test_only_cards_and_report_are_left(self, extension: Extension) -> None:
        assert extension.mended.returncode == 0, extension.mended.stdout
        finished = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", extension.mended.stdout, flags=re.MULTILINE)
        assert sorted(finished) == ["all", "cards_masking", "manifest", "report"]

    @pytest.mark.parametrize(
        ("method", "title"), [("my_idea", "My idea"), ("external_median", "Median of the seen pixels")]
    )
    def test_a_new_file_is_in_the_table_and_on_the_page(self, extension: Extension, method: str, title: str) -> None:
        table = extension.checkout.table()
        rows = table[table["method"] == method]
        assert set(rows["title"]) == {title}
        assert set(rows["share"]) == {0.10, 0.25, 0.50, 0.75}
        assert np.isfinite(rows["value"]).all()
        assert title in (extension.checkout.results / "index.html").read_text()

    def test_an_external_method_is_scored_like_the_others(self, extension: Extension) -> None:
        """The median fills worse than the mean image of the data only by degree; what is seen is pasted for both."""
        table = extension.checkout.table().set_index(["method", "case", "metric"])["value"]
        median, nothing = (table[name, "reconstruct-10", "psnr_hole"] for name in ("external_median", "my_idea"))
        assert 5 < median < 40
        assert median != nothing
        record = read_json(extension.checkout.results / "masking" / "external_median" / "seed0" / "metrics.json")
        assert record["cost"]["parameters"] is None
        json.dumps(record, allow_nan=False)
