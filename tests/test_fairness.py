"""Every trained method is as large as the multitask model of its experiment, in every profile.

What is checked is found: profiles in config/profiles, experiments in config/experiments, methods by their files.
Nothing is computed: networks are built on the meta device, and once for profiles that share one.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from mmbench import data
from mmbench.config.configuration import Config
from mmbench.config.discovery import MULTITASK, find_methods, read_literals
from mmbench.config.yaml_files import read_yaml
from mmbench.experiments.experiment import load_experiment
from mmbench.method import Spec, load_method

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TOLERANCE = 0.05
#: Profiles whose numbers mean nothing, says the README: a network that small is mostly heads, which differ by task.
MEANINGLESS = ("smoke",)
PROFILES = sorted(path.stem for path in (ROOT / "config" / "profiles").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (ROOT / "config" / "experiments").glob("*.yaml"))
#: What a data set with everything says of itself; embeddings are those of VGG16, the default.
CARD = {
    **data.card(data.DataSettings()).as_dict(),
    "modalities": ["image", "mask", "label", "embedding", "depth"],
    "embedding": {"size": 512},
}


def trained(path: Path) -> bool:
    """Whether a method has weights of its own."""
    literals = read_literals(ROOT / path)
    return "WEIGHTS_FROM" not in literals and bool(literals.get("TRAINED", True))


METHODS = [
    (experiment, name, found.path)
    for experiment, methods in find_methods(ROOT, EXPERIMENTS).items()
    for name, found in methods.items()
    if not found.external and found.path != MULTITASK and trained(found.path)
]
CASES = [
    pytest.param(profile, *method, id=f"{profile}-{method[0]}-{method[1]}")
    for profile in PROFILES
    for method in METHODS
]


@cache
def config() -> Config:
    """The configuration with every experiment."""
    values = read_yaml(ROOT / "config" / "config.yaml", ROOT)
    return Config({**values, "override": {"experiments": EXPERIMENTS}}, ROOT)


@cache
def count(path: Path, experiment: str, network: str, size: tuple[int, int]) -> int:
    """Trained parameters of a method with its experiment's settings."""
    spec = Spec(
        load_experiment(experiment).modalities({**CARD, "size": list(size)}),
        json.loads(network),
        config().section(experiment, path.stem).settings,
    )
    with torch.device("meta"):
        method = load_method(ROOT / path, spec)
    assert all(p.is_meta for p in method.parameters())
    return sum(p.numel() for p in method.parameters() if p.requires_grad)


def ratio(profile: str, experiment: str, path: Path) -> float:
    """A method's trained parameters as a multiple of the multitask model's."""
    values = read_yaml(ROOT / "config" / "profiles" / f"{profile}.yaml", ROOT)
    size = data.DataSettings.from_mapping({"size": values["data"]["size"]}).shape
    own, multitask = (count(p, experiment, json.dumps(values["network"]), size) for p in (path, MULTITASK))
    return own / multitask


def test_there_is_something_to_compare() -> None:
    assert {"masking", "segmentation", "labels", "embedding", "joint"} <= {experiment for experiment, _, _ in METHODS}
    assert {"smoke", "quick", "standard", "paper"} <= set(PROFILES) and set(MEANINGLESS) <= set(PROFILES)


@pytest.mark.parametrize("profile, experiment, name, path", CASES)
def test_it_is_as_large_as_the_multitask_model_or_says_why_not(
    profile: str, experiment: str, name: str, path: Path
) -> None:
    found = ratio(profile, experiment, path)
    reason = read_literals(ROOT / path).get("SIZE_DIFFERS")
    if reason is not None:
        assert reason.strip(), f"{path}: SIZE_DIFFERS is empty; give the reason"
        return
    says = f"{experiment}/{name} has {found:.1%} of the multitask model's parameters in {profile}"
    if profile in MEANINGLESS and abs(found - 1) > TOLERANCE:
        pytest.xfail(says)
    assert abs(found - 1) <= TOLERANCE, f"{says}; change its width, or set SIZE_DIFFERS to the reason"


@pytest.mark.parametrize("path", sorted({path for _, _, path in METHODS}), ids=str)
def test_a_reason_is_given_only_where_sizes_differ(path: Path) -> None:
    """A reason that is no longer true would hide the next difference."""
    if "SIZE_DIFFERS" in read_literals(ROOT / path):
        profiles = [profile for profile in PROFILES if profile not in MEANINGLESS]
        assert any(abs(ratio(profile, path.parent.name, path) - 1) > TOLERANCE for profile in profiles)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_autoencoder_has_the_size_it_computes(profile: str) -> None:
    """Its width is derived from the multitask model's size, so no network is too small for it."""
    assert abs(ratio(profile, "masking", Path("baselines/masking/mae.py")) - 1) < 0.01


@pytest.mark.parametrize("experiment, name, path", METHODS, ids=[f"{e}-{n}" for e, n, _ in METHODS])
def test_what_does_fewer_tasks_can_be_trained_for_one_tasks_share(experiment: str, name: str, path: Path) -> None:
    """A model of K tasks is compared with those of fewer at its whole budget and at 1/K of it.

    Where questions are made of modalities, the model learns one task for each of these, and K is their number.
    """
    tasks = load_experiment(experiment).tasks
    if set(read_literals(ROOT / path)["TASKS"]) >= set(tasks):
        return  # it does all that the multitask model does
    steps = config().profile.train.steps
    assert config().section(experiment, name).steps == steps
    assert f"{name}@per_task" in config().experiments[experiment].variants
    learnt = config().modalities(experiment) or tasks
    assert len(learnt) == (6 if experiment == "joint" else len(tasks))
    assert config().section(experiment, f"{name}@per_task").steps == max(1, round(steps / len(learnt)))
