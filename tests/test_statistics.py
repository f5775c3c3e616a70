"""Intervals cover what they claim to cover, tests reject as often as they claim, and corner cases say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmbench.scoring.statistics import bca_interval, compare_paired, holm, over_seeds, sign_flip_p, zero_mean_p

pytestmark = pytest.mark.slow


def test_over_seeds_by_hand():
    summary = over_seeds([1.0, 2.0, 4.0])
    assert summary.count == 3
    assert summary.mean == pytest.approx(7 / 3)
    assert summary.sd == pytest.approx(np.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2))
    half = 4.302652729911275 * summary.sd / np.sqrt(3)  # t quantile of 0.975 with 2 degrees of freedom
    assert (summary.low, summary.high) == pytest.approx((7 / 3 - half, 7 / 3 + half))


def test_one_seed_has_no_spread():
    summary = over_seeds([0.5])
    assert (summary.mean, summary.sd, summary.low, summary.high) == (0.5, None, None, None)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_over_seeds_refuses(values):
    with pytest.raises(ValueError, match="one per seed"):
        over_seeds(values)


def chance(share, runs):
    """Three standard errors of a share that was simulated."""
    return 3 * np.sqrt(share * (1 - share) / runs)


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_bca_interval_has_its_coverage(kind):
    rng, runs = np.random.default_rng(11), 200
    covered = 0
    for run in range(runs):
        x = rng.normal(size=100) if kind == "normal" else rng.lognormal(0, 0.5, 100) - np.exp(0.125)  # as of LPIPS
        low, high = bca_interval(x, resamples=299, seed=run)
        covered += low <= 0 <= high
    # of skewed values BCa itself falls a little short
    assert covered / runs == pytest.approx(0.95 - 0.01 * (kind == "skewed"), abs=chance(0.05, runs))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_t_interval_has_its_coverage(count, kind):
    """Of few skewed values it is too narrow by a little, never by much."""
    rng, runs = np.random.default_rng(count), 600
    draws = rng.normal(size=(runs, count)) if kind == "normal" else rng.lognormal(0, 0.5, (runs, count)) - np.exp(0.125)
    covered = np.mean([s.low <= 0 <= s.high for s in map(over_seeds, draws)])
    assert abs(covered - 0.95) <= chance(0.05, runs) if kind == "normal" else covered >= 0.93 - chance(0.07, runs)


@pytest.mark.parametrize("truth", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [3, 5])
def test_intervals_of_shares_stay_within_0_and_1_and_have_their_coverage(count, truth):
    """Skewed near 1, where a plain interval leaves [0, 1] and covers less."""
    rng, runs = np.random.default_rng([count, round(100 * truth)]), 500
    own = rng.beta(300 * truth, 300 * (1 - truth), (runs, count))
    summaries = [over_seeds(row, bounds=(0, 1)) for row in own]
    plain = [over_seeds(row) for row in own]
    assert all(0 <= s.low <= s.mean <= s.high <= 1 for s in summaries)
    assert truth < 0.99 or max(s.high for s in plain) > 1
    covered, usual = (np.mean([s.low <= truth <= s.high for s in found]) for found in (summaries, plain))
    assert covered >= 0.95 - chance(0.05, runs) and covered >= usual - 0.01


def test_intervals_of_distances_stay_above_0_and_have_their_coverage():
    """Three seeds that spread by half of their mean: a plain interval goes below 0."""
    draws = np.random.default_rng(0).lognormal(-(0.5**2) / 2, 0.5, (500, 3))  # of mean 1
    summaries, plain = [over_seeds(row, bounds=(0, np.inf)) for row in draws], [over_seeds(row) for row in draws]
    assert all(0 <= s.low <= s.mean <= s.high for s in summaries) and min(s.low for s in plain) < 0
    covered, usual = (np.mean([s.low <= 1 <= s.high for s in kind]) for kind in (summaries, plain))
    assert covered >= 0.95 - chance(0.05, 500) and covered >= usual - 0.01
    assert over_seeds([0.0, 0.0, 1e-300], bounds=(0, np.inf)).low >= 0


def test_an_interval_far_from_its_bounds_is_the_plain_one():
    plain, bounded = over_seeds([0.50, 0.51, 0.49]), over_seeds([0.50, 0.51, 0.49], bounds=(0, 1))
    assert (bounded.low, bounded.high) == pytest.approx((plain.low, plain.high), abs=1e-4)
    assert over_seeds([-0.9, -1.0], bounds=(-1, 1)).low >= -1
    with pytest.raises(ValueError, match="not between"):
        over_seeds([1.1, 1.2], bounds=(0, 1))


def two_levels(rng, seeds, share, images=100):
    """Differences (seeds, images) with a true mean of 0; `share` of the variance of their mean is the trainings'."""
    of_image = np.sqrt((1 - share) * images)
    rest = 0.5 * of_image * rng.normal(size=(seeds, images))
    return np.sqrt(share * seeds) * rng.normal(size=(seeds, 1)) + of_image * (rng.exponential(size=images) - 1) + rest


@pytest.mark.parametrize(("seeds", "share"), [(2, 0.5), (3, 0.5), (3, 0.9)])
def test_over_images_alone_retraining_is_misread_and_over_both_it_is_not(seeds, share):
    rng, runs = np.random.default_rng([seeds, round(100 * share)]), 120
    wrong, by_p = np.zeros(2), 0.0
    for run in range(runs):
        found = compare_paired(two_levels(rng, seeds, share), np.zeros((seeds, 100)), resamples=199, seed=run)
        wrong += [found.clear, found.retrained.clear]
        by_p += found.retrained.p <= 0.05
    expected = 2 * stats.norm.sf(1.96 * np.sqrt(1 - share))  # of an interval that is too narrow by that root
    assert wrong[0] / runs == pytest.approx(expected, abs=0.02 + chance(expected, runs)) and expected > 0.08
    assert max(wrong[1], by_p) / runs <= 0.05 + chance(0.05, runs)


