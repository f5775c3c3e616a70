"""`profiles/slurm` for real: a Slurm of one node runs a small part of the workflow, whose training it does not let be.

The training runs out of memory, is cancelled when it has more of it, and ends the third time. The Slurm is real
(`slurm_cluster.py`), its GPUs are not: what is shown is that jobs ask for one and get it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import slurm_cluster
import yaml
from checkout import NOTHING_TO_DO, Checkout, copied, give_networks

from mmbench.files.store import read_json

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HUNGRY = """
import time

import torch
from mmbench.method import Method as BaseMethod

TITLE = "Hungry"
TASKS = ("reconstruct",)


class Method(BaseMethod):
    def __init__(self, spec):
        super().__init__(spec)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def prepare(self, train):
        self.ballast = torch.ones(1000, 2**18)  # 1000 MB

    def loss(self, batch, generator):
        time.sleep(0.02)  # Slurm looks at the memory every second
        noise = torch.randn(batch["image"].shape, generator=generator)
        return {"loss": ((batch["masked_image"][:, :3] * self.scale + 0.1 * noise - batch["image"]) ** 2).mean()}

    def predict(self, task, given, count, sampling, generator):
        return {"image": (given["masked_image"][:, :3] * self.scale).clamp(-1, 1)}
"""
#: MB that the training asks for at first, fewer than it has with its 1,000 and torch.
MEMORY = 1200
OVERRIDE = {"experiments": ["masking"], "train": {"steps": 200, "checkpoint_every": 5}}
SCORES = "results/smoke/masking/hungry/seed0/metrics.json"
CONFIG = ("--config", "profile=smoke", "gpu=1", f"override={json.dumps(OVERRIDE)}")
#: This Slurm keeps no accounts, and may be asked often.
SLURM = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2")
#: A training starts the true Python, and so does the Snakemake of its job: Slurm watches their memory.
COLD = r"train:|stages\.train"


@dataclass(frozen=True)
class Ran:
    """What is there after the run.

    Attributes:
        checkout: where the jobs ran.
        alone: where the same ran without Slurm.
        jobs: what Slurm says of them, by rule, in the order of submission.
    """

    checkout: Checkout
    alone: Checkout
    jobs: dict[str, list[dict[str, str]]]


def folder_of(checkout: Checkout) -> Path:
    """Where the method's files are."""
    return checkout.root / Path(SCORES).parent


def jobs_of(cluster: slurm_cluster.Cluster) -> dict[str, list[dict[str, str]]]:
    """All jobs by rule."""
    jobs: dict[str, list[dict[str, str]]] = {}
    for job in cluster.jobs():
        jobs.setdefault(job["Comment"].removeprefix("rule_").partition("_wildcards_")[0], []).append(job)
    return jobs


def cancel_training(cluster: slurm_cluster.Cluster, checkout: Checkout) -> None:
    """Cancel the second attempt, which has memory enough, once there is a checkpoint."""
    end = time.monotonic() + 600
    state = folder_of(checkout) / "state" / "checkpoint.safetensors"
    while len(jobs_of(cluster).get("train", ())) < 2 or not state.is_file():
        assert time.monotonic() < end, f"no second attempt began\n{cluster.logs()}"
        time.sleep(0.2)
    cluster.command("scancel", jobs_of(cluster)["train"][-1]["JobId"])


def prepared(folder: Path, request: pytest.FixtureRequest, environment: dict[str, str] | None = None) -> Checkout:
    """A copy of the checkout with a method that needs much memory, and a profile edited to give it little."""
    checkout = copied(folder, environment, warm=True)
    give_networks(checkout, request)
    (checkout.root / "baselines" / "masking" / "hungry.py").write_text(HUNGRY)
    profile = checkout.root / "profiles" / "slurm" / "config.yaml"
    text, found = re.subn(r"(  train:\n    mem_mb: )8000( \* attempt)", rf"\g<1>{MEMORY}\2", profile.read_text())
    assert found == 1
    profile.write_text(text)
    return checkout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ran]:
    """The same by Slurm and without it."""
    if lacking := slurm_cluster.missing():
        names = ", ".join(lacking)
        pytest.skip(f"no Slurm here ({names}): apt-get install munge slurmctld slurmd slurm-client")
    with TemporaryDirectory(prefix="slurm-") as short, slurm_cluster.running(Path(short) / "c") as cluster:
        checkout = prepared(tmp_path_factory.mktemp("slurm"), request, cluster.environment | {"COLD": COLD})
        alone = prepared(tmp_path_factory.mktemp("alone"), request)
        with ThreadPoolExecutor() as threads:
            profile = ("--workflow-profile", "profiles/slurm")
            by_slurm = threads.submit(checkout.snakemake, *profile, *SLURM, SCORES, *CONFIG)
            without = threads.submit(alone.snakemake, "--cores", "1", SCORES, *CONFIG)
            cancel_training(cluster, checkout)
        for done in (by_slurm.result(), without.result()):
            assert done.returncode == 0, f"{done.stdout[-8000:]}\n{cluster.logs()}"
        yield Ran(checkout, alone, jobs_of(cluster))


