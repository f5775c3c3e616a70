"""Frechet and kernel distance, precision, recall, density, coverage: against other implementations, and in extremes."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import _compute_fid

from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.kernel import kernel_distance
from mmbench.scoring.metrics.neighbours import neighbour_scores


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(shift, 1.0, size=(n, d)) @ mixing


# n > d, n < d on both sides, and one of each
SIZES = [(400, 300, 24), (40, 50, 64), (40, 300, 64), (64, 65, 64)]


@pytest.mark.parametrize("n, m, d", SIZES)
def test_frechet_distance_is_that_of_torch_fidelity_and_torchmetrics(n: int, m: int, d: int) -> None:
    real, fake = features(n, d, 0), features(m, d, 1, shift=0.3)
    ours = frechet_distance(real, fake)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)]
    fidelity = fid_statistics_to_metric(*statistics, verbose=False)
    assert ours == pytest.approx(fidelity["frechet_inception_distance"], rel=1e-6)
    moments = [torch.from_numpy(x) for s in statistics for x in (s["mu"], s["sigma"])]
    assert ours == pytest.approx(float(_compute_fid(*moments)), rel=1e-6)


@pytest.mark.parametrize("n, m, d", SIZES)
def test_kernel_distance_is_that_of_torch_fidelity(n: int, m: int, d: int) -> None:
    real, fake = features(n, d, 0), features(m, d, 1, shift=0.3)
    ours = kernel_distance(real, fake, subsets=7, subset_size=20, seed=5)
    theirs = kid_features_to_metric(
        torch.from_numpy(real),
        torch.from_numpy(fake),
        kid_subsets=7,
        kid_subset_size=20,
        rng_seed=5,
        verbose=False,
    )
    assert ours[0] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours[1] == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


@pytest.mark.parametrize("n, m, k", [(300, 300, 5), (150, 220, 3), (90, 70, 1)])
def test_neighbours_are_those_of_torch_fidelity_and_prdc(n: int, m: int, k: int) -> None:
    real, fake = features(n, 12, 0), features(m, 12, 1, shift=0.5)
    found = neighbour_scores(real, fake, k=k)
    fidelity = prc_features_to_metric(
        torch.from_numpy(fake),
        torch.from_numpy(real),
        prc_neighborhood=k,
        prc_batch_size=1000,
        save_cpu_ram=False,
        verbose=False,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        naeem = compute_prdc(real, fake, nearest_k=k)
    assert 0.05 < found.recall < 0.95 and 0.05 < found.precision < 0.95
    assert found.precision == pytest.approx(fidelity["precision"], abs=1e-6)
    assert found.recall == pytest.approx(fidelity["recall"], abs=1e-6)
    assert found._asdict() == pytest.approx(naeem, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_chunked_equals_unchunked(chunk: int) -> None:
    real, fake = features(100, 12, 0), features(130, 12, 1, shift=0.4)
    assert neighbour_scores(real, fake, chunk=chunk) == neighbour_scores(real, fake, chunk=10_000)


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, neighbour_scores])
@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda x: np.where(x > 1, np.nan, x), "NaN"),
        (lambda x: x[:, :3], "wide"),
        (lambda x: x[:1], "at least"),
        (lambda x: x[0], "shape"),
    ],
)
def test_bad_features_are_refused(metric, break_it, message) -> None:
    x = features(2000, 4, 0)
    with pytest.raises(ValueError, match=message):
        metric(x, break_it(x))
