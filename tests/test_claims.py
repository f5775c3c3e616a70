"""Claims: the language they are written in, the rule that makes verdicts, and the table of them."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fake_joint import write_joint
from fake_results import METHODS, write_results
from hypothesis import given
from hypothesis import strategies as st

from mmbench.claims.evidence import Evidence
from mmbench.claims.language import Number, parse_bounds, parse_formula
from mmbench.claims.power import POWER, Needed, combine, needed_for, seeds_needed
from mmbench.claims.statements import Statement, load_claims, read_claims
from mmbench.claims.verdicts import Outcome, assess, assess_all, join, shares, state_of, summarise
from mmbench.cli.app import main
from mmbench.errors import UserError
from mmbench.files.store import read_json
from mmbench.report.parts.claims import claims_table, remarks, trials_frame, write_claims
from mmbench.report.tables.table import to_csv, to_json, to_latex, to_markdown
from mmbench.runs.results import load_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
REFERENCE = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/data"))
PART = {
    "what": "a over b",
    "experiment": "masking",
    "task": "reconstruct",
    "ours": 'value("a", "ssim")',
    "holds": "ours > 1",
}


def message(run: Any, *arguments: Any) -> str:
    """The one line that a mistake is answered with."""
    with pytest.raises(UserError) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def claims_of(folder: Path, *parts: Mapping[str, Any], **changes: Any) -> list[Statement]:
    """One claim of these parts, through a file."""
    claim = {"name": "mine", "text": "One.", "source": "here", "paper": None, "parts": [PART | dict(p) for p in parts]}
    (folder / "claims.yaml").write_text(yaml.safe_dump({"claims": [claim | changes]}))
    return read_claims(folder / "claims.yaml", folder)


NUMBERS = {
    Number("a", "m"): 6.0,
    Number(None, "m"): 2.0,
    Number(None, "m", "f"): 3.0,
    Number("a", "m", task="t"): 4.0,
}


class TestExpressions:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('value("a", "m") - best("m")', 4.0),
            ('ratio(value("a", "m"), best("m", by="f"))', 2.0),
            ("-value('a', 'm') * 2 + 1e1 / 4", -9.5),
            ('(1 + value("a", "m", task="t")) * best("m")', 10.0),
            ('1 - ratio(best("m"), value("a", "m", task="t"))', 0.5),
        ],
    )
    def test_ours_is_arithmetic_over_results(self, text: str, value: float) -> None:
        formula = parse_formula(text, "here")
        assert formula.run(NUMBERS) == value
        assert set(formula.numbers) <= set(NUMBERS)
        assert formula.logarithmic == text.startswith("ratio")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ('valu("a", "m")', "column 1: 'valu' does not exist (did you mean 'value'?); there are value, best, ratio"),
            ('1 + value("a")', "column 5: value takes 2: write value(method, metric)"),
            ('value("a", m)', "column 12: 'm' is no name; write it in quotes"),
            ('value("a", "m", case="t")', "value takes task by name, each once"),
            ('value(*["a", "m"])', "value takes 2"),
            ("best('m') + 1" + "0" * 330, "the number is too large"),
            ('ratio(best("m"), 1, by="f")', "ratio takes nothing by name"),
            ('best("m") ** 2', "is not known here; write numbers, + - * / and value, best, ratio"),
            ("ours * 2", "'ours' is not known here"),
            ('__import__("os").system("true")', "does not exist"),
            ('best("m") if 1 else 2', "is not known here"),
            ('best("m") + 1e999', "column 13: the number is too large"),
            ('best("m"', "column 5: '(' was never closed; correct the expression"),
            ("1 / 3", "asks for no result; compare value(method, metric)"),
        ],
    )
    def test_anything_else_is_refused_where_it_is(self, text: str, says: str) -> None:
        assert message(parse_formula, text, "file: claim").startswith("file: claim: ")
        assert says in message(parse_formula, text, "file: claim")

    @given(st.text(alphabet="valuebstrio(),\"'=+-*/%<>[]{}.:0123456789 \0é\n", max_size=60))
    def test_no_text_does_anything_but_parse_or_be_refused(self, text: str) -> None:
        for read in (lambda: parse_formula(text, "here"), lambda: parse_bounds(text, "here", 0.1)):
            try:
                read()
            except UserError as error:
                assert str(error).startswith("here")

    @given(st.recursive(
        st.floats(0.5, 9).map(lambda x: f"{x:.3f}") | st.just('best("m")'),
        lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        max_leaves=8,
    ))  # fmt: skip
    def test_arithmetic_is_python_s(self, text: str) -> None:
        text = f'best("m") + {text}'
        try:
            expected = eval(text, {"best": lambda _: 2.0})
        except ZeroDivisionError:
            return
        assert parse_formula(text, "here").run(NUMBERS) == expected

    @pytest.mark.parametrize(
        ("text", "inside", "outside"),
        [
            ("ours < 1", [-5, 0.999], [1, 2]),
            ("1 > ours", [0.999], [1]),
            ("ours >= 10 * (1 - margin)", [9, 50], [8.999]),
            ("-margin <= ours < 0", [-0.1, -0.01], [-0.101, 0]),
            ("margin > ours > -margin", [0], [0.1, -0.1]),
            ("1 <= ours <= 1", [1], [0.99, 1.01]),
        ],
    )
    def test_holds_is_an_interval(self, text: str, inside: Sequence[float], outside: Sequence[float]) -> None:
        bounds = parse_bounds(text, "here", 0.1 if "margin" in text else None)
        assert all(bounds.contain(x, x) and not bounds.miss(x, x) for x in inside)
        assert all(bounds.miss(x, x) and not bounds.contain(x, x) for x in outside)
        both = sorted((inside[0], outside[0]))
        assert not bounds.contain(*both) and not bounds.miss(*both)

    @pytest.mark.parametrize(
        ("text", "margin", "says"),
        [
            ("ours", None, "does not compare by < <= > or >=; write it like ours < 1"),
            ("ours < 1 < 2", None, "column 8: one side must be ours"),
            ("0 < ours > 1", None, "has two lower ends; write one"),
            ("2 < ours < 1", None, "can never hold; exchange its ends"),
            ("ours < 1 / 0", None, "divides by 0"),
            ("ours < x", None, "column 8: 'x' is no constant here"),
            ("ours < 1 + margin", None, "'margin' is no constant here; write a number, or margin and give its value"),
            ("ours < 1", 0.1, "and margin do not go together"),
        ],
    )
    def test_what_is_no_comparison_is_refused(self, text: str, margin: float | None, says: str) -> None:
        assert says in message(parse_bounds, text, "here", margin)


BELOW_ONE = parse_bounds("ours < 1", "here", None)


class TestRule:
    def test_a_case_holds_fails_or_is_open_by_its_whole_interval(self) -> None:
        assert state_of([0.80, 0.81, 0.82], True, BELOW_ONE, 1, 1) == "holds"
        assert state_of([1.20, 1.21, 1.22], True, BELOW_ONE, 1, 1) == "fails"
        assert state_of([0.80, 0.95, 0.99], True, BELOW_ONE, 1, 1) == "open"

    def test_one_seed_or_seeds_without_spread_decide_nothing(self) -> None:
        assert {state_of(x, False, BELOW_ONE, 1, 1) for x in ([0.1], [], [0.1, 0.1, 0.1])} == {"open"}

    def test_sharing_the_error_asks_for_more(self) -> None:
        values = [0.80, 0.90, 0.85]
        assert state_of(values, True, BELOW_ONE, 1, 1) == "holds"
        assert state_of(values, True, BELOW_ONE, 20, 1) == "open"
        assert state_of([1 / x for x in values], True, BELOW_ONE, 20, 1) == "fails"
        assert state_of([1 / x for x in values], True, BELOW_ONE, 1, 20) == "open"
        assert shares("every", 4, 3) == (1, 12) and shares("some", 4, 3) == (4, 3)

    def test_the_interval_of_a_ratio_turns_round_with_it(self) -> None:
        found, turned = summarise([0.5, 0.7, 0.8], True), summarise([2, 1 / 0.7, 1 / 0.8], True)
        assert turned.mean == pytest.approx(1 / found.mean) == pytest.approx((0.5 * 0.7 * 0.8) ** (-1 / 3))
        assert (turned.low, turned.high) == pytest.approx((1 / found.high, 1 / found.low))  # type: ignore[operator]
        with pytest.raises(ValueError, match="no logarithm"):
            summarise([1.0, 0.0], True)

    @pytest.mark.parametrize(
        ("states", "every", "some"),
        [
            (["holds", "holds"], "holds", "holds"),
            (["holds", "open"], "open", "holds"),
            (["holds", "fails"], "fails", "holds"),
            (["open", "fails"], "fails", "open"),
            (["fails", "fails"], "fails", "fails"),
            ([], "open", "open"),
        ],
    )
    def test_cases_are_joined_by_every_or_some(self, states: Any, every: str, some: str) -> None:
        assert (join(states, "every"), join(states, "some")) == (every, some)

    @pytest.mark.parametrize("over", ["every", "some"])
    def test_nothing_but_noise_is_rarely_called_anything(self, over: Any) -> None:
        """Four cases of differences around 0: of "some is above 0" the best is picked, of "every" the worst refutes."""
        rng, bounds, wrong, runs = np.random.default_rng(5), parse_bounds("ours > 0", "", None), 0, 150
        for _ in range(runs):
            cases = rng.normal(0, 1, (4, 3))
            part = join([state_of(list(case), False, bounds, *shares(over, 4, 1)) for case in cases], over)
            wrong += part == ("holds" if over == "some" else "fails")
        assert wrong / runs <= 0.05  # unadjusted: 0.1


def evidence(**methods: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Evidence]:
    """Masking with these values by method, metric and case."""
    values = {
        (method, metric, case): dict(enumerate(seeds))
        for method, metrics in methods.items()
        for metric, cases in metrics.items()
        for case, seeds in cases.items()
    }
    cases = list(dict.fromkeys(case for _, _, case in values))
    tasks = {"reconstruct": [c for c in cases if c != "generate"], "generate": ["generate"]}
    return {"masking": Evidence(values, {"up": True, "down": False}, [m for m in methods if m != "mine"], tasks)}


RATIO = {"ours": 'ratio(value("mine", "down"), value("b", "down"))', "holds": "ours < 1"}


class TestVerdicts:
    def outcome(self, folder: Path, found: Mapping[str, Evidence], *parts: Mapping[str, Any]) -> Outcome:
        return assess(claims_of(folder, *parts)[0], found)

    @pytest.mark.parametrize(
        ("mine", "verdict"),
        [
            ([0.50, 0.52, 0.54], "reproduced"),
            ([1.50, 1.52, 1.54], "not reproduced"),
            ([0.80, 1.10, 0.95], "inconclusive"),
            ([0.50], "inconclusive"),
        ],
    )
    def test_every_verdict_can_be_had(self, tmp_path: Path, mine: list[float], verdict: str) -> None:
        found = evidence(mine={"down": {"a": mine}}, b={"down": {"a": [1.0, 1.01, 1.02]}})
        assert self.outcome(tmp_path, found, RATIO).verdict == verdict
        assert self.outcome(tmp_path, {}, RATIO).verdict == "not tested"

    def test_what_contradicts_itself_is_never_reproduced(self, tmp_path: Path) -> None:
        found = evidence(mine={"down": {"a": [0.50, 0.52, 0.54]}}, b={"down": {"a": [1.0, 1.01, 1.02]}})
        stated = claims_of(tmp_path, RATIO, contested="its table says the opposite")[0]
        outcome = assess(stated, found)
        assert (outcome.verdict, outcome.parts[0].state) == ("contested", "holds")
        assert assess(stated, {}).verdict == "not tested"

    def test_seeds_are_paired_and_those_not_shared_are_left_out(self, tmp_path: Path) -> None:
        """Both vary a lot and together: seed by seed the ratio is clear."""
        found = evidence(mine={"down": {"a": [1.0, 4.1, 9.2, 5.0]}}, b={"down": {"a": [2.0, 8.0, 18.0]}})
        outcome = self.outcome(tmp_path, found, RATIO)
        trial = outcome.parts[0].trials[0]
        assert trial.values == {0: 0.5, 1: 4.1 / 8, 2: 9.2 / 18} and list(trial.dropped) == [3]
        assert outcome.verdict == "reproduced" and trial.methods == ["mine", "b"]

    def test_the_best_baseline_is_by_its_mean_and_never_ours(self, tmp_path: Path) -> None:
        found = evidence(
            mine={"down": {"a": [0.1, 0.1]}, "up": {"a": [0.9, 0.9]}},
            b={"down": {"a": [3.0, 3.2]}, "up": {"a": [0.5, 0.5]}},
            c={"down": {"a": [1.0, 5.0]}, "up": {"a": [0.2, 0.3]}},
        )
        parts = [{"ours": 'best("up")', "holds": "ours > 0"}, {"ours": 'best("up", by="down")', "holds": "ours > 0"}]
        trials = [part.trials[0] for part in self.outcome(tmp_path, found, *parts).parts]
        assert [list(trial.methods) for trial in trials] == [["b"], ["c"]]
        assert trials[1].values == {0: 0.2, 1: 0.3}

    def test_a_number_of_another_task_is_of_its_only_case(self, tmp_path: Path) -> None:
        found = evidence(mine={"up": {"a": [0.5, 0.6], "b": [0.7, 0.7], "generate": [0.4, 0.45]}})
        part = {"ours": 'value("mine", "up") - value("mine", "up", task="generate")', "holds": "ours > 0"}
        trials = self.outcome(tmp_path, found, part).parts[0].trials
        assert [trial.values[0] for trial in trials] == pytest.approx([0.1, 0.3])
        part = {"ours": 'value("mine", "up", task="reconstruct")', "holds": "ours > 0", "task": "generate"}
        assert self.outcome(tmp_path, found, part).missing == ["masking: task reconstruct has 2 cases, not one"]

    def test_what_is_lacking_keeps_from_being_reproduced_but_not_from_failing(self, tmp_path: Path) -> None:
        lacking = {"ours": 'value("nobody", "up")', "holds": "ours > 0"}
        for mine, verdict in (([0.5, 0.51], "inconclusive"), ([1.5, 1.51], "not reproduced")):
            found = evidence(mine={"down": {"a": mine}}, b={"down": {"a": [1.0, 1.0]}})
            outcome = self.outcome(tmp_path, found, RATIO, lacking, lacking)
            assert outcome.verdict == verdict and outcome.missing == ["masking: no nobody"]

    def test_one_of_many_cases_is_not_taken_for_the_only_one(self, tmp_path: Path) -> None:
        others = {f"c{i}": [0.9, 1.2, 1.0] for i in range(4)}
        found = evidence(mine={"down": {"a": [0.80, 0.90, 0.85]}}, b={"down": {"a": [1.0, 1.0, 1.0]}})
        many = evidence(mine={"down": {"a": [0.80, 0.90, 0.85], **others}},
                        b={"down": {"a": [1.0, 1.0, 1.0], **{c: [1.0, 1.0, 1.0] for c in others}}})  # fmt: skip
        assert self.outcome(tmp_path, found, RATIO | {"over": "some"}).verdict == "reproduced"
        assert self.outcome(tmp_path, many, RATIO | {"over": "some"}).verdict == "inconclusive"

    def test_a_value_that_has_no_ratio_stays_open(self, tmp_path: Path) -> None:
        found = evidence(mine={"down": {"a": [0.5, 0.6]}}, b={"down": {"a": [0.0, 1.0]}})
        trial = self.outcome(tmp_path, found, RATIO).parts[0].trials[0]
        assert (trial.state, trial.summary) == ("open", None) and "has no ratio" in trial.why


class TestPower:
    def test_that_many_seeds_decide_as_often_as_is_said(self) -> None:
        """Simulated: of trainings as far from 1 and as spread as these, 80 in 100 tests of that many seeds decide."""
        rng, runs = np.random.default_rng(3), 400
        for distances, bounds in (([0.8], "ours < 0"), ([1.0, 1.4], "-1 < ours < 1.4")):
            n, holds = int(seeds_needed(distances, 0.95)), parse_bounds(bounds, "", None)
            draws = rng.normal(-distances[0] if len(distances) == 1 else 0, 1, (runs, n))
            decided = np.mean([state_of(list(x), False, holds, 1, 1) == "holds" for x in draws])
            assert decided >= POWER - 3 * np.sqrt(POWER * (1 - POWER) / runs)
            assert len(distances) == 2 or decided <= POWER + 0.03 + 3 * np.sqrt(
                POWER * (1 - POWER) / runs
            )  # of two ends it is cautious

    def test_more_are_needed_the_nearer_the_mean_is_and_the_surer_it_must_be(self) -> None:
        assert seeds_needed([2], 0.95) < seeds_needed([1], 0.95) < seeds_needed([1], 0.99) < seeds_needed([0.2], 0.95)
        assert math.isinf(seeds_needed([0.01], 0.95)) and math.isinf(seeds_needed([0.0], 0.95))

    def test_every_case_waits_for_the_last_and_some_for_the_first(self) -> None:
        parts = [Needed(holds=0), Needed(holds=9), Needed(holds=5)]
        assert combine(parts, "every") == Needed(holds=9) and combine(parts, "some").holds == 0
        assert combine([*parts, Needed(fails=30)], "every") == Needed(fails=30)
        assert combine([Needed(fails=7), Needed(fails=3)], "some") == Needed(fails=7)

    def test_an_inconclusive_claim_says_how_many_seeds_would_decide_it(self, tmp_path: Path) -> None:
        found = evidence(mine={"down": {"a": [0.80, 1.10, 0.90]}}, b={"down": {"a": [1.0, 1.0, 1.0]}})
        outcome = assess(claims_of(tmp_path, RATIO)[0], found)
        needed = needed_for(outcome.parts)
        logs = np.log([0.80, 1.10, 0.90])
        assert needed.holds == seeds_needed([-logs.mean() / logs.std(ddof=1)], 0.95) and needed.decision == "holds"
        assert remarks(outcome) == [f"about {needed.holds} seeds would decide it: reproduced"]
        alone = assess(claims_of(tmp_path, RATIO)[0], evidence(mine={"down": {"a": [0.8]}}, b={"down": {"a": [1.0]}}))
        assert math.isinf(needed_for(alone.parts).seeds) and "not known" in remarks(alone)[0]
        both = assess(claims_of(tmp_path, RATIO, {"experiment": "labels"})[0], found)
        assert math.isinf(needed_for(both.parts).seeds) and "tested here" in remarks(both)[0]


class TestFile:
    @pytest.mark.parametrize(
        ("part", "changes", "says"),
        [
            ({}, {"papr": "x"}, "claim 'mine': key: 'papr' does not exist (did you mean 'paper'?)"),
            ({}, {"name": "My claim"}, "claim 'My claim': name: got 'My claim'"),
            ({}, {"parts": []}, "claim 'mine': write parts that test it, or in not_testable why nothing does"),
            ({"over": "most"}, {}, "claim 'mine': part 1: over: got 'most'; input should be 'every' or 'some'"),
            ({"ours": "best()"}, {}, "claim 'mine': part 1: ours: column 1: best takes 1: write best(metric)"),
            ({"margin": 0.1}, {}, "part 1: margin and why go together"),
            ({"margin": 0.1, "why": "so"}, {}, "part 1: holds: 'ours > 1' and margin do not go together"),
        ],
    )
    def test_a_mistake_is_named_with_its_claim_and_part(
        self, tmp_path: Path, part: dict[str, Any], changes: dict[str, Any], says: str
    ) -> None:
        found = message(lambda: claims_of(tmp_path, part, **changes))
        assert found.startswith("claims.yaml: claim '") and says in found

    def test_names_are_given_once(self, tmp_path: Path) -> None:
        entry = {"name": "a", "text": "t", "source": "s", "paper": None, "parts": [PART]}
        (tmp_path / "claims.yaml").write_text(yaml.safe_dump({"claims": [entry, copy.deepcopy(entry)]}))
        assert "claim 'a': there is a claim of this name" in message(read_claims, tmp_path / "claims.yaml", tmp_path)

    @pytest.mark.parametrize(
        ("part", "says"),
        [
            ({"experiment": "maskng"}, "experiment: 'maskng' does not exist (did you mean 'masking'?)"),
            ({"task": "reconstrct"}, "task: 'reconstrct' does not exist (did you mean 'reconstruct'?)"),
            ({"ours": 'value("palete", "ssim")'}, "method: 'palete' does not exist (did you mean 'palette'?)"),
            (
                {"ours": 'value("ddpm", "lpips_alxe")'},
                "metric: 'lpips_alxe' does not exist (did you mean 'lpips_alex'?)",
            ),
            ({"ours": 'value("ddpm", "ssim", task="x")'}, "task: 'x' does not exist"),
        ],
    )
    def test_every_name_must_exist(self, tmp_path: Path, part: dict[str, Any], says: str) -> None:
        claims_of(tmp_path, part)
        found = message(load_claims, ROOT, tmp_path / "claims.yaml")
        assert says in found and "claims.yaml: claim 'mine': part 1: " in found


@pytest.fixture(scope="module")
def shipped() -> list[Statement]:
    return load_claims(ROOT)


class TestShipped:
    def test_every_claim_can_have_every_verdict(self, shipped: list[Statement]) -> None:
        """On made-up numbers of all that is named: each part is evaluated, and none is decided by how it is written."""
        for stated in (s for s in shipped if s.comparisons):
            claim = stated.claim.model_copy(update={"contested": None})
            for comparison in stated.comparisons:
                alone, wanted_too = (
                    Statement(claim, [comparison]),
                    {"reproduced", "not reproduced", "inconclusive"},
                )
                for seed in range(2000):  # most find all three within twenty
                    outcome = assess(alone, made_up(alone, seed))
                    assert not outcome.missing and outcome.parts[0].trials
                    wanted_too.discard(outcome.verdict)
                    if not wanted_too:
                        break
                assert not wanted_too, comparison.where


def made_up(stated: Statement, seed: int) -> dict[str, Evidence]:
    """Numbers for all that a claim asks for, of two cases in a task and three seeds."""
    rng = np.random.default_rng(seed)
    found: dict[str, Evidence] = {}
    for comparison in stated.comparisons:
        part, numbers = comparison.part, comparison.ours.numbers
        own = found.setdefault(part.experiment, Evidence({}, {}, ["other"], {}))
        others = {number.task for number in numbers} - {None}
        own.cases[part.task] = [part.task] if others else [f"{part.task}-1", f"{part.task}-2"]  # type: ignore[index]
        own.cases.update({task: [task] for task in others})  # type: ignore[attr-defined]
        for case in [*own.cases[part.task], *others]:
            for number in numbers:
                for metric in {number.metric, number.by or number.metric}:
                    spread = rng.choice([0.004, 0.004, 0.004, 0.3])
                    level = 0.2 * math.exp(rng.choice([-1.2, -0.03, 0.0, 0.03, 1.2]))
                    values = {s: level * math.exp(rng.normal(0, spread)) for s in range(3)}
                    own.values.setdefault((number.method or "other", metric, case), values)  # type: ignore[attr-defined]
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masking and joint in one profile."""
    folder = tmp_path_factory.mktemp("claims") / "quick"
    write_joint(folder, predictions=False)
    return write_results(folder, predictions=False, items=8)


