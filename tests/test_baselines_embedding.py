"""The baselines of embedding on cases whose answer is known; their contract is in test_baselines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from fake_data import NETWORK, generator
from oracle import Oracle
from sklearn.decomposition import PCA
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.experiments.embedding.tasks import TASKS
from mmbench.experiments.experiment import load_experiment
from mmbench.method import Batch, Method, Noise, Sampling, Spec, load_method

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SIZE = 10
SPEC = load_experiment("embedding").modalities(
    {"size": [16, 16], "modalities": ["image", "embedding"], "embedding": {"size": SIZE}}
)
EMBED, PAINT, GENERATE = (TASKS[name] for name in ("embed", "paint", "generate"))


def build(name: str, **settings: object) -> Method:
    torch.manual_seed(0)
    return load_method(ROOT / "baselines" / "embedding" / f"{name}.py", Spec(SPEC, NETWORK, settings)).eval()


def helper() -> object:
    build("rcg")
    return sys.modules["_vectors"]


def world(count: int, seed: int = 0) -> Batch:
    """Images of one colour, and embeddings that are linear in it."""
    colour = torch.rand(count, 3, generator=generator(seed)) * 1.6 - 0.8
    embedding = 2 * colour @ torch.randn(3, SIZE, generator=generator(77))
    return {"image": colour[:, :, None, None].expand(-1, -1, 16, 16).contiguous(), "embedding": embedding}


class OracleStages(nn.Module):
    """RCG's two networks, both oracles; keeps what the second was given."""

    def __init__(self, method: Method, truth: Batch) -> None:
        super().__init__()
        self.image, self.embedding = Oracle(method, truth["image"]), Oracle(method, truth["embedding"])
        self.device, self.given = nn.Parameter(torch.zeros(1)), []

    def forward(self, z_t: Tensor, t: Tensor, embedding: Tensor | None = None) -> Tensor:
        if embedding is None:
            return self.embedding(z_t, t).map
        self.given.append(embedding)
        return self.image(z_t, t).map


