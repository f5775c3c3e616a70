"""Every baseline that is found: the contract of a method, and what each should do on a case whose answer is known."""

from __future__ import annotations

import inspect
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import RePaintScheduler
from fake_data import NETWORK, generator
from oracle import Oracle, Truth
from torch import Tensor, nn

from mmbench.config.discovery import MethodFile, find_methods, read_literals
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, asked, load_experiment
from mmbench.experiments.masking.tasks import TASKS
from mmbench.files.weights import load_weights, save_weights
from mmbench.method import Batch, Method, Modality, Noise, Sampling, Spec, Task, available, load_method
from mmbench.modalities.masked_image import draw_masks, hide
from mmbench.models.diffusion.process import alpha_bars
from mmbench.models.diffusion.single import DiffusionMethod
from mmbench.models.mt_diffusion import Method as MultitaskMethod

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CARD = {
    "modalities": ["image", "mask", "label", "embedding", "depth"],
    "classes": ["sky", "road", "house", "tree"],
    "labels": ["dark", "dusk", "day"],
    "embedding": {"size": 20},
}
FAST = Sampling("ddim", 3)
RECONSTRUCT = TASKS["reconstruct"]

EXPERIMENTS = sorted(p.name for p in (ROOT / "baselines").iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))
FOUND = [
    pytest.param(experiment, found, id=f"{experiment}-{found.name}")
    for experiment, methods in find_methods(ROOT, EXPERIMENTS).items()
    for found in methods.values()
    if not found.external and found.path.parts[0] == "baselines"
]
#: Parameters of the network that a method shares with another one and does not train.
NOT_TRAINED = {
    "reconstruction_only": ("model.head.", "model.decoders.masked_image."),
    **dict.fromkeys(["pair_mask", "pair_label", "pair_embedding"], ("model.decoders.image.",)),
}


def modalities(experiment: str, size: int, **card: object) -> dict[str, Modality]:
    return load_experiment(experiment).modalities({"size": [size, size], **CARD, **card})


def random_batch(experiment: str, size: int, count: int, seed: int = 0) -> Batch:
    """A training batch of smooth random images."""
    rough = torch.rand(count, 3, 4, 4, generator=generator(seed)) * 2 - 1
    image = nn.functional.interpolate(rough, size=(size, size), mode="bilinear")
    brightness = (image.mean(dim=1) + 1) * 2
    mask = brightness.long().clamp(0, 3)
    mask[:, :2, :3] = 255
    label = (brightness.mean(dim=(1, 2)) * 8).long() % len(CARD["labels"])
    projection = torch.randn(image[0].numel(), CARD["embedding"]["size"], generator=generator(99)) / size
    batch = {"image": image, "mask": mask, "label": label, "embedding": image.flatten(1) @ projection}
    batch["depth"] = torch.where(mask == 255, float("nan"), image.mean(dim=1))
    return load_experiment(experiment).training_batch(batch, modalities(experiment, size), generator(seed))


def given_of(task: Task, batch: Batch) -> Batch:
    """What `task` gives of a batch; noised images at three levels, in half precision, as they are stored."""
    alpha_bar = torch.tensor([0.9, 0.5, 0.05]).repeat(len(batch["image"]))[: len(batch["image"])]
    eps = torch.randn(batch["image"].shape, generator=generator(3))
    level = alpha_bar.view(-1, 1, 1, 1)
    noised = (level.sqrt() * batch["image"] + (1 - level).sqrt() * eps).half()
    return {name: {**batch, "noised_image": noised, "alpha_bar": alpha_bar}[name] for name in task.given}


def tasks_of(experiment: str, found: MethodFile) -> list[Task]:
    """The tasks that a method claims, each wanting what the method answers of it."""
    module = load_experiment(experiment)
    return [asked(module, Case(name, name, 1), found.answers or None) for name in found.tasks]


def build(name: str, size: int = 16, experiment: str = "masking", **settings: object) -> Method:
    torch.manual_seed(0)
    spec = Spec(modalities(experiment, size), NETWORK, settings)
    return load_method(ROOT / "baselines" / experiment / f"{name}.py", spec)