class TestReport:
    def test_the_table_says_what_the_numbers_say(self, tree: Path, tmp_path: Path, shipped: list[Statement]) -> None:
        fill = 'ratio(value("unet_regression", "lpips_alex"), value("mean_fill", "lpips_alex"))'
        sure = claims_of(tmp_path, {"ours": fill, "holds": "ours < 1"})
        results = load_results(tree)
        found = assess_all([*shipped, *sure], results)
        verdicts = {outcome.statement.claim.name: outcome.verdict for outcome in found}
        assert {"reproduced", "not reproduced", "not tested"} <= {*verdicts.values()}
        assert verdicts["mine"] == "reproduced"
        table = claims_table(found, results)
        rows = {row[0].text: row for row in table.rows}
        for outcome in found:
            claim = outcome.statement.claim
            assert (claim.text in rows) == (outcome.verdict != "not tested")
            named = re.split(r"[ ,;]+", table.notes[-1])
            assert (claim.name in named) == (outcome.verdict == "not tested")
        generation = rows[next(s.claim.text for s in shipped if s.claim.name == "unconditional-generation")]
        assert generation[3].text == "1.117 [1.108, 1.125]" and "fails" in generation[3].lines[-1]
        assert generation[4].text == "contested" and generation[4].tone == "unclear"
        assert generation[5].text == (
            "Toy streets, 32 × 32; 400 training images; 600 training steps, 38,400 images seen, 2.69 million "
            "parameters, seeds 0, 1 and 2, 8 items a case"
        )
        frame = trials_frame(found)
        assert set(frame["verdict"]) == set(verdicts.values()) - {"not tested"}
        own = frame[frame["claim"] == "unconditional-generation"].iloc[0]
        ratios = [(33 * 1.12 + seed) / (33 + seed) for seed in range(3)]  # as fake_results makes them
        assert own[["seed0", "seed1", "seed2"]].tolist() == pytest.approx(ratios)
        assert own["mean"] == pytest.approx(math.prod(ratios) ** (1 / 3))
        for form in (to_csv, to_json, to_markdown, to_latex):
            assert "not reproduced" in str(form(table))

    def test_one_seed_is_inconclusive_throughout(self, tree: Path, shipped: list[Statement]) -> None:
        results = load_results(tree, seeds=[0])
        table = claims_table(assess_all(shipped, results), results)
        assert {row[4].text for row in table.rows} == {"inconclusive", "contested"}
        assert all("one training seed: no interval" in " ".join(row[3].lines) for row in table.rows)
        assert all("one seed (0)" in row[5].text for row in table.rows)

    def test_results_that_test_nothing_say_so(self, tmp_path: Path) -> None:
        write_results(tmp_path / "quick", methods=METHODS[2:3], predictions=False, items=4, seeds=(0,))
        claims, results = (
            claims_of(tmp_path, {"experiment": "labels", "task": "classify"}),
            load_results(tmp_path / "quick"),
        )
        found, written = write_claims(assess_all(claims, results), results, tmp_path / "tables")
        assert found["tally"] == "None of the 1 claims is tested by these results." and len(written) == 4
        assert "mine (no experiment labels)" in found["table"].notes[-1]

    def test_the_command_prints_them(self, tree: Path, tmp_path: Path, capsys: Any) -> None:
        main(["claims", "--results", str(tree), "--out", str(tmp_path)])
        out = capsys.readouterr().out
        assert "\nCONTESTED: unconditional-generation\n" in out and "1.117 [1.108, 1.125], fails" in out
        assert "second-hand" in out and "Not tested here: " in out and max(map(len, out.splitlines())) <= 110
        assert (tmp_path / "claims.md").is_file() and (tmp_path / "claims-trials.csv").is_file()


@pytest.mark.parametrize("folder", REFERENCE, ids=lambda path: path.name)
def test_the_committed_verdicts_are_those_of_the_committed_results(
    folder: Path, tmp_path: Path, shipped: list[Statement]
) -> None:
    results = load_results(folder)
    write_claims(assess_all(shipped, results), results, tmp_path)
    shown = folder.relative_to(ROOT)
    again = f"run `mmbench claims --results {shown} --out {shown}/tables`"
    for path in sorted(tmp_path.iterdir()):
        stored = folder / "tables" / path.name
        assert stored.is_file() and path.read_text() == stored.read_text(), again
    assert read_json(tmp_path / "claims.json")["rows"]
