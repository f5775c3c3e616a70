"""What `mmbench plan` reads of Snakemake's plan, what it times, and how it adds up."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from warm_python import warm_python

from mmbench.cli.app import main
from mmbench.config.configuration import Config
from mmbench.config.discovery import find_methods
from mmbench.config.extractors import VGG16
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.planning.costs import Costs, make_plan
from mmbench.planning.jobs import Job, jobs_of, read_jobs
from mmbench.planning.measure import Bench, Step
from mmbench.planning.plan import Plan, as_record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RESULTS = Path("results/smoke")
TABLE = """output_file\tdate\trule\tlog-file(s)\tstatus\tplan
results/smoke/index.html\t-\treport\t-\tmissing\tupdate pending
results/smoke/tables\t-\treport\t-\tmissing\tupdate pending
results/smoke/data/train.npz\tnow\tdata\tlog\tok\tno update
results/smoke/data/card.json\tnow\tdata\tlog\tok\tno update
results/weights/weights.json\tnow\tlpips\tlog\tok\tno update
results/smoke/labels/judge/weights.safetensors\t-\tjudge\t-\tmissing\tupdate pending
results/smoke/masking/ddpm/seed0/weights.safetensors\t-\ttrain\t-\tmissing\tupdate pending
results/smoke/masking/ddpm/seed0/training.json\t-\ttrain\t-\tmissing\tupdate pending
results/smoke/masking/ddpm/seed0/at0.5/weights.safetensors\t-\ttrain\t-\tmissing\tupdate pending
results/smoke/masking/ddpm@v/seed2/metrics.json\t-\tevaluate\t-\tmissing\tupdate pending
"""


def config(**keys: object) -> Config:
    return Config(read_yaml(ROOT / "config/config.yaml", ROOT) | {"profile": "smoke", **keys}, ROOT)


def test_outputs_of_one_job_are_one_job() -> None:
    assert jobs_of(TABLE, RESULTS) == [
        Job("report", "results/smoke"),
        Job("data", "results/smoke/data", left=False),
        Job("lpips", "results/weights", left=False),
        Job("judge", "results/smoke/labels/judge", "labels", "judge"),
        Job("train", "results/smoke/masking/ddpm/seed0", "masking", "ddpm"),
        Job("train", "results/smoke/masking/ddpm/seed0/at0.5", "masking", "ddpm", share=0.5),
        Job("evaluate", "results/smoke/masking/ddpm@v/seed2", "masking", "ddpm@v", 2),
    ]


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake starts at once."""
    monkeypatch.setattr(sys, "executable", str(warm_python() / "python"))


def test_the_jobs_are_snakemakes(tmp_path: Path, warm: None) -> None:
    results = tmp_path / "smoke"
    keys = ["profile=smoke", f"results={tmp_path}", "override={seeds: [0, 1], methods: [ddpm, repaint, mt_diffusion]}"]
    jobs = read_jobs(ROOT, results, keys, "masking")
    count = {rule: sum(job.rule == rule for job in jobs) for rule in ("train", "predict", "evaluate", "report", "data")}
    assert count == {"train": 4, "predict": 6, "evaluate": 6, "report": 1, "data": 1}
    assert all(job.left for job in jobs) and {job.seed for job in jobs if job.rule == "train"} == {0, 1}
    with pytest.raises(UserError, match=r"snakemake --summary: .*'smok' does not exist"):
        read_jobs(ROOT, results, ["profile=smok"])


def test_work_is_shared_out_but_chains_are_not() -> None:
    jobs = [Job("data", ""), *(Job(rule, "", "masking", f"m{n}") for n in range(4) for rule in ("train", "predict"))]
    plan = Plan(jobs, [10.0, *[100.0, 20.0] * 4], 1e9, 1e9, "cpu", 2, 4, 4)
    assert plan.by_rule() == {"data": (1, 10.0), "train": (4, 400.0), "predict": (4, 80.0)}
    assert plan.total() == 490.0 and plan.wall() == 10.0 + 480.0 / 2
    assert Plan(jobs, plan.seconds, 1e9, 1e9, "cpu", 99, 4, 4).wall() == 10.0 + 120.0
    some = [Job("train", "", "masking", "m0", left=False), Job("train", "", "masking", "m1")]
    assert Plan(some, [5.0, 7.0], 0, 0, "cpu", 1, 1, 1).wall(left=True) == 7.0
    assert as_record(plan)["rules"]["train"] == {"jobs": 4, "seconds": 400.0}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(config(), torch.device("cpu"), 1)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("experiment", ["masking", "segmentation", "labels", "embedding", "joint"])