def states(jobs: list[dict[str, str]]) -> list[str]:
    """How each of the jobs ended."""
    return [job["JobState"] for job in jobs]


def test_every_rule_is_a_job_of_slurm(ran: Ran) -> None:
    assert set(ran.jobs) == {"data", "cases", "train", "reference", "predict", "evaluate"}
    assert all(states(jobs) == ["COMPLETED"] for rule, jobs in ran.jobs.items() if rule != "train")


def test_a_job_without_enough_memory_is_submitted_again_with_more(ran: Ran) -> None:
    jobs = ran.jobs["train"]
    assert states(jobs) == ["FAILED", "CANCELLED", "COMPLETED"]
    said = Path(jobs[0]["StdOut"]).read_text()
    assert re.search(rf"exceeded memory limit \(\d+ > {MEMORY * 2**20}\), being killed", said), said
    assert [job["MinMemoryNode"] for job in jobs] == [f"{MEMORY * attempt}M" for attempt in (1, 2, 3)]


def test_a_cancelled_training_goes_on_from_its_checkpoint(ran: Ran) -> None:
    log = (folder_of(ran.checkout) / "log" / "train.log").read_text()
    assert re.search(r"resuming after step [1-9]\d*\n", log), log
    assert "resuming" not in (folder_of(ran.alone) / "log" / "train.log").read_text()


def test_the_scores_are_those_without_slurm(ran: Ran) -> None:
    there, here = (read_json(folder_of(checkout) / "metrics.json") for checkout in (ran.checkout, ran.alone))
    assert there["metrics"] == here["metrics"] and len(here["metrics"]) > 5
    for name in ("weights.safetensors", "predictions.npz", "items.csv"):
        assert (folder_of(ran.checkout) / name).read_bytes() == (folder_of(ran.alone) / name).read_bytes(), name


def test_jobs_ask_for_memory_and_time_by_rule_and_attempt(ran: Ran) -> None:
    profile = yaml.safe_load((ran.checkout.root / "profiles" / "slurm" / "config.yaml").read_text())
    for rule, jobs in ran.jobs.items():
        asked = profile["default-resources"] | profile["set-resources"].get(rule, {})
        memory, minutes = (int(asked[name].removesuffix(" * attempt")) for name in ("mem_mb", "runtime"))
        for attempt, job in enumerate(jobs, start=1):
            hours, rest = divmod(minutes * attempt, 60)
            days, hours = divmod(hours, 24)
            assert job["TimeLimit"] == f"{f'{days}-' if days else ''}{hours:02}:{rest:02}:00", rule
            assert job["MinMemoryNode"].replace("G", "000M") == f"{memory * attempt}M", rule


def test_only_what_computes_asks_for_a_gpu(ran: Ran) -> None:
    for rule, jobs in ran.jobs.items():
        wanted = None if rule in ("data", "cases") else "gres:gpu:1"
        assert {job.get("TresPerJob") for job in jobs} == {wanted}, rule


def test_nothing_is_left_to_do(ran: Ran) -> None:
    done = ran.checkout.snakemake("--cores", "1", "--dry-run", SCORES, *CONFIG)
    assert done.returncode == 0 and NOTHING_TO_DO in done.stdout, done.stdout


def test_the_profile_says_what_the_default_says_but_for_the_gpus() -> None:
    default, slurm = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in ("default", "slurm")
    )
    assert {key: slurm.get(key) for key in default} == default | {"resources": None}
