"""The uncertainty of a number: over training seeds, over images, over both, and over many comparisons.

Two kinds of spread are separated. `over_seeds` measures how much a *retrained* method would differ; the image-level
part of `compare_paired` measures how much *other test images* would change the difference of these training runs.
Neither includes the other, so with two or more seeds `compare_paired` also has an interval that holds for both at once.
Distances between sets (FD, KD) and k-NN metrics are never bootstrapped: resampling repeats points, which biases them.

How often each interval is wrong is simulated in `benchmarks/intervals.py`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy import optimize, special, stats

LEVEL = 0.95
RESAMPLES = 9_999
SEED = 20_240_517
#: The smallest p-value of a test without resampling, so that rounding does not appear as certainty.
SMALLEST_P = 1e-12
#: Values sampled at a time, to bound memory (float64: 8 bytes each).
CHUNK = 8_000_000

K = TypeVar("K", bound=Hashable)
Interval = tuple[float, float]


class Ends:
    """A result with the ends of an interval, `low` and `high`, or None for both."""

    low: Any
    high: Any

    @property
    def interval(self) -> Interval | None:
        """Both ends."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def clear(self) -> bool:
        """Whether there is an interval that excludes 0."""
        return self.interval is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class SeedSummary(Ends):
    """Mean over training seeds and its t-interval.

    Attributes:
        mean: their mean.
        sd: sample standard deviation (n - 1); None with one seed.
        low: lower end of the t-interval of the mean; None with one seed.
        high: upper end.
    """

    count: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Retrained(Ends):
    """The mean difference of two methods for other training runs on other images.

    Attributes:
        by_seed: the mean difference of each pair of training runs.
        low: lower end of the interval (see `retrained`).
        high: upper end.
        p: two-sided p-value of a mean difference of 0.
    """

    by_seed: tuple[float, ...]
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class PairedDifference(Ends):
    """Mean per-image difference of two methods, image-level interval and p-value.

    Attributes:
        count: number of images.
        difference: mean of first minus second.
        low: lower end of the BCa interval; None with one image.
        high: upper end.
        p: two-sided p-value of the sign-flip test of a mean difference of 0; None with one image.
        retrained: the same over training runs as well; None with one seed or one image.
    """

    count: int
    difference: float
    low: float | None
    high: float | None
    p: float | None
    retrained: Retrained | None = None