def test_every_experiment_can_be_timed(experiment: str, bench: Bench) -> None:
    found = find_methods(ROOT, [experiment])[experiment]["mt_diffusion"]
    step = bench.step(experiment, "mt_diffusion", ROOT / found.path)
    assert step and 0 < step.usual <= step.compared and step.usual <= step.first and step.parameters > 1000
    answers = bench.answers(experiment, "mt_diffusion", ROOT / found.path, found)
    assert {case.name for case in bench.cases(experiment)} == set(answers)
    assert all(seconds > 0 for seconds in answers.values())
    evaluate = bench.config.profile.evaluate
    assert {bench.count(c) for c in bench.cases(experiment)} <= {evaluate.reconstructions, evaluate.samples}


def test_what_is_not_timed_is_taken_to_be_like_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.planning.costs.starting", lambda _: 2.0)
    monkeypatch.setattr(Bench, "networks", lambda _: {"lpips-alex": 0.001, "lpips-vgg": 0.002, VGG16: 0.003})
    costs = Costs(config(), 0.0)
    costs.steps = {("masking", "ddpm"): Step(1.0, 2.0, 3.0, 100), ("masking", "palette"): Step(3.0, 4.0, 5.0, 300)}
    assert costs.step("masking", "mae") == Step(2.0, 3.0, 4.0, 200) == costs.step("labels", "classifier")
    costs.steps["masking", "mean_fill"] = None
    train = Job("train", "", "masking", "ddpm")
    assert costs.training(train, costs.step("masking", "ddpm")) == 3.0 + 5 * 2.0  # 6 steps, each but one compared
    assert costs.training(train, costs.step("masking", "mean_fill")) == 0.0
    assert costs.seconds(train) == pytest.approx(0.25 + 2.0 + 13.0)
    costs.items = {("masking", "ddpm"): {"generate": 0.5}}
    predict = Job("predict", "", "masking", "ddpm")
    assert costs.predicting(predict) == 24 * 0.5
    assert costs.scoring(predict) == pytest.approx(24 * (0.003 + 0.003))
    like = costs.answer(Job("predict", "", "masking", "palette"))
    assert set(like) == {f"reconstruct-{share}" for share in (10, 25, 50, 75)} and like["reconstruct-10"] == 0.5


def test_a_plan_of_a_small_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, warm: None
) -> None:
    monkeypatch.chdir(ROOT)
    override = "override={experiments: [masking], methods: [unet_regression, mean_fill]}"
    words = [
        "plan",
        "masking",
        "--profile",
        "smoke",
        "--cores",
        "2",
        "--config",
        f"results={tmp_path}",
        "--config",
        override,
    ]
    main([*words, "--json", "--seconds", "30"])
    plan = json.loads(capsys.readouterr().out)
    assert plan["rules"]["train"]["jobs"] == 2 and plan["timed"] == plan["methods"] == 2
    assert 5 < plan["seconds"] < 600 and plan["seconds"] / 2 <= plan["wall_seconds"] <= plan["seconds"]
    assert 1e8 < plan["memory_bytes_of_a_job"] < 1e10 and plan["left"]["seconds"] == plan["seconds"]


def test_no_time_is_an_estimate_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.planning.costs.starting", lambda _: 2.0)
    jobs = [
        Job(rule, "", "masking", name)
        for name in ("unet_regression", "mae")
        for rule in ("train", "predict", "evaluate")
    ]
    plan = make_plan(config(), jobs, 4, 0.0)
    assert (plan.timed, plan.possible, plan.slots) == (1, 2, 4) and all(seconds > 2 for seconds in plan.seconds)