def masked_copy(image: Tensor, share: float = 0.5, seed: int = 1) -> Tensor:
    shares = torch.full((len(image),), share)
    return hide(image, draw_masks(shares, image.shape[2], image.shape[3], generator(seed)))


def randomised(method: Method, seed: int = 1) -> Method:
    """The method with heads that are not zero, as after training."""
    for parameter in method.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05, generator=generator(seed))
    return method.eval()


def trainable(found: MethodFile) -> bool:
    return not found.weights_from and read_literals(ROOT / found.path).get("TRAINED", True)


# The contract, for each baseline there is


@pytest.mark.parametrize("experiment, found", [p for p in FOUND if trainable(p.values[1])])
def test_it_learns_with_every_parameter(experiment: str, found: MethodFile) -> None:
    configured = read_yaml(ROOT / "config" / "experiments" / f"{experiment}.yaml", ROOT)["methods"]
    method = build(found.name, 16, experiment, **configured.get(found.name, {}))
    batch = random_batch(experiment, 16, 8)
    method.prepare(batch)
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-2)
    for seed in range(2):  # the heads start at zero, so the trunk's gradients come with the second step
        optimizer.zero_grad()
        terms = method.loss(batch, generator(seed))
        assert terms["loss"].shape == () and all(torch.isfinite(term) for term in terms.values())
        terms["loss"].backward()
        optimizer.step()
    silent = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in silent if not n.startswith(NOT_TRAINED.get(found.name, ()))] == []
    assert all(torch.isfinite(p).all() for p in method.parameters())
    with torch.no_grad():
        assert torch.equal(*(method.loss(batch, generator(5))["loss"] for _ in range(2)))


@pytest.mark.parametrize("experiment, found", [p for p in FOUND if not trainable(p.values[1])])
def test_what_is_not_trained_has_no_parameters_of_its_own(experiment: str, found: MethodFile) -> None:
    method = build(found.name, 16, experiment)
    if found.weights_from is None:
        assert not list(method.parameters())
        with pytest.raises(NotImplementedError, match="TRAINED = False"):
            method.loss(random_batch(experiment, 16, 2), generator())
        return
    sources = {m.name: m for m in find_methods(ROOT, [experiment])[experiment].values()}
    spec = Spec(modalities(experiment, 16), NETWORK)
    source = load_method(ROOT / sources[found.weights_from].path, spec)
    method.load_state_dict(source.state_dict())


@pytest.mark.parametrize("experiment, found", FOUND)
def test_it_answers_every_task_that_it_claims(experiment: str, found: MethodFile) -> None:
    """Of another size than in the other tests."""
    method = randomised(build(found.name, 32, experiment))
    batch = random_batch(experiment, 32, 3)
    method.prepare(batch)
    assert found.tasks and set(found.tasks) <= load_experiment(experiment).tasks.keys()
    for task in tasks_of(experiment, found):
        assert task.want
        given = given_of(task, batch)
        before = {name: value.clone() for name, value in given.items()}
        answer = method.predict(task, given, 3, FAST, Noise(7))
        assert answer.keys() == set(task.want)
        for name, value in answer.items():
            modality = method.spec.modalities[name]
            shape = (3, modality.classes) if modality.kind == "label" else (3, *modality.shape)
            assert tuple(value.shape) == shape and not value.requires_grad
            if modality.kind == "class_map":
                assert value.dtype == torch.int64 and 0 <= value.min() <= value.max() < modality.classes
                continue
            assert value.dtype == torch.float32 and torch.isfinite(value).all()
            assert modality.kind != "image" or value.abs().max() <= 1 + 1e-5
            assert modality.kind != "label" or (torch.allclose(value.sum(dim=1), torch.ones(3)) and value.min() >= 0)
        again = method.predict(task, given, 3, FAST, Noise(7))
        assert all(torch.equal(answer[name], again[name]) for name in task.want)
        assert all(torch.equal(given[name], before[name]) for name in given)


