"""Several modalities at once: what the multitask model is trained for, and every question from one set of weights."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from fake_data import NETWORK, generator

from mmbench.errors import UserError
from mmbench.method import Batch, Modality, Noise, Sampling, Spec, Task, available
from mmbench.modalities import kind_of
from mmbench.modalities.masked_image import draw_masks, hide
from mmbench.models.mt_diffusion import Method

pytestmark = pytest.mark.slow

FREE = {
    "image": Modality("image", (3, 16, 16)),
    "mask": Modality("class_map", (16, 16), classes=5),
    "label": Modality("label", (), classes=3),
    "embedding": Modality("vector", (7,)),
    "depth": Modality("depth", (16, 16)),
}
ALL = {**FREE, "masked_image": Modality("masked_image", (4, 16, 16))}
SHAPES = {"image": (2, 3, 16, 16), "mask": (2, 16, 16), "label": (2, 3), "embedding": (2, 7), "depth": (2, 16, 16)}
FAST = Sampling("ddim", 4)


def batch_of(count: int = 6, seed: int = 0) -> Batch:
    draw = generator(seed)
    image = torch.rand(count, 3, 16, 16, generator=draw) * 2 - 1
    return {
        "image": image,
        "mask": torch.randint(0, 5, (count, 16, 16), generator=draw),
        "label": (torch.arange(count) + seed) % 3,
        "embedding": torch.randn(count, 7, generator=draw),
        "depth": torch.rand(count, 16, 16, generator=draw) * 2 - 1,
        "masked_image": hide(image, draw_masks(torch.full((count,), 0.5), 16, 16, draw)),
    }


def built(**settings: object) -> Method:
    """A tiny model whose every weight does something."""
    torch.manual_seed(0)
    method = Method(Spec(ALL, NETWORK), **settings)
    for parameter in [*method.model.head.parameters(), *method.model.decoders.parameters()]:
        torch.nn.init.normal_(parameter, std=0.1)
    return method.eval()


def questions() -> list[Task]:
    """Every proper subset of the five given, the others wanted; and a masked image given, all others wanted."""
    subsets = [given for size in range(len(FREE)) for given in combinations(FREE, size)]
    tasks = [Task("_".join(["from", *given]), given, tuple(n for n in FREE if n not in given)) for given in subsets]
    return [*tasks, Task("reconstruct", ("masked_image",), tuple(FREE))]


QUESTIONS = [pytest.param(task, id=task.name) for task in questions()]


def ask(method: Method, task: Task, values: Batch, sampling: Sampling = FAST) -> Batch:
    given = {name: values[name][:2] for name in task.given}
    return method.predict(task, given, 2, sampling, Noise())


class TestEveryQuestion:
    @pytest.mark.parametrize("task", QUESTIONS)
    @pytest.mark.parametrize("guidance", [0.0, 1.5])
    def test_it_is_answered_within_the_evaluations_granted(self, task: Task, guidance: float) -> None:
        method, seen = built(guidance=guidance), []
        method.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        answer = ask(method, task, batch_of(), Sampling("ddim", 5))
        assert {name: tuple(value.shape) for name, value in answer.items()} == {n: SHAPES[n] for n in task.want}
        assert all(torch.isfinite(value).all() for value in answer.values())
        assert sum(seen) / 2 == (1 if "image" in task.given else 4 if guidance and task.given else 5)

    @pytest.mark.parametrize("task", QUESTIONS)
    def test_everything_given_is_used(self, task: Task) -> None:
        method, values, other = built(), batch_of(), batch_of(seed=1)
        answer = ask(method, task, values)
        for name in task.given:
            changed = ask(method, task, {**values, name: other[name]})
            assert any(not torch.equal(answer[want], changed[want]) for want in task.want), name

    @pytest.mark.parametrize("given", [("label", "mask"), ("image", "label")])
    def test_what_is_given_is_not_asked_again(self, given: tuple[str, ...]) -> None:
        values = batch_of()
        answer = ask(built(), Task("again", given, tuple(FREE)), values)
        hot = torch.nn.functional.one_hot(values["label"][:2], 3).float()
        assert torch.equal(answer["label"], hot)
        kept = next(name for name in given if name != "label")
        assert torch.equal(answer[kept], values[kept][:2])

    def test_a_masked_image_that_is_not_given_is_absent(self) -> None:
        method = built()
        seen: list[dict[str, torch.Tensor]] = []
        method.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[3]))
        ask(method, Task("from_label", ("label",), ("image", "mask", "embedding")), batch_of())
        assert all(float(present["masked_image"].max()) == 0 for present in seen)
        assert all(float(present["mask"].min()) == 1 for present in seen)


class TestTraining:
    def test_every_question_is_trained_for(self) -> None:
        """The state that it is answered in, at the step at which a given image is read, and over all steps."""
        states = dict.fromkeys(("mask", "label", "embedding", "depth"), (0.2, 0.4, 0.4)) | {
            "masked_image": (0.7, 0.0, 0.3)
        }
        method = built(states=states, nothing_known=0.2, clean=0.3)
        n = 50_000
        drawn = method.draw_states(n, generator())
        t, _ = method.draw_steps(drawn, n, generator())
        for task in questions():
            here = torch.ones(n, dtype=torch.bool)
            for name in method.others:
                present, known = drawn.present[name] > 0, drawn.known[name] > 0
                if name in task.given:
                    here &= known
                else:
                    here &= (present & ~known) if name in task.want else ~present
            first = (t[here] == 1).float().mean()
            assert here.sum() > 100, task.name
            assert 0.2 < first < 0.4, task.name
            assert t[here].float().std() > 200, task.name

    def test_omega_is_shared_out(self) -> None:
        """All modalities together are as high as one alone; single heights are taken as they are."""
        one = Method(Spec({n: FREE[n] for n in ("image", "mask")}, NETWORK), scale=0.4)
        many = Method(Spec(ALL, NETWORK), scale=0.4)
        torch.testing.assert_close(many.process.omega().sum(dim=1), one.process.omega().sum(dim=1))
        own = Method(Spec(ALL, NETWORK), scale={"mask": 0.4, "label": 0.1, "masked_image": 0.0})
        highest = dict(zip(own.others, own.process.omega().amax(dim=0).tolist(), strict=True))
        assert highest == pytest.approx(
            {"embedding": 0.05, "depth": 0.05, "mask": 0.4, "label": 0.1, "masked_image": 0}, abs=1e-4
        )

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"states": {"lable": (1, 0, 0)}}, r"states: 'lable' is no modality \(did you mean 'label'\?\)"),
            ({"states": (0.5, 0.6, 0.2)}, r"mask has \[0.5, 0.6, 0.2\]; write the shares of absent, unknown, known"),
            ({"states": {"mask": (1, 0)}}, "mask has .* which add up to 1"),
            ({"scale": {"sound": 1.0}}, "scale: 'sound' is no modality"),
            ({"guidance": -1.0}, "guidance: -1.0 is negative"),
            ({"guidance": 1.0, "conditioning": "aggregate"}, "guidance: needs conditioning: channels"),
            ({"guidance": 1.0, "states": {"mask": (0, 0, 1)}}, "items trained with nothing known"),
        ],
    )
    def test_a_wrong_setting_is_named(self, settings: dict, says: str) -> None:
        with pytest.raises(UserError, match=says) as caught:
            built(**settings)
        assert str(caught.value).startswith(f"mt_diffusion: {next(iter(settings))}: ")

    def test_settings_may_name_what_the_data_lack(self) -> None:
        settings = {"states": {"label": (0, 0.5, 0.5)}, "weights": {"label": 1.0, "image": 0.5}, "scale": {"label": 1}}
        two = {name: ALL[name] for name in ("image", "masked_image")}
        assert Method(Spec(two, NETWORK, absent=["label"]), **settings).recovery_weights == {"image": 0.5}


class TestGuidance:
    def test_it_needs_two_evaluations(self) -> None:
        method, task = built(guidance=1.0), Task("from_label", ("label",), ("image",))
        with pytest.raises(UserError, match=r"guidance: 1.0 takes two evaluations a step; raise sample.nfe to 2"):
            ask(method, task, batch_of(), Sampling("ddim", 1))
        ask(method, Task("generate", (), ("image",)), batch_of(), Sampling("ddim", 1))

    @pytest.mark.parametrize(("states", "present"), [((0.4, 0.2, 0.4), 0.0), ((0.0, 0.6, 0.4), 1.0)])
    def test_what_it_leaves_is_a_state_that_was_trained(self, states: tuple, present: float) -> None:
        """Absent, and then not in z_t, where items were trained so; else unknown, and then in z_t."""
        method = built(guidance=1.0, states=states, scale=4.0)
        seen: list[tuple] = []
        method.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
        ask(method, Task("from_mask", ("mask",), ("image", "label")), batch_of())
        for (z, t, known, here), (free, same, nothing, left) in zip(seen[::2], seen[1::2], strict=True):
            assert torch.equal(t, same)
            assert known.flags["mask"].tolist() == [1, 1] and nothing.flags["mask"].tolist() == [0, 0]
            assert here["mask"].tolist() == [1, 1] and left["mask"].tolist() == [present, present]
            assert torch.equal(here["label"], left["label"])
            drift = method.process.drift(method.model.encode(batch_of(2)), t)
            assert torch.equal(z, free) == bool(present or not torch.as_tensor(drift).abs().max())

    def test_it_moves_images_towards_what_is_given(self) -> None:
        """On a world in which the label sets the brightness, which the noise around it hides."""
        two = {"image": Modality("image", (3, 16, 16)), "label": Modality("label", (), classes=2)}
        label = torch.arange(32) % 2
        torch.manual_seed(0)
        settings = {"states": (0.3, 0.3, 0.4), "one_pass": 0.0, "weights": {"label": 0.1}}
        method = Method(Spec(two, NETWORK), **settings)
        optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
        for step in range(120):
            level = 0.5 * torch.randn(32, generator=generator(step + 1000)) + label * 0.6 - 0.3
            image = level[:, None, None, None].expand(-1, 3, 16, 16).clamp(-1, 1)
            optimizer.zero_grad()
            method.loss({"image": image, "label": label}, generator(step))["loss"].backward()
            optimizer.step()
        method.eval()
        brightness = []
        for guidance in (0.0, 2.0):
            guided = Method(Spec(two, NETWORK), guidance=guidance, **settings)
            guided.load_state_dict(method.state_dict())
            task, sampling = Task("from_label", ("label",), ("image",)), Sampling("ddim", 20)
            image = guided.eval().predict(task, {"label": label}, 32, sampling, Noise())["image"]
            brightness.append((image[label == 1].mean() - image[label == 0].mean()).item())
        assert brightness[0] > 0.1
        assert brightness[1] > brightness[0] + 0.1


def lacking(batch: Batch, first: int) -> Batch:
    """The batch in which the items from `first` on have an image only."""
    batch = {name: value.clone() for name, value in batch.items()}
    batch["mask"][first:], batch["label"][first:] = 255, -1
    batch["embedding"][first:], batch["depth"][first:] = float("nan"), float("nan")
    return batch


class TestMissing:
    def test_what_is_missing_is_told_from_what_is_not(self) -> None:
        batch = lacking(batch_of(4), 2)
        batch["mask"][0, :, :8] = 255
        batch["depth"][0, :, :8] = float("nan")
        batch["embedding"][0, 0] = float("nan")  # a broken one is not a missing one: it must be seen
        for name, modality in ALL.items():
            expected = [True] * 4 if "image" in name else [True, True, False, False]
            assert available(modality, batch[name]).tolist() == expected, name

    def test_a_recovery_counts_nothing_for_it(self) -> None:
        batch = lacking(batch_of(4), 2)
        decoded = {"mask": torch.randn(4, 5, 16, 16), "label": torch.randn(4, 3), "embedding": torch.randn(4, 7),
                   "depth": torch.randn(4, 1, 16, 16)}  # fmt: skip
        for name, output in decoded.items():
            loss = kind_of(FREE[name]).recovery(output.requires_grad_(), batch[name])
            assert loss[:2].min() > 0 and loss[2:].tolist() == [0, 0]
            loss.sum().backward()
            assert torch.isfinite(output.grad).all() and output.grad[2:].abs().max() == 0

    @pytest.mark.parametrize("objective", ["simple", "vlb"])
    @pytest.mark.parametrize("omega", ["bridge", "learned"])
    def test_gradients_are_those_of_the_rest(self, objective: str, omega: str) -> None:
        """Of all items' generation, and of the recoveries of those that have something: no value gets through."""
        settings = {"weights": dict.fromkeys(ALL, 0.5), "recover_absent": True, "clean": 0.2}
        method = built(objective=objective, omega=omega, **settings)
        found = []
        for missing in (255, 3):  # a pixel's class; with 3, values that must not matter stand in for the missing
            batch = lacking(batch_of(16), 8)
            if missing != 255:
                batch = batch_of(16)
                method.draw_states = forgetting(method, 8)  # type: ignore[method-assign]
            method.zero_grad()
            terms = method.loss(batch, generator())
            assert all(torch.isfinite(value) for value in terms.values())
            terms["loss"].backward()
            found.append({name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None})
        assert all(torch.isfinite(grad).all() for grad in found[0].values())
        assert found[0].keys() == found[1].keys()
        for name, grad in found[0].items():
            torch.testing.assert_close(grad, found[1][name], msg=name)


def forgetting(method: Method, first: int) -> object:
    """`draw_states` of a method, by which the items from `first` on have only an image and its masked copy."""
    drawn = method.draw_states

    def draw(count: int, generator: torch.Generator) -> object:
        here = torch.arange(count) < first
        found = {name: here if name != "masked_image" else here | True for name in method.others}
        states = drawn(count, generator).limited(found)
        limited = states.limited
        object.__setattr__(states, "limited", lambda _: limited(found))
        return states

    return draw
