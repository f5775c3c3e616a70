"""How sure a number is: over training seeds, over images, and over many comparisons.

Two kinds of spread are kept apart. `over_seeds` says how much a *retrained* method would differ; `compare_paired` says
how much *other test images* would change the difference of these very trainings. Neither contains the other. Distances
between sets (FD, KD) and k-NN metrics are never bootstrapped: resampling repeats points, which biases them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
RESAMPLES = 9_999
SEED = 20_240_517
#: Values drawn at a time, to bound memory (float64: 8 bytes each).
CHUNK = 8_000_000


@dataclass(frozen=True)
class SeedSummary:
    """Mean over training seeds and its t-interval.

    Attributes:
        count: number of seeds.
        mean: their mean.
        sd: sample standard deviation (n - 1); None with one seed, which says nothing about spread.
        low: lower end of the t-interval of the mean; None with one seed.
        high: upper end.
    """

    count: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Mean per-image difference of two methods, image-level interval and p-value.

    Attributes:
        count: number of images.
        difference: mean of first minus second.
        low: lower end of the BCa interval; None with one image.
        high: upper end.
        p: two-sided p-value of the sign-flip test of a mean difference of 0; None with one image.
    """

    count: int
    difference: float
    low: float | None
    high: float | None
    p: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval exists and leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def over_seeds(values: Sequence[float], level: float = LEVEL) -> SeedSummary:
    """Mean, standard deviation and Student-t interval of one number per training seed.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"need finite numbers, one per seed, got {values!r}")
    mean = float(x.mean())
    if len(x) == 1:
        return SeedSummary(1, mean, None, None, None)
    if np.ptp(x) == 0:  # what is equal has no spread, not that of rounding its mean
        return SeedSummary(len(x), float(x[0]), 0.0, float(x[0]), float(x[0]))
    sd = float(x.std(ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, len(x) - 1)) * sd / np.sqrt(len(x))
    return SeedSummary(len(x), mean, sd, mean - half, mean + half)


def zero_mean_p(values: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's t-test that the mean of one number per training seed is 0; None with one seed."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return None
    if np.ptp(x) == 0:  # what is equal has no spread, not that of rounding
        return 1.0 if x[0] == 0 else 0.0
    return float(stats.ttest_1samp(x, 0.0).pvalue)


def compare_paired(
    first: np.ndarray, second: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> PairedDifference:
    """Compare two methods on the same images.

    Args:
        first: values (seeds, images), or (images,) for one training; averaged over seeds before anything else.
        second: the same images; the number of seeds may differ.
        level: of the interval.
        resamples: of the bootstrap and of the sign-flip test.
        seed: of both.

    Returns:
        Mean of first minus second, its BCa interval (Efron 1987) and its p-value, both over images.

    Raises:
        ValueError: the numbers of images differ, there are none, or a value is not finite.
    """
    a, b = (np.atleast_2d(np.asarray(x, dtype=float)).mean(axis=0) for x in (first, second))
    if a.shape != b.shape or not a.size or not np.isfinite(a - b).all():
        raise ValueError(f"need finite values of the same images, got shapes {np.shape(first)} and {np.shape(second)}")
    difference = a - b
    mean = float(difference.mean())
    if len(difference) == 1:
        return PairedDifference(1, mean, None, None, None)
    low, high = bca_interval(difference, level=level, resamples=resamples, seed=seed)
    return PairedDifference(len(difference), mean, low, high, sign_flip_p(difference, resamples=resamples, seed=seed))


def bca_interval(
    x: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """BCa bootstrap interval of the mean of `x` (n,), n >= 2. Equal values give an interval of no width."""
    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        return float(x[0]), float(x[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (x,),
            np.mean,
            confidence_level=level,
            n_resamples=resamples,
            batch=max(1, CHUNK // len(x)),
            method="BCa",
            vectorized=True,
            rng=np.random.default_rng(seed),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def sign_flip_p(x: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED) -> float:
    """Two-sided sign-flip (permutation) p-value of a zero mean of the paired differences `x` (n,).

    Under the null hypothesis the two methods are exchangeable on each image, so every sign is as likely as the other.
    Counts the observed signs as one of the draws (Phipson and Smyth 2010): the smallest value is 1 / (resamples + 1).
    """
    rng = np.random.default_rng(seed)
    observed = abs(x.sum())
    tolerance = 1e-12 * np.abs(x).sum()
    extreme, left = 0, resamples
    while left:
        rows = min(left, max(1, CHUNK // len(x)))
        signs = rng.integers(0, 2, size=(rows, len(x)), dtype=np.int8).astype(float) * 2 - 1
        extreme += int(np.count_nonzero(np.abs(signs @ x) >= observed - tolerance))
        left -= rows
    return (extreme + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) of a family of p-values, in the given order.

    Adjusted p_(i) = max over j <= i of min(1, (m - j + 1) p_(j)); valid under any dependence.

    Raises:
        ValueError: a value is not within [0, 1].
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must be within [0, 1], got {p_values!r}")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, (len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped)
    return [float(value) for value in adjusted]
