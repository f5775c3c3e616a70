"""The search for a recipe: what goes on to the next budget, and that every recipe is one that methods accept."""

from __future__ import annotations

import argparse
import importlib
import math
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from mmbench.method import Modality, Spec, load_method

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
IMAGE = Modality("image", (3, 32, 32))
METHODS = {
    "shared": (ROOT / "baselines/masking/ddpm.py", {"image": IMAGE}),
    "own": (ROOT / "mmbench/models/mt_diffusion.py", {"image": IMAGE, "label": Modality("label", (), classes=4)}),
}


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("recipe")


def test_the_better_half_goes_on_beside_what_it_changes(recipe: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    distances = {"as it is": 5.0, "a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 6.0}
    monkeypatch.setitem(recipe.RECIPES, "shared", {name: {} for name in distances})

    def point(name: str, _recipe: dict, seconds: float, seed: int) -> dict:
        about = {"recipe": name, "budget": seconds, "seed": seed}
        return about | {"kd": distances[name] / seconds, "fd": 10 * distances[name], "accuracy": None}

    args = argparse.Namespace(recipes="shared", budgets=[1.0, 2.0, 4.0], seeds=2, only=None)
    *_, points = recipe.halve(SimpleNamespace(point=point), args)
    asked = {budget: {p["recipe"] for p in points if p["budget"] == budget} for budget in args.budgets}
    assert asked == {1.0: set(distances), 2.0: {"a", "b", "c", "as it is"}, 4.0: {"a", "b", "as it is"}}
    assert recipe.mean(points, "a", 2.0, "kd") == 0.5 and math.isnan(recipe.mean(points, "e", 4.0, "kd"))
    about = {"method": "m", "task": "t", "experiment": "e", "data": "d", "size": 32, "drawn": 1, "real": 1, "seeds": 2}
    record = {**about, "budgets": args.budgets, "points": points, "provenance": {"processor": "p"}}
    rows = [line.split(" | ")[0].strip("| ") for line in recipe.as_text(record).splitlines()[4:]]
    assert rows == ["a", "b", "as it is", "c", "d", "e"]


@pytest.mark.parametrize("which", METHODS)
def test_every_recipe_learns(recipe: ModuleType, which: str) -> None:
    modalities = METHODS[which][1]
    batch = {"image": torch.zeros(2, 3, 32, 32), "label": torch.tensor([0, 1])}
    for name, change in recipe.RECIPES[which].items():
        file = ROOT / change.get("file", METHODS[which][0])
        network = recipe.merge({**recipe.NETWORK, "width": 8}, change.get("network", {}))
        method = load_method(file, Spec(modalities, network, change.get("method", {})))
        recipe.try_out(change.get("trial"), method)
        assert torch.isfinite(method.loss(batch, torch.Generator().manual_seed(0))["loss"]), name
        assert change.get("train", {}).keys() <= recipe.TRAIN.keys()
