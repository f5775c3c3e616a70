"""Every trained method is as large as the multitask model of its experiment, in every profile.

What is checked is found: profiles in config/profiles, experiments in config/experiments, methods by their files.
Nothing is computed: networks are built on the meta device, and once for profiles that share one.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

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


def profiles() -> dict[str, dict[str, Any]]:
    """Profiles by name, one for each network and size; without `smoke`, whose network is mostly heads."""
    read = {path.stem: read_yaml(path, ROOT) for path in sorted((ROOT / "config" / "profiles").glob("*.yaml"))}
    distinct = {json.dumps((values["network"], values["data"]["size"])): name for name, values in read.items()}
    return {name: read[name] for name in distinct.values() if name != "smoke"}


PROFILES = profiles()
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
    values = PROFILES[profile]
    size = data.DataSettings.from_mapping({"size": values["data"]["size"]}).shape
    own, multitask = (count(p, experiment, json.dumps(values["network"]), size) for p in (path, MULTITASK))
    return own / multitask


@pytest.mark.parametrize("profile", PROFILES)
def test_every_method_is_as_large_as_the_multitask_model_or_says_why_not(profile: str) -> None:
    reasons = {path: read_literals(ROOT / path).get("SIZE_DIFFERS") for _, _, path in METHODS}
    assert [path for path, reason in reasons.items() if reason is not None and not reason.strip()] == []
    sizes = {path: ratio(profile, experiment, path) for experiment, _, path in METHODS if reasons[path] is None}
    off = {str(path): f"{size:.1%}" for path, size in sizes.items() if abs(size - 1) > TOLERANCE}
    assert not off, "change its width, or set SIZE_DIFFERS to the reason"


@pytest.mark.parametrize("path", sorted({path for _, _, path in METHODS}), ids=str)
def test_a_reason_is_given_only_where_sizes_differ(path: Path) -> None:
    """A reason that is no longer true would hide the next difference."""
    if "SIZE_DIFFERS" in read_literals(ROOT / path):
        assert any(abs(ratio(profile, path.parent.name, path) - 1) > TOLERANCE for profile in PROFILES)


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