@pytest.mark.parametrize("experiment, found", FOUND)
def test_its_answers_do_not_depend_on_the_batch(experiment: str, found: MethodFile) -> None:
    """An item's noise is its own, so all that is left is the rounding of a convolution, which a class map hides."""
    method, batch = randomised(build(found.name, 16, experiment)), random_batch(experiment, 16, 5)
    method.prepare(batch)
    for task in tasks_of(experiment, found):
        given = given_of(task, batch)
        sampling = Sampling("dpm++sde", 4)  # draws noise at every step
        whole = method.predict(task, given, 5, sampling, Noise(7))
        parts = [
            method.predict(task, {k: v[a:b] for k, v in given.items()}, b - a, sampling, Noise(7, first=a))
            for a, b in ((0, 2), (2, 5))
        ]
        for name, answer in whole.items():
            again = torch.cat([part[name] for part in parts])
            if answer.dtype == torch.int64:
                assert (again == answer).float().mean() > 0.99, (task.name, name)
            else:
                torch.testing.assert_close(again, answer, atol=1e-4, rtol=1e-4)


WAY = Sampling("ddim", 12, commit=0.25)
OTHER_WAYS = {
    "sampler": replace(WAY, sampler="dpm++sde"),
    "nfe": replace(WAY, nfe=6),
    "guidance": replace(WAY, guidance=1.0),
    "commit": replace(WAY, commit=None),
}


@pytest.mark.parametrize("experiment, found", FOUND)
def test_its_answers_depend_on_what_it_heeds(experiment: str, found: MethodFile) -> None:
    method, batch = randomised(build(found.name, 16, experiment)), random_batch(experiment, 16, 3)
    method.prepare(batch)
    heeded = {task.name: method.heeds(task) for task in tasks_of(experiment, found)}
    assert found.samples == any(heeded.values())
    for task in tasks_of(experiment, found):
        given = given_of(task, batch)
        answer = method.predict(task, given, 3, WAY, Noise(7))
        for field, sampling in OTHER_WAYS.items():
            other = method.predict(task, given, 3, sampling, Noise(7))
            differs = any(not torch.equal(answer[name], other[name]) for name in task.want)
            assert differs == (field in heeded[task.name]), (task.name, field)


@pytest.mark.parametrize("experiment, found", FOUND)
def test_its_weights_survive_a_file(experiment: str, found: MethodFile, tmp_path: Path) -> None:
    method = randomised(build(found.name, 16, experiment))
    batch = random_batch(experiment, 16, 3)
    method.prepare(batch)
    save_weights(tmp_path / "weights.safetensors", method.state_dict())
    restored = randomised(build(found.name, 16, experiment), seed=9)
    load_weights(tmp_path / "weights.safetensors", restored)
    task = tasks_of(experiment, found)[0]
    given = given_of(task, batch)
    answers = [m.predict(task, given, 3, FAST, Noise()) for m in (method, restored)]
    assert all(torch.equal(answers[0][name], answers[1][name]) for name in task.want)


@pytest.mark.parametrize("experiment, found", FOUND)
def test_its_evaluations_are_counted_and_within_the_budget(experiment: str, found: MethodFile) -> None:
    method, batch = build(found.name, 16, experiment), random_batch(experiment, 16, 2)
    if not list(method.parameters()):
        assert not hasattr(method, "backbone")
        return
    calls: list[int] = []
    method.backbone.register_forward_pre_hook(lambda _module, inputs: calls.append(len(inputs[0])))
    task = tasks_of(experiment, found)[0]
    given = given_of(task, batch)
    method.predict(task, given, 2, Sampling("ddim", 7), Noise())
    assert 1 <= len(calls) <= 7 and set(calls) == {2}


@pytest.mark.parametrize("experiment, found", FOUND)
def test_an_unknown_setting_is_an_error_of_one_line(experiment: str, found: MethodFile) -> None:
    with pytest.raises(UserError, match="no_such_setting"):
        build(found.name, 16, experiment, no_such_setting=1)


