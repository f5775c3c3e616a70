"""How methods may draw: candidates from the configuration, and what of them a training pays for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmbench.config.choice import FIELDS, SCORING, SHARE, affordable, drawings, first_drawing, plan_trials
from mmbench.config.schema import Candidate
from mmbench.report.parts.frontier import strengths
from mmbench.report.tables.cost import drawing_notes
from mmbench.runs.results import Run

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
