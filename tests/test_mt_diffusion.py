"""The multitask model: shapes for every kind of modality, conditioning rules, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fake_data import NETWORK, generator

from mmbench.errors import UserError
from mmbench.experiments.experiment import load_experiment
from mmbench.experiments.masking.tasks import TASKS
from mmbench.experiments.segmentation.tasks import TASKS as SEGMENTATION
from mmbench.method import Batch, Modality, Noise, Sampling, Spec, Task
from mmbench.models.diffusion.objective import evaluate, simple_terms
from mmbench.models.diffusion.parameterisation import to_z0, training_target
from mmbench.models.diffusion.states import States
from mmbench.models.mt_diffusion import Method

pytestmark = pytest.mark.slow

MASKING = {"image": Modality("image", (3, 16, 16)), "masked_image": Modality("masked_image", (4, 16, 16))}
FOUR = {
    "image": Modality("image", (3, 16, 16)),
    "mask": Modality("class_map", (16, 16), classes=5),
    "label": Modality("label", (), classes=3),
    "embedding": Modality("vector", (7,)),
}
FAST = Sampling("ddim", 3)


def batch_of(modalities: dict[str, Modality], count: int = 6) -> Batch:
    image = torch.rand(count, 3, 16, 16, generator=generator()) * 2 - 1
    if "masked_image" in modalities:
        return load_experiment("masking").training_batch({"image": image}, modalities, generator())
    return {
        "image": image,
        "mask": torch.randint(0, 5, (count, 16, 16), generator=generator()),
        "label": torch.arange(count) % 3,
        "embedding": torch.randn(count, 7, generator=generator()),
    }


@pytest.mark.parametrize("modalities", [MASKING, FOUR], ids=["masking", "four"])
@pytest.mark.parametrize("conditioning", ["aggregate", "impose", "channels", "channels+impose"])
@pytest.mark.parametrize("objective", ["simple", "vlb"])
def test_every_weight_that_is_used_learns(modalities: dict, conditioning: str, objective: str) -> None:
    torch.manual_seed(0)
    weights = dict.fromkeys(modalities, 0.5)
    settings = {"conditioning": conditioning, "objective": objective, "weights": weights, "omega": "learned"}
    method = Method(Spec(modalities, NETWORK), **settings)
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-3)
    for seed in range(2):  # the heads start at zero, so the trunk's gradients come with the second step
        optimizer.zero_grad()
        terms = method.loss(batch_of(modalities, 32), generator(seed))
        terms["loss"].backward()
        optimizer.step()
    assert torch.isfinite(terms["loss"])
    assert terms["loss"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if k != "loss"), rel=1e-5)
    silent = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    unused = ["class_embedding"] if conditioning in ("aggregate", "impose") else []
    assert [n for n in silent if not any(u in n for u in unused)] == []


@pytest.mark.parametrize("generation", ["joint", "absent"])
def test_everything_can_be_drawn_from_noise(generation: str) -> None:
    method = Method(Spec(FOUR, NETWORK), generation=generation, weights=dict.fromkeys(FOUR, 0.1))
    answer, again = (method.predict(Task("generate", (), tuple(FOUR)), {}, 2, FAST, Noise()) for _ in range(2))
    assert answer.keys() == FOUR.keys() and all(torch.isfinite(v).all() for v in answer.values())
    assert all(torch.equal(answer[k], again[k]) for k in FOUR)


def test_a_given_image_is_read_in_one_evaluation_at_the_first_step() -> None:
    method = Method(Spec(FOUR, NETWORK))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    method.backbone.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[:2]))
    given = {"image": batch_of(FOUR, 2)["image"]}
    method.predict(Task("segment", ("image",), ("mask",)), given, 2, Sampling("ddim", 50), Noise())
    ((x, t),) = seen
    assert t.tolist() == [1, 1]
    assert (x[:, :3] - given["image"]).abs().max() < 0.05


def states_of(**known: list[float]) -> States:
    """States in which everything is in z_t."""
    flags = {name: torch.tensor(values) for name, values in known.items()}
    ones = {name: torch.ones_like(flag) for name, flag in flags.items()}
    return States(ones, flags, ones)


def test_clean_items_are_those_with_something_to_recover() -> None:
    method = Method(Spec(FOUR, NETWORK), clean=0.5, one_pass=0.25)
    n = 10_000
    states = states_of(mask=[1.0, 1.0, 0.0] * n, label=[1.0, 0.0, 0.0] * n, embedding=[1.0, 1.0, 0.0] * n)
    t = method.draw_steps(states, 3 * n, generator())[0].view(n, 3)
    first, last = ((t == step).float().mean(dim=0).tolist() for step in (1, 1000))
    assert first == pytest.approx([0.0, 0.5, 0.5], abs=0.02)
    assert last == pytest.approx([0.25, 0.25, 0.0], abs=0.02)
    plain, _ = Method(Spec(FOUR, NETWORK), one_pass=0.25).draw_steps(states, 3 * n, generator())
    assert torch.equal(t[:, 0], plain.view(n, 3)[:, 0])


class TestItemsAtTheEnds:
    """An item whose t is for the decoders' sake does not carry the generation loss; every other one does."""

    STATES = states_of(mask=[1.0, 0.0] * 500, label=[1.0, 0.0] * 500, embedding=[1.0, 0.0] * 500)

    def test_no_item_put_at_an_end_generates(self) -> None:
        method = Method(Spec(FOUR, NETWORK), clean=0.5, one_pass=0.25)
        t, generates = method.draw_steps(self.STATES, 1000, generator())
        free, _ = Method(Spec(FOUR, NETWORK), clean=0.0, one_pass=0.0).draw_steps(self.STATES, 1000, generator())
        assert torch.equal(generates == 0, t != free)
        assert 300 < int((generates == 0).sum()) < 450

    @pytest.mark.parametrize("more", [{"ends_generate": True}, {"objective": "vlb"}], ids=["setting", "vlb"])
    def test_all_items_generate(self, more: dict) -> None:
        method = Method(Spec(FOUR, NETWORK), clean=0.5, one_pass=0.5, **more)
        assert method.draw_steps(self.STATES, 1000, generator())[1].all()

    def test_the_loss_is_that_of_the_others_over_the_whole_batch(self) -> None:
        torch.manual_seed(0)
        method = Method(Spec(FOUR, NETWORK), clean=0.5, states=(0.0, 1.0, 0.0))
        noised = method.noise(batch_of(FOUR, 16), generator())
        output = evaluate(method.aggregation, noised)

        def generate(generates: torch.Tensor) -> torch.Tensor:
            items = replace(noised, generates=generates)
            return simple_terms(method.aggregation, items, output, 10.0)["generate"]

        every = generate(torch.ones(16))
        each = [generate(torch.eye(16)[i]) for i in range(16)]
        assert torch.stack(each).sum().item() == pytest.approx(every.item(), rel=1e-5)
        kept = [value for value, flag in zip(each, noised.generates, strict=True) if flag]
        assert 0 < len(kept) < 16
        assert generate(noised.generates).item() == pytest.approx(torch.stack(kept).sum().item(), rel=1e-5)


