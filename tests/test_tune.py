"""Settings and ways of drawing are chosen on the validation split, within what a training pays for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data import TRAIN, write_splits

from mmbench.config.choice import FIELDS, SCORING, SHARE, affordable, drawings, first_drawing, plan_trials
from mmbench.config.schema import Candidate
from mmbench.errors import UserError
from mmbench.files.store import load_arrays, read_json, write_json
from mmbench.files.weights import save_weights
from mmbench.report.parts.frontier import strengths
from mmbench.report.tables.cost import drawing_notes
from mmbench.runs.results import Run
from mmbench.stages import predict, tune
from mmbench.stages.cases import write_cases

METHOD = '''
from mmbench.method import Method as BaseMethod

TITLE = "Grey"
TASKS = ("reconstruct",)
TRAINED = False
TUNE = {"grey": (-0.9, 0.2, 0.9)}
TUNE_BY = ("reconstruct", "psnr_hole")


class Method(BaseMethod):
    """Every hidden pixel gets one grey."""

    def __init__(self, spec, grey=0.0):
        super().__init__(spec)
        self.grey = grey

    def predict(self, task, given, count, sampling, generator):
        return {"image": given["masked_image"][:, :3] * 0 + self.grey}
'''
SETTINGS = {
    "experiment": "masking",
    "shares": [0.5],
    "data": {},
    "network": {},
    "train": {**TRAIN, "steps": 400},
    "sample": {"sampler": None, "nfe": 2, "batch_size": 4},
    "evaluate": {"reconstructions": 100, "samples": 16, "reference": "test"},
    "method": "grey",
    "method_settings": {},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Validation images are light grey, test images dark: a choice made on the test split would show."""
    greys = {"validation": 0.2, "test": -0.9}
    splits = {s: {"image": np.full((8, 3, 32, 32), round((g + 1) * 127.5), np.uint8)} for s, g in greys.items()}
    write_splits(tmp_path / "data", splits, name="grey", size=[32, 32])
    (tmp_path / "grey.py").write_text(METHOD)
    write_json(tmp_path / "settings.json", SETTINGS)
    save_weights(tmp_path / "weights.safetensors", {})
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    own = {"settings": "settings.json", "method": "grey.py", "data": "data", "weights": "weights.safetensors"}
    named = [word for name, file in own.items() for word in (f"--{name}", str(folder / file))]
    return [*named, "--seed", "0", "--device", "cpu", "--out", str(folder), *more]


def test_the_best_on_validation_is_chosen_and_used(folder: Path, lpips_weights: Path) -> None:
    tune.main(arguments(folder, "--lpips", str(lpips_weights)))
    record = read_json(folder / "tuned.json")
    assert record["chosen"] == {"grey": 0.2}
    assert record["by"] == {"task": "reconstruct", "metric": "psnr_hole", "split": "validation", "n": 8}
    assert [entry["settings"]["grey"] for entry in record["tried"]] == [-0.9, 0.2, 0.9]
    values = [entry["value"] for entry in record["tried"]]
    assert max(values) == values[1]
    assert {row["name"] for row in record["tried"][0]["metrics"]} >= {"lpips_alex", "psnr_hole"}
    write_cases({**SETTINGS, "evaluate": {**SETTINGS["evaluate"], "reconstructions": 8}}, folder / "data", folder / "c")
    for tuned, grey in (([], 0.0), (["--tuned", str(folder / "tuned.json")], 0.2)):
        predict.main(arguments(folder, "--cases", str(folder / "c"), *tuned))
        images = load_arrays(folder / "predictions.npz")["reconstruct-50/image"]
        assert abs(int(images.max()) - (grey + 1) * 127.5) < 1
        assert read_json(folder / "predictions.json")["tuned"] == ({"grey": 0.2} if tuned else {})


def test_what_the_configuration_sets_is_not_tried() -> None:
    both = {"a": (1.0, 2.0), "b": (3.0, 4.0)}
    assert len(tune.candidates(both, {})) == 4
    assert tune.candidates(both, {"a": 5.0}) == [{"b": 3.0}, {"b": 4.0}]