def with_oracle(name: str, truth: Batch, **settings: object) -> Method:
    """The method with networks that believe in `truth`."""
    method = build(name, **settings)
    method.prepare(world(60, seed=5))
    if name == "rcg":
        method.backbone = OracleStages(method, truth)
        return method
    vector = method.to_features(truth["embedding"]) if name == "redi" else truth["embedding"]
    image, embedding = Oracle(method, truth["image"]), Oracle(method, vector)

    def forward(z_image: Tensor, z_vector: Tensor, t: Tensor, s: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return image(z_image, t).map, embedding(z_vector, t if s is None else s).map

    method.forward = forward
    return method


JOINT = ["redi", "unidiffuser"]


@pytest.mark.parametrize("prediction", ["z0", "v", "eps"])
@pytest.mark.parametrize("name", ["rcg", *JOINT])
def test_a_perfect_denoiser_has_no_loss_and_gives_the_truth(name: str, prediction: str) -> None:
    batch = world(4)
    method = with_oracle(name, batch, prediction=prediction)
    terms = method.loss(batch, generator())
    assert terms["loss"] < 1e-5
    for part in ("image", "embedding"):
        wrong = with_oracle(name, {**batch, part: -batch[part]}, prediction=prediction).loss(batch, generator())
        assert wrong["loss"] > 1e-2
    drawn = method.predict(GENERATE, {}, 4, Sampling("ddim", 9), Noise())
    assert torch.allclose(drawn["image"], batch["image"], atol=5e-3)
    assert torch.allclose(drawn["embedding"], batch["embedding"], atol=3e-2)


@pytest.mark.parametrize("name", JOINT)
def test_what_is_given_decides_nothing_but_itself(name: str) -> None:
    """Networks that believe in another world: what is wanted is that world's."""
    batch, other = world(4), world(4, seed=1)
    method = with_oracle(name, other)
    embedded = method.predict(EMBED, {"image": batch["image"]}, 4, Sampling("ddim", 8), Noise())
    painted = method.predict(PAINT, {"embedding": batch["embedding"]}, 4, Sampling("ddim", 8), Noise())
    assert embedded.keys() == {"embedding"} and painted.keys() == {"image"}
    assert torch.allclose(embedded["embedding"], other["embedding"], atol=3e-2)
    assert torch.allclose(painted["image"], other["image"], atol=5e-3)


def shown(method: Method, task: object, given: Batch, count: int) -> list[tuple[Tensor, ...]]:
    """What a method's network is shown at each evaluation of one prediction."""
    seen: list[tuple[Tensor, ...]] = []
    original = method.forward
    method.forward = lambda *inputs: seen.append(inputs) or original(*inputs)
    method.predict(task, given, count, Sampling("ddim", 8), Noise())
    method.forward = original
    return seen


def test_unidiffuser_shows_what_is_given_clean_with_its_clock_at_the_start() -> None:
    batch = world(4)
    method = with_oracle("unidiffuser", batch)
    embedding = shown(method, EMBED, {"image": batch["image"]}, 4)
    painting = shown(method, PAINT, {"embedding": batch["embedding"]}, 4)
    drawing = shown(method, GENERATE, {}, 4)
    assert len(embedding) == len(painting) == len(drawing) == 8
    assert all(torch.equal(image, batch["image"]) and (t == 1).all() for image, _, t, _ in embedding)
    assert all(torch.equal(vector, batch["embedding"]) and (s == 1).all() for _, vector, _, s in painting)
    assert [int(s[0]) for *_, s in embedding] == [int(t[0]) for _, _, t, _ in painting] == list(range(1000, 0, -125))
    assert all(torch.equal(t, s) for *_, t, s in drawing)


def test_unidiffuser_trains_with_clocks_of_their_own() -> None:
    method, batch = with_oracle("unidiffuser", world(64)), world(64)
    seen: list[tuple[Tensor, ...]] = []
    original = method.forward
    method.forward = lambda *inputs: seen.append(inputs) or original(*inputs)
    method.loss(batch, generator())
    t, s = seen[0][2], seen[0][3]
    assert t.min() >= 1 and max(t.max(), s.max()) <= 1000 and not torch.equal(t, s)
    assert abs(float(torch.corrcoef(torch.stack([t, s]).float())[0, 1])) < 0.4


def test_redi_shows_what_is_given_noised_as_in_training() -> None:
    batch = world(64)
    method = with_oracle("redi", world(64, seed=1))
    features = method.to_features(batch["embedding"])
    for task, given, part, truth in (
        (EMBED, {"image": batch["image"]}, 0, batch["image"]),
        (PAINT, {"embedding": batch["embedding"]}, 1, features),
    ):
        for inputs in shown(method, task, given, 64)[1:]:
            signal, noise = method.process.coefficients(inputs[2], inputs[part])
            eps = (inputs[part] - signal * truth) / noise
            assert abs(float(eps.mean())) < 0.1 and abs(float(eps.std()) - 1) < 0.1


def test_redis_components_are_sklearns_and_keep_their_proportions() -> None:
    method = build("redi", components=4)
    train = torch.randn(200, SIZE, generator=generator(3)) * torch.linspace(3, 0.2, SIZE) + 1
    method.prepare({"image": world(1)["image"], "embedding": train})
    features = method.to_features(train)
    expected = torch.from_numpy(PCA(4).fit_transform(train.numpy())).float()
    expected = expected / expected.var(dim=0, correction=0).mean().sqrt()
    assert torch.allclose(features.abs(), expected.abs(), atol=1e-3)
    assert float(features.var(dim=0, correction=0).mean()) == pytest.approx(1, rel=1e-4)
    back = method.from_features(features)
    theirs = PCA(4).fit(train.numpy())
    assert torch.allclose(back, torch.from_numpy(theirs.inverse_transform(theirs.transform(train.numpy()))), atol=1e-3)
    everything = build("redi", components=500)
    everything.prepare({"image": world(1)["image"], "embedding": train})
    assert everything.components == SIZE
    assert torch.allclose(everything.from_features(everything.to_features(train)), train, atol=1e-4)


@pytest.mark.parametrize("nfe, stages", [(20, (5, 15)), (8, (2, 6)), (3, (1, 2)), (2, (1, 1))])
def test_rcgs_stages_share_the_evaluations(nfe: int, stages: tuple[int, int]) -> None:
    method, calls = build("rcg"), []
    method.backbone.register_forward_pre_hook(lambda _module, inputs: calls.append((inputs[0].dim(), len(inputs[0]))))
    method.predict(GENERATE, {}, 3, Sampling("ddim", nfe), Noise())
    assert calls == [(2, 3)] * stages[0] + [(4, 3)] * stages[1]
    calls.clear()
    method.predict(PAINT, {"embedding": world(3)["embedding"]}, 3, Sampling("ddim", nfe), Noise())
    assert calls == [(4, 3)] * nfe


def test_rcg_paints_from_the_embedding_that_it_drew_or_was_given() -> None:
    batch = world(4)
    method = with_oracle("rcg", batch)
    drawn = method.predict(GENERATE, {}, 4, Sampling("ddim", 8), Noise())
    assert all(torch.equal(given, drawn["embedding"]) for given in method.backbone.given)
    method.backbone.given.clear()
    method.predict(PAINT, {"embedding": -batch["embedding"]}, 4, Sampling("ddim", 8), Noise())
    assert all(torch.equal(given, -batch["embedding"]) for given in method.backbone.given)
    with pytest.raises(UserError, match=r"sample\.nfe: 1 is too few for the two stages of rcg"):
        method.predict(GENERATE, {}, 4, Sampling("ddim", 1), Noise())


def test_packing_loses_nothing() -> None:
    vectors, batch = helper(), world(3)
    state = vectors.pack(batch["image"], batch["embedding"])
    assert state.shape == (3, 3 * 16 * 16 + SIZE, 1, 1)
    image, embedding = vectors.unpack(state, (3, 16, 16))
    assert torch.equal(image, batch["image"]) and torch.equal(embedding, batch["embedding"])


def test_a_world_is_learnt_by_heart() -> None:
    method, batch = build("regression").train(), world(6)
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for step in range(80):
        optimizer.zero_grad()
        method.loss(batch, generator(step))["loss"].backward()
        optimizer.step()
    answer = method.eval().predict(EMBED, {"image": batch["image"]}, 6, Sampling("ddim", 10), Noise())
    assert torch.cosine_similarity(answer["embedding"], batch["embedding"]).min() > 0.9
    wrong = torch.cosine_similarity(answer["embedding"], batch["embedding"].roll(1, dims=0)).mean()
    assert wrong < 0.7


def test_the_regressions_loss_is_angle_and_squared_error() -> None:
    method, batch = build("regression", error_weight=0.5), world(3)
    method.head = nn.Linear(method.head[0].in_features, SIZE)
    nn.init.zeros_(method.head.weight)
    with torch.no_grad():
        method.head.bias.copy_(batch["embedding"][0])
    one = {name: value[:1] for name, value in batch.items()}
    assert method.loss(one, generator())["loss"] < 1e-6
    doubled = {**one, "embedding": 2 * one["embedding"]}
    found = method.loss(doubled, generator())
    assert found["angle"] < 1e-6
    assert found["loss"].item() == pytest.approx(0.5 * float((one["embedding"] ** 2).mean()), rel=1e-4)
    opposite = method.loss({**one, "embedding": -one["embedding"]}, generator())
    assert opposite["angle"].item() == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize(
    "name, setting, value", [("rcg", "embedding_share", 0), ("rcg", "embedding_share", 1), ("redi", "components", 0)]
)
def test_a_bad_value_names_method_and_key(name: str, setting: str, value: object) -> None:
    with pytest.raises(UserError, match=f"{name}: {setting}: {value}"):
        build(name, **{setting: value})