def test_a_mask_is_learnt_by_heart_and_read_painted_and_drawn() -> None:
    """All three tasks of `segmentation`, on a world of two images whose masks say all about them."""
    two = {"image": Modality("image", (3, 16, 16)), "mask": Modality("class_map", (16, 16), classes=3)}
    mask = torch.zeros(2, 16, 16, dtype=torch.long)
    mask[0, :8], mask[1, :, :8] = 1, 2
    colours = torch.tensor([[-0.8, 0.1, 0.7], [0.8, -0.6, 0.0], [0.2, 0.8, -0.8]])
    batch = {"image": colours[mask].permute(0, 3, 1, 2).repeat(4, 1, 1, 1), "mask": mask.repeat(4, 1, 1)}
    torch.manual_seed(0)
    settings = {"states": (0.0, 0.6, 0.4), "one_pass": 0.0, "clean": 0.25, "weights": {"mask": 0.5}}
    method = Method(Spec(two, NETWORK), **settings)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for step in range(100):
        optimizer.zero_grad()
        method.loss(batch, generator(step))["loss"].backward()
        optimizer.step()
    method.eval()
    given = {name: value[:2] for name, value in batch.items()}
    sampling = Sampling("ddim", 10)
    read = method.predict(SEGMENTATION["segment"], {"image": given["image"]}, 2, sampling, Noise())["mask"]
    assert (read == given["mask"]).float().mean() > 0.97
    painted = method.predict(SEGMENTATION["paint"], {"mask": given["mask"]}, 2, sampling, Noise())["image"]
    swapped = method.predict(SEGMENTATION["paint"], {"mask": given["mask"].flip(0)}, 2, sampling, Noise())["image"]
    assert (painted - given["image"]).abs().mean() < 0.1
    assert (swapped - given["image"]).abs().mean() > 0.3
    drawn = method.predict(SEGMENTATION["generate"], {}, 8, sampling, Noise())
    again = method.predict(SEGMENTATION["segment"], {"image": drawn["image"]}, 8, sampling, Noise())["mask"]
    assert (again == drawn["mask"]).float().mean() > 0.9