@pytest.mark.parametrize(
    "experiment, name",
    [("masking", "ddpm"), ("masking", "ddpm_augmented"), ("masking", "palette"), ("masking", "repaint"),
     ("segmentation", "segdiff"), ("segmentation", "concat_ddpm"), ("labels", "cfg_ddpm"),
     ("labels", "classifier_guidance"), ("labels", "joint_diffusion"),
     ("embedding", "rcg"), ("embedding", "redi"), ("embedding", "unidiffuser"),
     ("joint", "ddpm"), ("joint", "painter_mask")],
)  # fmt: skip
def test_diffusion_baselines_are_parameterised_as_the_multitask_model(experiment: str, name: str) -> None:
    shared = {"schedule": "linear", "prediction": "v", "max_weight": 3.0}
    method = build(name, experiment=experiment, **shared)
    assert isinstance(method, DiffusionMethod) and (method.prediction, method.max_weight) == ("v", 3.0)
    assert torch.equal(method.process.alpha_bar, alpha_bars("linear"))
    own, multitask = (inspect.signature(cls).parameters for cls in (DiffusionMethod, MultitaskMethod))
    assert {key: own[key].default for key in shared} == {key: multitask[key].default for key in shared}


# Mean fill, biharmonic, regression


def test_mean_fill_takes_hidden_pixels_from_the_mean_image() -> None:
    method = build("mean_fill")
    train = torch.stack([torch.zeros(3, 16, 16), torch.linspace(-1, 1, 768).view(3, 16, 16)])
    method.prepare({"image": train})
    image = torch.full((1, 3, 16, 16), 0.25)
    seen = torch.ones(1, 1, 16, 16)
    seen[..., 3, 5] = 0
    answer = method.predict(RECONSTRUCT, {"masked_image": hide(image, seen)}, 1, FAST, Noise())["image"]
    expected = image.clone()
    expected[0, :, 3, 5] = torch.linspace(-1, 1, 768).view(3, 16, 16)[:, 3, 5] / 2
    assert torch.allclose(answer, expected, atol=1e-7)


@pytest.mark.parametrize("slope", [(0.0, 1.0), (1.0, 0.0), (-0.6, 0.3)])
def test_biharmonic_continues_a_ramp_through_the_hole(slope: tuple[float, float]) -> None:
    axis = torch.linspace(-0.8, 0.8, 16)
    ramp = slope[0] * axis[:, None] + slope[1] * axis[None, :]
    image = torch.stack([ramp, -ramp, ramp / 2])[None]
    seen = torch.ones(1, 1, 16, 16)
    seen[..., 5:10, 4:11] = 0
    answer = build("biharmonic").predict(RECONSTRUCT, {"masked_image": hide(image, seen)}, 1, FAST, Noise())
    assert torch.allclose(answer["image"], image, atol=1e-4)


@pytest.mark.parametrize("hidden", [0, 256])
def test_biharmonic_without_a_hole_or_without_an_image(hidden: int) -> None:
    image = random_batch("masking", 16, 1)["image"]
    seen = torch.full((1, 1, 16, 16), float(hidden == 0))
    answer = build("biharmonic").predict(RECONSTRUCT, {"masked_image": hide(image, seen)}, 1, FAST, Noise())
    assert torch.allclose(answer["image"], image if not hidden else torch.zeros_like(image), atol=1e-6)


@pytest.mark.parametrize("name", ["unet_regression", "palette"])
def test_the_loss_looks_only_into_the_hole(name: str) -> None:
    method, batch = randomised(build(name)), random_batch("masking", 16, 4)
    seen = batch["masked_image"][:, 3:]
    other = {**batch, "image": batch["image"] + 0.5 * (1 - seen)}
    same = {**batch, "image": batch["image"] + (0 if name == "palette" else 0.5) * seen}
    loss = method.loss(batch, generator())["loss"]
    assert torch.equal(loss, method.loss(same, generator())["loss"])
    assert not torch.isclose(loss, method.loss(other, generator())["loss"])


