"""Cosine and retrieval: against torchmetrics, scikit-learn and SciPy, by hand, and with ties in every order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.metrics import top_k_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity
from torchmetrics.functional import pairwise_cosine_similarity
from torchmetrics.retrieval import RetrievalHitRate

from mmbench.scoring.metrics.retrieval import both_ways, cosine


def pairs(n: int = 60, d: int = 7, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gallery = rng.normal(size=(n, d))
    return gallery + noise * rng.normal(size=(n, d)), gallery


def test_cosine_is_that_of_torchmetrics() -> None:
    a, b = pairs()
    expected = pairwise_cosine_similarity(torch.from_numpy(a), torch.from_numpy(b)).diagonal().numpy()
    np.testing.assert_allclose(cosine(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(cosine(a.astype(np.float32), 7 * b), expected, rtol=1e-6)


def test_cosine_by_hand() -> None:
    a = np.array([[3.0, 0], [1, 1], [2, 0], [0, 0], [1e-30, 0]])
    b = np.array([[0.5, 0], [1, 0], [-1, 0], [1, 2], [1, 0]])
    np.testing.assert_allclose(cosine(a, b), [1, np.sqrt(0.5), -1, 0, 1], atol=1e-15)


@pytest.mark.parametrize("k", [1, 2, 5, 60, 99])
@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_recall_is_torchmetrics_hit_rate_and_sklearns_top_k_accuracy(k: int, noise: float) -> None:
    queries, gallery = pairs(noise=noise)
    similarity, n = cosine_similarity(queries, gallery), len(queries)
    found = both_ways(queries, gallery)[0].recall(k)
    metric = RetrievalHitRate(top_k=k)
    metric.update(
        torch.from_numpy(similarity.ravel()),
        torch.eye(n, dtype=torch.int).ravel(),
        torch.arange(n).repeat_interleave(n),
    )
    assert found == pytest.approx(float(metric.compute()), abs=1e-6)
    if k < n:
        assert found == pytest.approx(top_k_accuracy_score(np.arange(n), similarity, k=k, labels=np.arange(n)))


def test_ranks_are_scipys_and_do_not_depend_on_chunks() -> None:
    queries, gallery = pairs(noise=2.0)
    similarity = cosine_similarity(queries, gallery)
    expected = np.array([rankdata(-row, method="average")[i] for i, row in enumerate(similarity)])
    places, other = both_ways(queries, gallery)
    np.testing.assert_array_equal(places.rank, expected)
    reverse = np.array([rankdata(-row, method="average")[i] for i, row in enumerate(similarity.T)])
    np.testing.assert_array_equal(other.rank, reverse)
    for chunk in (1, 7, 60):
        for whole, parts in zip((places, other), both_ways(queries, gallery, chunk=chunk), strict=True):
            np.testing.assert_array_equal(whole.rank, parts.rank)
    assert places.median_rank == np.median(expected) > 1 and not places.tied.any()


def test_ties_count_by_their_chance_in_every_order() -> None:
    """The gallery holds the partner's direction thrice: what is expected is the mean over all orders of the ties."""
    gallery = np.array([[1.0, 0], [2, 0], [0.5, 0], [0, 1], [1, 1]])
    query = np.array([[1.0, 0.6]] * 5)
    similarity = cosine_similarity(query, gallery).round(9)
    places, other = both_ways(query, gallery)
    for i in range(5):
        tied = [j for j in range(5) if similarity[i, j] == similarity[i, i]]
        nearer = int((similarity[i] > similarity[i, i]).sum())
        ranks = [nearer + 1 + order.index(i) for order in permutations(tied)]
        assert places.rank[i] == np.mean(ranks)
    for k in range(1, 6):
        expected = []
        for i in range(5):
            tied = [j for j in range(5) if similarity[i, j] == similarity[i, i]]
            nearer = int((similarity[i] > similarity[i, i]).sum())
            expected.append(np.mean([nearer + 1 + order.index(i) <= k for order in permutations(tied)]))
        assert places.recall(k) == pytest.approx(np.mean(expected))
    assert list(places.tied) == [2, 2, 2, 0, 0]
    assert list(other.tied) == [4] * 5 and not other.nearer.any()  # all queries are alike


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_embeddings_that_are_all_alike_find_as_often_as_guessing(constant: float) -> None:
    _, gallery = pairs(n=40)
    alike = np.full_like(gallery, constant)
    places, other = both_ways(gallery, alike)
    assert places.recall(1) == pytest.approx(1 / 40) and places.recall(5) == pytest.approx(5 / 40)
    assert places.median_rank == 20.5 and (places.tied == 39).all()
    assert other.median_rank == pytest.approx(20.5, abs=0.5) and other.recall(1) == pytest.approx(1 / 40)


@pytest.mark.parametrize(
    "a, b, message",
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), "no pairs"),
        (np.zeros((3, 2)), np.zeros((3, 4)), "no pairs"),
        (np.zeros(3), np.zeros(3), "not \\(items, dimensions\\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "not \\(items, dimensions\\)"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), "queries hold NaN"),
        (np.zeros((2, 2)), np.full((2, 2), np.inf), "gallery vectors hold NaN or infinity"),
    ],
)
def test_what_is_no_pair_is_an_error(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cosine(a, b)
    with pytest.raises(ValueError, match=message):
        both_ways(a, b)


def test_the_first_none_are_no_recall() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        both_ways(*pairs())[0].recall(0)