def test_impose_keeps_the_seen_pixels() -> None:
    given = {"masked_image": batch_of(MASKING, 2)["masked_image"]}
    seen = given["masked_image"][:, 3:] == 1
    for conditioning, kept in (("impose", True), ("channels+impose", True), ("channels", False)):
        method = Method(Spec(MASKING, NETWORK), conditioning=conditioning)
        image = method.predict(TASKS["reconstruct"], given, 2, FAST, Noise())["image"]
        difference = ((image - given["masked_image"][:, :3]) * seen).abs().max()
        assert (difference < 1e-5) == kept


@pytest.mark.parametrize("omega", ["persist", "bridge"])
def test_sampling_starts_where_the_process_ends(omega: str) -> None:
    method = Method(Spec(MASKING, NETWORK), omega=omega, scale=0.5)
    masked = batch_of(MASKING, 2)["masked_image"]
    first: list[torch.Tensor] = []
    method.backbone.register_forward_pre_hook(lambda _, inputs: first.append(inputs[0][:, :3]))
    for given in ({}, {"masked_image": masked}):
        method.predict(Task("any", tuple(given), ("image",)), given, 2, Sampling("ddim", 1), Noise())
    expected = 0.5 * masked[:, :3] if omega == "persist" else torch.zeros(2, 3, 16, 16)
    torch.testing.assert_close(first[1] - first[0], expected, atol=5e-3, rtol=0)


def test_a_label_is_read_from_clean_and_noised_images() -> None:
    """On a world of two images; at full noise nothing is left to read, and the answer says so."""
    two = {"image": Modality("image", (3, 16, 16)), "label": Modality("label", (), classes=2)}
    label = torch.arange(8) % 2
    batch = {"image": (label * 1.6 - 0.8)[:, None, None, None].repeat(1, 3, 16, 16), "label": label}
    torch.manual_seed(0)
    settings = {"states": (0.4, 0.3, 0.3), "one_pass": 0.0, "clean": 0.2, "weights": {"label": 1.0}}
    method = Method(Spec(two, NETWORK), recover_absent=True, **settings)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for step in range(60):
        optimizer.zero_grad()
        method.loss(batch, generator(step))["loss"].backward()
        optimizer.step()
    method.eval()
    clean = method.predict(Task("classify", ("image",), ("label",)), {"image": batch["image"]}, 8, FAST, Noise())
    assert (clean["label"].argmax(dim=1) == label).all()
    torch.testing.assert_close(clean["label"].sum(dim=1), torch.ones(8))
    sure = []
    for alpha_bar in (0.5, 1e-4):
        eps = torch.randn(8, 3, 16, 16, generator=generator())
        z = alpha_bar**0.5 * batch["image"] + (1 - alpha_bar) ** 0.5 * eps
        given = {"noised_image": z, "alpha_bar": torch.full((8,), alpha_bar)}
        task = Task("classify_noised", tuple(given), ("label",))
        sure.append(method.predict(task, given, 8, FAST, Noise())["label"][torch.arange(8), label].min().item())
    assert sure[0] > 0.9 and sure[1] < 0.75
    pair = Task("generate", (), ("image", "label"))
    assert "commit" in method.heeds(pair) and "commit" not in method.heeds(task)
    first, late = (method.predict(pair, {}, 32, Sampling("ddim", 20, commit=c), Noise()) for c in (0.0, 0.6))
    assert set(first["label"].unique().tolist()) == {0.0, 1.0}, "a class that was drawn, no probabilities"
    assert 8 < first["label"][:, 1].sum() < 24, "at T both are as likely"
    seen = late["image"].mean(dim=(1, 2, 3)) > 0
    assert (seen == (late["label"][:, 1] == 1)).float().mean() > 0.9
    deaf = Method(Spec(two, NETWORK), **settings)
    with pytest.raises(UserError, match="recover_absent: true"):
        deaf.predict(task, given, 8, FAST, Noise())