DRAWN = """
from mmbench.method import Method as BaseMethod

TITLE = "Drawn"
TASKS = ("reconstruct",)
TRAINED = False
SAMPLES = True
GREY = {"ddim": -0.9, "dpm++": 0.2, "dpm++sde": 0.9}


class Method(BaseMethod):
    def heeds(self, task):
        return frozenset({"sampler", "nfe"})

    def predict(self, task, given, count, sampling, generator):
        return {"image": given["masked_image"][:, :3] * 0 + GREY[sampling.sampler] / sampling.nfe}
"""


CHOICE = {
    "by": "psnr_hole",
    "least": 4,
    "also": [],
    "candidates": [
        {"sampler": "ddim"},
        {"sampler": "dpm++", "evaluations": 0.5},
        {"sampler": "dpm++", "guidance": 2.0},
        {"sampler": "dpm++", "guidance": 1.0},
    ],
}


class TestDrawing:
    """How a method draws is chosen among what its task states."""

    @pytest.fixture
    def drawn(self, folder: Path) -> Path:
        (folder / "grey.py").write_text(DRAWN)
        write_json(folder / "settings.json", {**SETTINGS, "choice": {"reconstruct": CHOICE}})
        return folder

    def test_the_best_on_validation_is_chosen_and_used(self, drawn: Path, lpips_weights: Path) -> None:
        tune.main(arguments(drawn, "--lpips", str(lpips_weights)))
        record = read_json(drawn / "tuned.json")
        (choice,) = record["drawings"]
        assert (record["chosen"], choice["tasks"]) == ({}, ["reconstruct"])
        assert choice["by"] == {"metric": "psnr_hole", "split": "validation", "n": 8}
        tried = [(entry["settings"]["sampler"], entry["settings"]["nfe"]) for entry in choice["tried"]]
        assert tried == [("ddim", 2), ("dpm++", 1), ("dpm++", 2)]
        assert choice["chosen"] == {"sampler": "dpm++", "nfe": 1, "guidance": None, "commit": None}
        write_cases(
            {**SETTINGS, "evaluate": {**SETTINGS["evaluate"], "reconstructions": 8}}, drawn / "data", drawn / "c"
        )
        for more, sampler in (([], "ddim"), (["--tuned", str(drawn / "tuned.json")], "dpm++")):
            predict.main(arguments(drawn, "--cases", str(drawn / "c"), *more))
            assert read_json(drawn / "predictions.json")["cases"]["reconstruct-50"]["drawing"]["sampler"] == sampler

    def test_a_short_training_pays_for_nothing(self, drawn: Path, lpips_weights: Path) -> None:
        settings = read_json(drawn / "settings.json")
        write_json(drawn / "settings.json", {**settings, "train": {**settings["train"], "steps": 10}})
        tune.main(arguments(drawn, "--lpips", str(lpips_weights)))
        assert read_json(drawn / "tuned.json")["drawings"] == []


def test_a_metric_that_is_not_there_is_named() -> None:
    rows = [{"name": "fd[x]", "value": 3.0, "higher_is_better": False}, {"name": "kd[x]", "value": 1.0}]
    assert tune.value_of(rows, "fd") == (3.0, False)
    with pytest.raises(UserError, match="no such metric; it has fd, kd"):
        tune.value_of(rows, "fid")


# How methods may draw: candidates from the configuration, and what of them a training pays for


SAMPLE = {"sampler": None, "nfe": 20}
STATED = [
    Candidate(sampler="dpm++sde", guidance=1.0),
    Candidate(sampler="dpm++sde", commit=0.5),
    Candidate(sampler="dpm++", evaluations=0.5, guidance=1.0),
]


def settings(steps: int = 1000, **more: Any) -> dict[str, Any]:
    choice = {"by": "kd", "least": 50, "candidates": [c.model_dump() for c in STATED], "also": ["other"]}
    train = {"steps": steps, "batch_size": 32}
    return {"choice": {"paint": choice}, "sample": SAMPLE, "method_settings": {}, "train": train, **more}


