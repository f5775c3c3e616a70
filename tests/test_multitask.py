"""Delta-m by hand: its sign, its mean over tasks and seeds, its interval, and its row in the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_results import write_results

from mmbench.report.parts.multitask import change_by_seed, delta_m, delta_table
from mmbench.report.parts.section import NumbersOnly, load_section
from mmbench.report.tables.board import Entry
from mmbench.runs.results import load_results
from mmbench.scoring.statistics import over_seeds

pytestmark = pytest.mark.slow


def entry(*values: float) -> Entry:
    return Entry(dict(enumerate(values)), over_seeds(values), 1)


def test_above_0_is_better_whichever_way_a_metric_points() -> None:
    assert change_by_seed(entry(0.9, 0.8), entry(0.8, 0.8), True) == pytest.approx({0: 0.125, 1: 0.0})
    assert change_by_seed(entry(30.0), entry(20.0), False) == pytest.approx({0: -0.5})
    assert change_by_seed(entry(0.9), entry(0.0), True) == {}


def test_it_is_the_mean_over_tasks_of_each_seed_and_the_interval_is_over_seeds() -> None:
    found = delta_m([{0: 0.1, 1: 0.2, 2: 0.3}, {0: -0.3, 1: -0.1, 2: 0.0, 3: 9.0}])
    by_hand = over_seeds([-0.1, 0.05, 0.15])
    assert found is not None and (found.mean, found.low, found.high) == pytest.approx(
        (by_hand.mean, by_hand.low, by_hand.high)
    )
    assert delta_m([{0: 0.1}, {1: 0.1}]) is None and delta_m([]) is None


def test_a_page_has_it_with_the_tasks_that_it_is_of(tmp_path: Path) -> None:
    tree = write_results(tmp_path / "quick", predictions=False, items=4)
    results = load_results(tree)
    context = NumbersOnly(results, results.experiments[0], tmp_path)
    table_of_all = delta_table(context, load_section("masking").build(context))
    assert table_of_all is not None
    values = [row[3].value for row in table_of_all.rows]
    frame = results.experiments[0].metrics
    table = frame.pivot_table("value", ["metric", "case"], ["method", "seed"])
    changes = []
    for metric, twin in (("lpips_alex", "reconstruction_only"), ("fd[vgg16-relu5_3-gap]", "ddpm")):
        own, other = table.loc[metric]["mt_diffusion"], table.loc[metric][twin]
        changes.append(((other - own).div(other.mean(axis=1), axis=0)).mean(axis=0))
    expected = [100 * float(change.mean()) for change in changes]
    assert values == pytest.approx([*expected, float(np.mean(expected))])