@pytest.mark.parametrize(
    "name, setting, value",
    [
        ("unet_regression", "loss", "l3"),
        ("palette", "region", "edge"),
        ("repaint", "jump_length", 0),
    ],
)
def test_a_bad_value_names_method_and_key(name: str, setting: str, value: object) -> None:
    with pytest.raises(UserError, match=f"{name}(.py)?: {setting}: .*{value}"):
        build(name, **{setting: value})


# Diffusion with a denoiser that knows the answer


def with_oracle(name: str, truth: Truth, **settings: object) -> Method:
    method = build(name, **settings)
    method.backbone, method.head = Oracle(method, truth), nn.Identity()
    return method


@pytest.mark.parametrize("prediction", ["z0", "v", "eps"])
@pytest.mark.parametrize("name", ["ddpm", "palette"])
def test_the_loss_of_a_perfect_denoiser_is_zero(name: str, prediction: str) -> None:
    batch = random_batch("masking", 16, 4)
    perfect = with_oracle(name, batch["image"], prediction=prediction).loss(batch, generator())["loss"]
    wrong = with_oracle(name, -batch["image"], prediction=prediction).loss(batch, generator())["loss"]
    assert perfect < 1e-6 and wrong > 1e-2


@pytest.mark.parametrize("prediction", ["z0", "v", "eps"])
@pytest.mark.parametrize("name", ["palette", "repaint"])
def test_a_perfect_denoiser_gives_the_true_image(name: str, prediction: str) -> None:
    image = random_batch("masking", 16, 3)["image"]
    given = {"masked_image": masked_copy(image)}
    method = with_oracle(name, image, prediction=prediction)
    answer = method.predict(RECONSTRUCT, given, 3, Sampling("ddim", 9), Noise())["image"]
    assert torch.allclose(answer, image, atol=2e-3)


@pytest.mark.parametrize("name", ["palette", "repaint"])
def test_seen_pixels_stay_and_the_sampler_shows_them_noised_as_in_training(name: str) -> None:
    image = random_batch("masking", 16, 64)["image"]
    masked = masked_copy(image)
    seen = masked[:, 3:].expand_as(image).bool()
    method = with_oracle(name, torch.zeros_like(image))  # knows nothing of the image
    visited: list[tuple[float, Tensor]] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        signal, noise = method.process.coefficients(inputs[1], inputs[0])
        visited.append((float(noise[0]), ((inputs[0][:, :3] - signal * image) / noise)[seen]))

    method.backbone.register_forward_pre_hook(keep)
    answer = method.predict(RECONSTRUCT, {"masked_image": masked}, 64, Sampling("ddim", 8), Noise())["image"]
    assert torch.allclose(answer[seen], image[seen], atol=1e-5) and answer[~seen].abs().max() < 1e-5
    assert len(visited) > 4
    for noise, eps in visited[1:]:
        assert noise > 0.05 and abs(float(eps.mean())) < 0.03 and abs(float(eps.std()) - 1) < 0.03


def test_repaint_conditions_a_gaussian_on_what_is_seen() -> None:
    """All pixels of an image share one value c ~ N(0, s^2): seeing some of them determines the rest."""
    deviation, pixels = 0.3, 3 * 16 * 16

    def optimal(z_t: Tensor, signal: Tensor, noise: Tensor, _vector: Tensor | None) -> Tensor:
        gain = signal * deviation**2 / (signal**2 * deviation**2 + noise**2 / pixels)
        return (gain * z_t.mean(dim=(1, 2, 3), keepdim=True)).expand_as(z_t)

    image = torch.linspace(-0.6, 0.6, 512).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    masked = masked_copy(image, 0.5)
    hidden = masked[:, 3:] == 0

    def error(resample: int) -> float:
        method = with_oracle("repaint", optimal, resample=resample)
        answer = method.predict(RECONSTRUCT, {"masked_image": masked}, 512, Sampling("ddim", 60), Noise())["image"]
        return float(((answer - image).abs() * hidden).sum() / (3 * hidden.sum()))

    harmonised, plain = error(2), error(1)
    assert harmonised < 0.1 and harmonised < 0.9 * plain