def test_over_both_is_over_images_where_trainings_agree_and_over_seeds_where_images_do():
    rng = np.random.default_rng(2)
    images, seeds = rng.normal(0.1, 1, 50), np.array([0.3, 0.1, 0.4])
    alike = compare_paired(np.tile(images, (3, 1)), np.zeros((3, 50)), resamples=999)
    assert (alike.retrained.low, alike.retrained.high) == pytest.approx((alike.low, alike.high))
    assert alike.retrained.p == pytest.approx(stats.ttest_1samp(images, 0).pvalue)
    steady = compare_paired(np.tile(seeds[:, None], (1, 50)), np.zeros((3, 50)), resamples=999)
    summary = over_seeds(seeds)
    assert (steady.retrained.low, steady.retrained.high) == pytest.approx((summary.low, summary.high))
    assert steady.retrained.p == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue) == pytest.approx(zero_mean_p(seeds))
    assert steady.retrained.by_seed == pytest.approx(tuple(seeds))
    assert compare_paired(images, np.zeros(50), resamples=99).retrained is None
    nothing = compare_paired(np.ones((2, 9)), np.ones((2, 9)), resamples=99).retrained
    assert (nothing.low, nothing.high, nothing.p, nothing.clear) == (0, 0, 1, False)


def test_zero_mean_p_is_the_t_test_of_scipy_and_equal_values_have_no_spread():
    x = np.random.default_rng(0).normal(0.4, 1.0, 5)
    assert zero_mean_p(list(x)) == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
    assert [zero_mean_p(values) for values in ([0.4], [0.2, 0.2], [0.0, 0.0])] == [None, 0.0, 1.0]


def test_adjusted_sign_flip_tests_keep_the_family_wise_error():
    """Of a table whose methods are all compared with one baseline, and all alike."""
    rng, runs, cells = np.random.default_rng(4), 100, 8
    wrong = 0
    for run in range(runs):
        values = rng.lognormal(0, 0.5, (cells + 1, 60))
        p = [sign_flip_p(x - values[0], resamples=199, seed=run) for x in values[1:]]
        wrong += min(holm(p)) <= 0.05
    assert wrong / runs <= 0.05 + chance(0.05, runs)


def test_sign_flip_test_keeps_its_level_and_has_power():
    rng, runs = np.random.default_rng(3), 200
    null = [sign_flip_p(rng.standard_t(4, 60), resamples=199, seed=i) <= 0.05 for i in range(runs)]
    assert np.mean(null) == pytest.approx(0.05, abs=chance(0.05, runs))
    shifted = [sign_flip_p(rng.standard_t(4, 60) + 0.8, resamples=199, seed=i) <= 0.05 for i in range(50)]
    assert np.mean(shifted) > 0.9


def test_sign_flip_agrees_with_scipy_on_all_sign_patterns():
    x = np.array([0.3, -0.1, 0.5, 0.2, 0.4, -0.05, 0.6, 0.1])
    exact = stats.permutation_test((x,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False)
    assert sign_flip_p(x, resamples=60_000) == pytest.approx(exact.pvalue, abs=0.005)


def test_smallest_p_value_counts_the_observed_signs():
    assert sign_flip_p(np.full(200, 1.0), resamples=999) == pytest.approx(1 / 1000)


def test_seeds_are_averaged_per_image_before_the_bootstrap():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 50)), rng.normal(size=(3, 50))
    pooled = compare_paired(first, second, resamples=499)
    assert replace(pooled, retrained=None) == compare_paired(first.mean(axis=0), second.mean(axis=0), resamples=499)
    assert pooled.count == 50  # images, not images times seeds
    assert pooled.difference == pytest.approx(first.mean() - second.mean())


def test_large_inputs_in_chunks_give_the_same_as_at_once(monkeypatch):
    x = np.random.default_rng(0).normal(0.1, 1, 200)
    whole = (bca_interval(x, resamples=999), sign_flip_p(x, resamples=999))
    monkeypatch.setattr("mmbench.scoring.statistics.CHUNK", 200 * 64)
    assert (bca_interval(x, resamples=999), sign_flip_p(x, resamples=999)) == whole


def test_degenerate_differences():
    equal = compare_paired(np.ones(10), np.ones(10))
    assert (equal.difference, equal.low, equal.high, equal.p, equal.clear) == (0, 0, 0, 1, False)
    constant = compare_paired(np.full(10, 3.0), np.ones(10))
    assert (constant.low, constant.high, constant.clear) == (2, 2, True)
    single = compare_paired(np.ones(1), np.zeros(1))
    assert (single.difference, single.low, single.high, single.p, single.clear) == (1, None, None, None, False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.ones(3), np.ones(4)),
        (np.ones(0), np.ones(0)),
        (np.array([1, np.nan]), np.ones(2)),
        (np.ones((2, 3)), np.ones((3, 3))),
    ],
)
def test_compare_refuses(first, second):
    with pytest.raises(ValueError, match="same images"):
        compare_paired(first, second)


def test_holm_by_hand():
    # sorted: .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, .04 x 1 = .04 raised to .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_exactly_what_the_step_down_procedure_rejects(p):
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for step, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[index] * (len(p) - step) > alpha:
                break
            rejected.add(index)
        assert {i for i, q in enumerate(holm(p)) if q <= alpha} == rejected


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="within"):
        holm([0.1, 1.2])