class TestDrawings:
    def test_they_are_what_is_stated(self) -> None:
        assert drawings(STATED, SAMPLE, (), FIELDS) == [
            {"sampler": "dpm++sde", "nfe": 20, "guidance": 1.0, "commit": None},
            {"sampler": "dpm++sde", "nfe": 20, "guidance": 0.0, "commit": 0.5},
            {"sampler": "dpm++", "nfe": 10, "guidance": 1.0, "commit": None},
        ]

    @pytest.mark.parametrize(
        ("sample", "fixed", "heeds", "count"),
        [
            (SAMPLE, (), ("sampler", "nfe"), 2),  # guidance that the method does not have
            (SAMPLE, ("guidance",), FIELDS, 3),  # guidance that the configuration fixes
            (SAMPLE, (), ("sampler", "nfe", "commit"), 3),
            (SAMPLE | {"commit": "never"}, ("guidance",), FIELDS, 2),
            (SAMPLE, (), ("nfe",), 2),  # a method with a sampler of its own
            ({"sampler": "ddim", "nfe": 20}, (), FIELDS, 3),
            ({"sampler": "ddim", "nfe": 1}, (), FIELDS, 2),  # one evaluation is no guidance
        ],
    )
    def test_those_that_do_not_differ_are_one(self, sample: dict, fixed: tuple, heeds: tuple, count: int) -> None:
        found = drawings(STATED, sample, fixed, heeds)
        samplers = {sample["sampler"]} if sample["sampler"] else {"dpm++sde", "dpm++"}
        assert len(found) == count
        assert {drawing["sampler"] for drawing in found} <= samplers
        if "guidance" in fixed or "guidance" not in heeds:
            assert {drawing["guidance"] for drawing in found} == {None}

    def test_the_first_is_used_where_nothing_is_chosen(self) -> None:
        assert first_drawing(settings(), "other", FIELDS)["guidance"] == 1.0
        assert first_drawing(settings(), "unheard_of", FIELDS) == {
            "sampler": "dpm++sde",
            "nfe": 20,
            "guidance": 0.0,
            "commit": None,
        }


class TestWhatATrainingPaysFor:
    def test_all_choices_take_no_more_than_their_share(self) -> None:
        for steps in range(100, 5000, 100):
            planned = plan_trials(settings(steps), {"paint": 2}, {"paint": FIELDS}, 200)
            spent = sum(2 * t.items * sum(d["nfe"] + SCORING for d in t.drawings) for t in planned)
            assert spent <= SHARE * 3 * steps * 32

    def test_candidates_are_dropped_from_the_end_before_items_are_too_few(self) -> None:
        plan = {steps: plan_trials(settings(steps), {"paint": 1}, {"paint": FIELDS}, 200) for steps in (100, 400, 5000)}
        assert plan[100] == []
        ((two,), (all_three,)) = plan[400], plan[5000]
        assert (len(two.drawings), len(all_three.drawings)) == (2, 3)
        assert two.items >= 50 and all_three.items == 200
        assert two.drawings == all_three.drawings[:2]

    def test_a_small_split_chooses_nothing(self) -> None:
        assert affordable(drawings(STATED, SAMPLE, (), FIELDS), 1e9, 1, least=50, most=49)[1] == 0

    def test_what_is_answered_in_one_pass_chooses_nothing(self) -> None:
        assert plan_trials(settings(5000), {"paint": 1}, {"paint": ()}, 200) == []
        assert plan_trials(settings(5000), {"segment": 1}, {"segment": FIELDS}, 200) == []


class TestThePage:
    """It says how each method draws, and what that was chosen from."""

    def run(self) -> Run:
        tried = [
            {"settings": {"sampler": "dpm++sde", "nfe": 20, "guidance": g}, "value": g, "metrics": []}
            for g in (1.0, 0.0)
        ]
        by = {"metric": "kd", "split": "validation", "n": 100}
        choice = {"tasks": ["paint"], "by": by, "chosen": tried[1]["settings"], "tried": tried}
        cases = {"paint": {"nfe": 20, "drawing": tried[1]["settings"]}, "classify": {"nfe": 1}}
        return Run("a", "A", 0, Path(), {}, {}, {"cases": cases}, {"chosen": {}, "tried": [], "drawings": [choice]})

    def test_notes(self) -> None:
        drawn, chosen = drawing_notes("A", [self.run()])
        assert "paint" in drawn and "classify" not in drawn
        assert all(word in chosen for word in ("2 samplers", "kd", "100 validation", "guidance 0"))
        assert drawing_notes("B", []) == []

    def test_points_of_the_frontier(self) -> None:
        points = [(value, chosen) for _, value, _, chosen in strengths(self.run())]
        assert points == [(1.0, False), (0.0, True)]