def test_recovery_counts_the_items_it_should() -> None:
    """An item whose z_t does not hold the encoding counts only if the setting says so."""
    for recover_absent, some in ((False, False), (True, True)):
        settings = {"states": (1.0, 0.0, 0.0), "weights": {"label": 1.0}, "recover_absent": recover_absent}
        terms = Method(Spec(FOUR, NETWORK), **settings).loss(batch_of(FOUR), generator())
        assert (terms["recover_label"] > 0) == some


def test_states_are_drawn_with_their_probabilities() -> None:
    shares = {"label": (0.2, 0.3, 0.5), "masked_image": (1, 0, 0)}
    method = Method(Spec(FOUR, NETWORK, absent=["masked_image"]), states=shares)
    states = method.draw_states(20_000, generator())
    for name, (present, known) in {"mask": (0.6, 0.4), "label": (0.8, 0.5), "embedding": (0.6, 0.4)}.items():
        assert states.present[name].mean().item() == pytest.approx(present, abs=0.02)
        assert states.known[name].mean().item() == pytest.approx(known, abs=0.02)
        assert (states.known[name] <= states.present[name]).all()
    paper = Method(Spec(FOUR, NETWORK), conditioning="aggregate").draw_states(100, generator())
    assert paper.present["mask"].min() == 1 and paper.known["mask"].max() == 0


def test_a_share_of_the_items_is_told_nothing() -> None:
    drawn = [Method(Spec(FOUR, NETWORK), nothing_known=share).draw_states(20_000, generator()) for share in (0, 0.3)]
    told = [states.any_known(20_000).mean().item() for states in drawn]
    assert told[0] == pytest.approx(1 - 0.6**3, abs=0.02)
    assert told[1] == pytest.approx(0.7 * told[0], abs=0.02)
    assert all(torch.equal(drawn[0].present[name], drawn[1].present[name]) for name in drawn[0].present)


@pytest.mark.parametrize(("objective", "share"), [("simple", 0.25), ("vlb", 0.001)])
def test_the_bound_is_trained_at_uniform_steps(objective: str, share: float) -> None:
    method = Method(Spec(FOUR, NETWORK), objective=objective, clean=0.0)
    every = torch.ones(20_000).tolist()
    last = method.draw_steps(states_of(mask=every), 20_000, generator())[0] == method.process.steps
    assert last.float().mean().item() == pytest.approx(share, abs=0.01)


def test_a_value_that_is_not_known_does_not_reach_the_network() -> None:
    torch.manual_seed(0)
    method = Method(Spec(FOUR, NETWORK), omega="zero")
    batch, other = batch_of(FOUR, 2), batch_of(FOUR, 2)
    other["mask"], other["label"] = (other["mask"] + 1) % 5, (other["label"] + 1) % 3
    z, t = batch["image"], torch.tensor([500, 500])
    flags = dict.fromkeys(("mask", "label", "embedding"), torch.zeros(2))
    from mmbench.models.diffusion.model import Known  # noqa: PLC0415

    maps = [method.model.features(z, t, Known(b, flags), flags).map for b in (batch, other)]
    assert torch.equal(*maps)
    flags = flags | {"label": torch.ones(2)}
    assert not torch.equal(*[method.model.features(z, t, Known(b, flags), flags).map for b in (batch, other)])


def test_prediction_targets_invert() -> None:
    z0, eps = torch.randn(2, 3, 4, 4, generator=generator()), torch.randn(2, 3, 4, 4, generator=generator(1))
    signal, noise = torch.tensor(0.6), torch.tensor(0.8)
    y = signal * z0 + noise * eps
    for kind in ("eps", "v", "z0"):
        target = training_target(kind, z0, eps, signal, noise)
        assert torch.allclose(to_z0(target, kind, y, signal, noise), z0, atol=1e-6)
