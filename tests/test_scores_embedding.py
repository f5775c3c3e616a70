"""The scores of embedding: on answers whose value is known, on real data, and by the commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_data import coarse_images, write_splits
from fake_scoring import evaluated, small_run, values

from mmbench.errors import UserError
from mmbench.experiments.embedding import scores as embedding
from mmbench.experiments.experiment import Case, read_cases
from mmbench.experiments.masking import scores as masking
from mmbench.files.store import Arrays, load_arrays, read_json, save_arrays
from mmbench.frozen.features import EXTRACTOR, Reference
from mmbench.scoring.distribution import equally_many, shuffled
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.retrieval import both_ways, cosine
from mmbench.scoring.names import describe
from mmbench.scoring.scores import Tools, score_floor
from mmbench.stages import reference
from mmbench.stages.embed import write_embedded

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CARD = {"name": "noise", "modalities": ["image"], "classes": [], "size": [32, 32]}
COUNTS = {"train": 30, "validation": 4, "test": 20}
SETTINGS = {"experiment": "embedding", "evaluate": {"reconstructions": 5, "samples": 12, "reference": "test"}}
FD = f"fd_embedding[{EXTRACTOR}]"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, lpips_weights: Path) -> Path:
    """Data, embedded data, cases and a reference, the last by its command."""
    folder = tmp_path_factory.mktemp("run")
    splits = {split: {"image": coarse_images(count, seed)} for seed, (split, count) in enumerate(COUNTS.items())}
    write_splits(folder / "raw", splits, **CARD)
    write_embedded(EXTRACTOR, weights=lpips_weights, data=folder / "raw", out=folder / "data", device=CPU)
    embedded = {split: load_arrays(folder / "data" / f"{split}.npz") for split in splits}
    card = read_json(folder / "data" / "card.json")
    del card["splits"]
    small_run(folder, lpips_weights, SETTINGS, embedded, **card)
    return folder


@pytest.fixture(scope="module")
def tools(run: Path, lpips_weights: Path) -> Tools:
    card = read_json(run / "data" / "card.json")
    return Tools(lpips_weights, run / "reference" / "reference.npz", CPU, card=card, data=run / "data")


@pytest.fixture(scope="module")
def test_split(run: Path) -> Arrays:
    return load_arrays(run / "data" / "test.npz")


def test_the_reference_keeps_the_real_embeddings_and_says_what_agrees_by_chance(
    run: Path, tools: Tools, test_split: Arrays
) -> None:
    np.testing.assert_array_equal(tools.reference.arrays["embedding"], test_split["embedding"])
    assert tools.reference.arrays.keys() == {"embedding"} and tools.reference.features[EXTRACTOR].shape == (20, 512)
    rows = {row["name"]: row for row in read_json(run / "reference" / "reference.json")["metrics"]}
    assert -0.2 < rows["shuffled_cosine"]["value"] < 0.3 and rows["shuffled_cosine"]["n"] == 20
    _, other = reference.other_items(run / "data", SETTINGS)
    expected = frechet_distance(*equally_many(test_split["embedding"], other["embedding"]))
    assert rows[FD]["value"] == pytest.approx(expected) and expected > 1
    assert (rows[FD]["n"], rows[FD]["detail"]["n_real"], rows[FD]["case"]) == (12, 12, "floor")
    assert rows[FD]["weights_sha256"] == tools.card["embedding"]["weights_sha256"]
    assert score_floor("masking", {}, {}, tools).metrics == [] and not hasattr(masking, "score_floor")


def test_embedding_is_scored_against_the_true_ones(tools: Tools, test_split: Arrays) -> None:
    truth, given = test_split["embedding"][:8], {"image": test_split["image"][:8]}
    case = Case("embed", "embed", 8, given, {"embedding": truth})
    right = embedding.score([(case, {"embedding": 3 * truth})], tools)
    found = values(right, "embed")
    ways = [f"{name}/{way}" for name in ("retrieval@1", "retrieval@5", "median_rank")
            for way in ("predicted-true", "true-predicted")]  # fmt: skip
    assert found.keys() == {"cosine", "fd_embedding", *ways}
    assert found["cosine"] == pytest.approx(1) and all(found[name] == 1 for name in ways)
    assert found["fd_embedding"] == pytest.approx(frechet_distance(*equally_many(test_split["embedding"], 3 * truth)))
    assert [item for _, item, metric, _ in right.items if metric == "cosine"] == list(range(8))
    row = next(row for row in right.metrics if row["name"] == "retrieval@5/true-predicted")
    assert (row["detail"]["gallery"], row["detail"]["k"], row["detail"]["tied_queries"]) == (8, 5, 0)
    assert {row["name"]: row["higher_is_better"] for row in right.metrics}["median_rank/true-predicted"] is False

    noisy = truth + 3 * np.random.default_rng(0).normal(size=truth.shape)
    found = values(embedding.score([(case, {"embedding": noisy})], tools), "embed")
    assert found["cosine"] == pytest.approx(cosine(noisy, truth).mean())
    forth, back = both_ways(noisy, truth)
    assert found["retrieval@1/predicted-true"] == forth.recall(1)
    assert found["median_rank/true-predicted"] == back.median_rank

    constant = values(embedding.score([(case, {"embedding": np.ones_like(truth)})], tools), "embed")
    assert constant["retrieval@1/true-predicted"] == pytest.approx(1 / 8)
    assert constant["median_rank/true-predicted"] == 4.5


def test_painting_is_measured_by_embedding_the_image_anew(tools: Tools, test_split: Arrays) -> None:
    case = Case("paint", "paint", 20, {"embedding": test_split["embedding"]}, {"image": test_split["image"]})
    scored = embedding.score([(case, {"image": test_split["image"]})], tools)
    right = values(scored, "paint")
    other = values(embedding.score([(case, {"image": coarse_images(20, 9)})], tools), "paint")
    assert right["cosine"] == pytest.approx(1, abs=1e-5) and right["shuffled_cosine"] < 0.3
    assert right["retrieval@1/given-image"] == right["retrieval@1/image-given"] == right["median_rank/given-image"] == 1
    # noise, seen by few features of many: those of 20 images that agree by chance agree a lot
    assert abs(other["cosine"] - other["shuffled_cosine"]) < 0.4 and other["retrieval@1/given-image"] < 0.3
    assert 4 < other["median_rank/image-given"] < 17
    kinds = {name.split("[")[0].split("/")[0] for name in right}
    assert kinds == {"fd", "kd", "precision@k5", "recall@k5", "density@k5", "coverage@k5", "cosine",
                     "shuffled_cosine", "retrieval@1", "retrieval@5", "median_rank"}  # fmt: skip
    row = next(row for row in scored.metrics if row["name"] == "cosine")
    described = tools.card["embedding"]
    assert (row["extractor"], row["weights_sha256"], row["n"]) == (EXTRACTOR, described["weights_sha256"], 20)
    assert len([1 for _, _, metric, _ in scored.items if metric == "cosine"]) == 20


def test_pairs_drawn_together_agree_above_the_shuffled_ones(tools: Tools) -> None:
    drawn = coarse_images(12, 5)
    seen = tools.embedded(drawn)
    case = Case("generate", "generate", 12)
    scored = embedding.score([(case, {"image": drawn, "embedding": seen})], tools)
    found = values(scored, "generate")
    assert found["cosine"] == pytest.approx(1, abs=1e-5) and found["shuffled_cosine"] < 0.3
    assert found["shuffled_cosine"] == pytest.approx(cosine(shuffled(seen), seen).mean(), abs=1e-6)
    assert found["fd_embedding"] == pytest.approx(
        frechet_distance(*equally_many(tools.reference.arrays["embedding"], seen)), rel=1e-4
    )
    swapped = values(
        embedding.score([(case, {"image": drawn, "embedding": np.roll(seen, 1, axis=0)})], tools), "generate"
    )
    assert swapped["cosine"] < 0.3 and swapped["fd_embedding"] == pytest.approx(found["fd_embedding"], rel=1e-6)
    assert all(describe(row["name"]).meaning for row in scored.metrics)


@pytest.mark.parametrize("count", [2, 3, 12, 41])
def test_shuffling_leaves_nothing_in_its_place(count: int) -> None:
    found = shuffled(np.arange(count))
    assert sorted(found) == list(range(count)) and not (found == np.arange(count)).any()
    np.testing.assert_array_equal(found, shuffled(np.arange(count)))


def test_what_cannot_be_scored_is_said(tools: Tools, lpips_weights: Path) -> None:
    real = Reference({EXTRACTOR: np.zeros((8, 512))}, {"split": "test"})
    blind = Tools(lpips_weights, real, CPU, card=tools.card)
    with pytest.raises(UserError, match="--data: not given"):
        blind.embedder  # noqa: B018


def test_images_are_looked_at_once_where_their_embedding_is_the_extractors(run: Path, tools: Tools, tmp_path) -> None:
    cached = Tools(tools.weights, Path("none"), CPU, card=tools.card, data=run / "data", cache=tmp_path)
    drawn, (extractor,) = coarse_images(3, 8), tools.extractors
    np.testing.assert_array_equal(*(t.features(extractor, drawn) for t in (cached, tools)))
    np.testing.assert_array_equal(cached.embedded(drawn), tools.embedded(drawn))
    assert len(list(tmp_path.rglob("*.npz"))) == 1


def test_a_whole_evaluation(run: Path, lpips_weights: Path, tools: Tools, tmp_path: Path) -> None:
    drawn = coarse_images(12, 9)
    answers = {"generate/image": drawn, "generate/embedding": tools.embedded(drawn)}
    for case in read_cases(run / "cases"):
        answers |= {f"{case.name}/{name}": array for name, array in case.truth.items()}
    save_arrays(tmp_path / "predictions.npz", answers)
    found = evaluated(run, lpips_weights, tmp_path)
    for case in ("embed", "paint", "generate"):
        assert found[case, "cosine"] == pytest.approx(1, abs=1e-5)
    assert found["generate", "shuffled_cosine"] < 0.4
    lines = (tmp_path / "items.csv").read_text().splitlines()
    assert len(lines) == 1 + 5 + 12 + 12