def over_seeds(values: Sequence[float], level: float = LEVEL, bounds: Interval | None = None) -> SeedSummary:
    """Mean, standard deviation and Student-t interval of one number per training seed.

    Args:
        values: one value per training seed.
        bounds: the smallest and the largest possible value, which may be infinite: the interval then stays between them
            (see `within`); None for a number without bounds.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"need finite numbers, one per seed, got {values!r}")
    mean = float(x.mean())
    if len(x) == 1:
        return SeedSummary(1, mean, None, None, None)
    if np.ptp(x) == 0:  # equal values have no spread, not even that of rounding their mean
        return SeedSummary(len(x), float(x[0]), 0.0, float(x[0]), float(x[0]))
    sd = float(x.std(ddof=1))
    half = float(special.stdtrit(len(x) - 1, (1 + level) / 2)) * sd / np.sqrt(len(x))
    low, high = (mean - half, mean + half) if bounds is None else within(mean, half, bounds)
    return SeedSummary(len(x), mean, sd, low, high)


def within(mean: float, half: float, bounds: Interval) -> Interval:
    """The ends of an interval `mean` +- `half` on the logit or the log scale, which stay between the bounds.

    With u the mean's place between the bounds, 0 to 1, the interval of logit(u) is `logit(u) +- half' / (u (1 - u))` by
    the delta method, where half' is `half` as a share of their distance. Without an upper bound, the interval of
    log(mean - least) is `+- half / (mean - least)`. It is transformed back, contains the mean, and is near the plain
    interval if that is narrow relative to the distance to either bound.

    Raises:
        ValueError: the mean is not between the bounds.
    """
    least, greatest = bounds
    if not least <= mean <= greatest:
        raise ValueError(f"a mean of {mean} is not between {least} and {greatest}")
    if math.isinf(greatest):
        above = mean - least
        reach = half / above if above else 0.0
        return least + above * math.exp(-reach), least + above * math.exp(reach)
    span = greatest - least
    u = (mean - least) / span
    if u in (0.0, 1.0):
        return mean, mean
    reach = half / span / (u * (1 - u))
    low, high = (float(special.expit(special.logit(u) + sign * reach)) for sign in (-1, 1))
    return least + span * low, least + span * high


def over_logarithms(values: Sequence[float], level: float = LEVEL) -> SeedSummary:
    """Geometric mean of one ratio per training seed, and the t-interval of their logarithms, exponentiated.

    The standard deviation is that of the logarithms.

    Raises:
        ValueError: there are no values, or one is not finite and above 0.
    """
    if min(values, default=0) <= 0:
        raise ValueError("a ratio that is not above 0 has no logarithm")
    summary = over_seeds([math.log(value) for value in values], level)
    low, high = (None if end is None else _exp(end) for end in (summary.low, summary.high))
    return SeedSummary(summary.count, _exp(summary.mean), summary.sd, low, high)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def zero_mean_p(values: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's t-test that the mean of one number per training seed is 0; None with one seed."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return None
    if np.ptp(x) == 0:  # equal values have no spread, not even that of rounding
        return 1.0 if x[0] == 0 else 0.0
    return float(stats.ttest_1samp(x, 0.0).pvalue)


def compare_paired(
    first: np.ndarray, second: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> PairedDifference:
    """Compare two methods on the same images.

    Args:
        first: values (seeds, images), or (images,) for one training run.
        second: values of the other method on the same images, with the same seeds in the same order.
        resamples: resamples of the bootstrap and of the sign-flip test.

    Returns:
        Mean of first minus second, its BCa interval (Efron 1987) and its p-value over images, of the values averaged
        over seeds; with two or more seeds and images also the interval over training runs and images.

    Raises:
        ValueError: the numbers of seeds or images differ, there are none, or a value is not finite.
    """
    a, b = (np.atleast_2d(np.asarray(x, dtype=float)) for x in (first, second))
    if a.shape != b.shape or not a.size or not np.isfinite(a - b).all():
        shapes = f"{np.shape(first)} and {np.shape(second)}"
        raise ValueError(f"need finite values of the same seeds and the same images, got shapes {shapes}")
    by_image, by_seed = (a.mean(axis=axis) - b.mean(axis=axis) for axis in (0, 1))
    mean = float(by_image.mean())
    if len(by_image) == 1:
        return PairedDifference(1, mean, None, None, None)
    low, high = bca_interval(by_image, level=level, resamples=resamples, seed=seed)
    p = sign_flip_p(by_image, resamples=resamples, seed=seed)
    both = retrained(by_seed, by_image, (low, high), level) if len(by_seed) > 1 else None
    return PairedDifference(len(by_image), mean, low, high, p, both)


def retrained(
    by_seed: np.ndarray, by_image: np.ndarray, images: tuple[float, float], level: float = LEVEL
) -> Retrained:
    """Interval and p-value of a mean difference over other training runs and other images at once.

    In `d_si = mean + seed_s + image_i + rest_si` the overall mean has an error from the seeds and one from the images.
    The interval adds the squares of the two margins on either side, each with its own degrees of freedom: that of
    Student's t over seeds, and that of `images` (Banerjee 1960; Zou and Donner 2008). It is never narrower than either
    of the two, and for normal values its coverage is at least nominal whichever dominates, unlike that of
    Satterthwaite's approximation with the one or two degrees of freedom of few seeds. `p` is the level at which the
    same sum, with Student's t for the images too, reaches 0.

    Args:
        by_seed: mean difference of each pair of training runs (seeds,), at least two.
        by_image: mean difference of each image (images,), at least two.
        images: image-level interval.
    """
    mean = float(by_image.mean())
    errors = [(standard_error(x), len(x) - 1) for x in (by_seed, by_image)]
    seeds = float(stats.t.isf((1 - level) / 2, errors[0][1])) * errors[0][0]
    low, high = mean - float(np.hypot(seeds, mean - images[0])), mean + float(np.hypot(seeds, images[1] - mean))
    return Retrained(tuple(float(x) for x in by_seed), low, high, summed_p(mean, errors))


def standard_error(x: np.ndarray) -> float:
    """The standard error of the mean of `x` (n,), n >= 2; 0 for equal values, without the spread of rounding."""
    return 0.0 if np.ptp(x) <= 1e-12 * np.abs(x).max() else float(x.std(ddof=1) / np.sqrt(len(x)))


def summed_p(mean: float, errors: Sequence[tuple[float, int]]) -> float:
    """The level, at least `SMALLEST_P`, at which the squared margins of several errors add up to `mean` squared."""

    def beyond(log_p: float) -> float:
        margins = [float(stats.t.isf(np.exp(log_p) / 2, df)) * error for error, df in errors]
        return float(np.hypot.reduce(margins)) - abs(mean)

    if mean == 0:
        return 1.0
    if beyond(np.log(SMALLEST_P)) <= 0:
        return SMALLEST_P
    return float(np.exp(optimize.brentq(beyond, np.log(SMALLEST_P), 0.0)))


def bca_interval(
    x: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """BCa bootstrap interval of the mean of `x` (n,), n >= 2. Equal values have an interval of width 0."""
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

    Under the null hypothesis the two methods are exchangeable on each image, so both signs are equally probable. The
    observed signs count as one of the samples (Phipson and Smyth 2010): the smallest value is 1 / (resamples + 1).
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


def holm_known(p_values: Mapping[K, float | None]) -> dict[K, float]:
    """`holm` of the known p-values, by their keys."""
    known = {key: p for key, p in p_values.items() if p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))