# RePaint's walk


@pytest.mark.parametrize("steps, jump, resample", [(250, 10, 10), (50, 5, 3), (20, 1, 2), (10, 2, 4), (4, 10, 10)])
def test_repaint_walks_as_the_reference_scheduler(steps: int, jump: int, resample: int) -> None:
    walk = repaint_module().walk(steps, jump, resample)
    single = [walk[0]]  # the reference climbs one level at a time
    for now, later in pairwise(walk):
        single += range(now + 1, later + 1) if later > now else [later]
    scheduler = RePaintScheduler(num_train_timesteps=1000)
    scheduler.set_timesteps(steps, jump_length=jump, jump_n_sample=resample)
    assert [level - 1 for level in single[:-1]] == (scheduler.timesteps // (1000 // steps)).tolist()


def test_the_papers_walk_needs_2410_evaluations() -> None:
    module = repaint_module()
    assert module.evaluations(module.walk(250, 10, 10)) == 2410


@pytest.mark.parametrize("nfe", [1, 2, 3, 7, 20, 50, 250, 1000])
@pytest.mark.parametrize("jump, resample", [(1, 1), (1, 2), (2, 3), (10, 10)])
def test_repaint_makes_the_most_of_its_budget(nfe: int, jump: int, resample: int) -> None:
    module = repaint_module()
    levels = build("repaint", jump_length=jump, resample=resample).levels(nfe)
    assert levels[0] == 1000 and levels[-1] == 0 and max(levels) == 1000
    steps = len(set(levels)) - 1
    assert module.evaluations(levels) <= nfe < module.evaluations(module.walk(steps + 1, jump, resample))


def repaint_module() -> object:
    return inspect.getmodule(type(build("repaint")))


# The multitask model's own


def test_reconstruction_only_is_the_multitask_network() -> None:
    method, batch = build("reconstruction_only"), random_batch("masking", 16, 4)
    spec = Spec(modalities("masking", 16), NETWORK)
    multitask = load_method(ROOT / "mmbench/models/mt_diffusion.py", spec)
    assert {k: v.shape for k, v in method.state_dict().items()} == {
        k: v.shape for k, v in multitask.state_dict().items()
    }
    assert set(method.loss(batch, generator())) == {"loss", "recover_image"}


def test_the_heads_answer_is_the_multitask_models() -> None:
    spec = Spec(modalities("masking", 16), NETWORK)
    multitask = randomised(load_method(ROOT / "mmbench/models/mt_diffusion.py", spec))
    head, given = build("mt_head"), {"masked_image": random_batch("masking", 16, 2)["masked_image"]}
    head.load_state_dict(multitask.state_dict())
    answer = head.predict(RECONSTRUCT, given, 2, FAST, Noise())["image"]
    assert torch.equal(answer, multitask.predict_at_once(given, 2, Noise()))
    sampled = multitask.predict(RECONSTRUCT, given, 2, FAST, Noise())["image"]
    assert not torch.allclose(answer, sampled, atol=1e-3)
    with pytest.raises(UserError, match="channels"):
        build("mt_head", conditioning="aggregate").predict(RECONSTRUCT, given, 2, FAST, Noise())


# Items that lack a modality


@pytest.mark.parametrize("experiment, found", [p for p in FOUND if trainable(p.values[1])])
def test_what_says_that_it_handles_missing_modalities_does(experiment: str, found: MethodFile) -> None:
    method, batch = build(found.name, experiment=experiment), random_batch(experiment, 16, 6)
    if not method.handles_missing:
        return
    lacking = dict(batch)
    for name, missing in {"mask": 255, "label": -1, "embedding": float("nan"), "depth": float("nan")}.items():
        if name in method.spec.modalities:
            lacking[name] = torch.cat([batch[name][:3], torch.full_like(batch[name][3:], missing)])
            assert (available(method.spec.modalities[name], lacking[name]) == (torch.arange(6) < 3)).all()
    terms = method.loss(lacking, generator())
    terms["loss"].backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
