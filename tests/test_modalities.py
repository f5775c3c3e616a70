"""Every kind of modality there is, under a name that is not its own, through every stage; and names that are free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_data import TRAIN, write_splits

import mmbench
from mmbench import experiments, modalities
from mmbench.config.literals import data_modalities
from mmbench.errors import UserError
from mmbench.experiments import Tasks
from mmbench.experiments.experiment import Experiment, to_batch, to_stored
from mmbench.files.store import Arrays, load_arrays, read_json, write_json
from mmbench.inference.model import Model
from mmbench.method import Modality, Spec, Task, available
from mmbench.modalities import can_be_missing, class_of, default_kind, facts_of, kind_of, kinds_of_card, of_card
from mmbench.models.mt_diffusion import Method
from mmbench.runs.records import Shape
from mmbench.stages import cases, evaluate, predict, report, train
from mmbench.training.loop import Training
from mmbench.training.schedule import batch_indices, step_generator

KINDS = modalities.names()
MULTITASK = Path(mmbench.__file__).parent / "models" / "mt_diffusion.py"
SIZE, COUNTS = 16, {"train": 12, "validation": 4, "test": 20}
NETWORK = {"width": 8, "channel_mult": [1, 2], "layers": 1, "patch": 2, "attention": False}
OWN_TRAIN = {**TRAIN, "steps": 3, "batch_size": 6, "flip": True}
#: What a card may have to say of a modality; each kind takes what it needs.
FACTS = {"classes": ["a", "b", "c"], "palette": [[0, 0, 0], [9, 9, 9], [99, 9, 9]], "labels": ["x", "y"], "size": 5}
SCORES = """
import numpy as np
import torch
from mmbench.scoring.scores import Measure, Scored


def score(answered, tools):
    scored = Scored()
    for case, answer in answered:
        for name, array in answer.items():
            values = array.reshape(len(array), -1).astype(np.float64).mean(axis=1)
            scored.add_each(case, Measure(f"mean_{name}", True), torch.from_numpy(values), {})
    return scored
"""
MASKED = """
import torch
from mmbench.experiments.experiment import Case, stored_cases
from mmbench.modalities.masked_image import hide_stored
from .tasks import TASKS


def cases(test, modalities, settings):
    given = {"thing": hide_stored(test["image"][:4], 0.5, torch.Generator())}
    drawn = stored_cases(TASKS, test, modalities, settings["evaluate"])
    return [*drawn, Case("paint", "paint", 4, given, {"image": test["image"][:4]})]
"""
SECTION = """
from mmbench.experiments import load_tasks
from mmbench.report.parts.tasks import Question, build_tasks


def build(context):
    tasks = load_tasks(context.experiment.name).tasks.values()
    return build_tasks(context, "Contract", "All.", [Question(t.name, t.name, f"mean_{t.want[0]}") for t in tasks])
"""


def card_of(kind: str) -> dict[str, Any]:
    """Of a data set with an image and, unless it is made of that, a `thing` of a kind."""
    stored = {"thing": {"kind": kind, **FACTS}} if not class_of(kind).made_from else {}
    return {"name": "made", "title": "Made", "size": [SIZE, SIZE], "modalities": {"image": "image", **stored}}


def tasks_of(kind: str) -> Tasks:
    """Each made of the other and both drawn, as far as the kind can be wanted."""
    paint = Task("paint", ("thing",), ("image",))
    if class_of(kind).made_from:
        return Tasks("made", {"paint": paint, "generate": Task("generate", (), ("image",))}, made={"thing": kind})
    both = [Task("read", ("image",), ("thing",)), paint, Task("generate", (), ("image", "thing"))]
    return Tasks("made", {task.name: task for task in both})


def made_up(kind: str, count: int, seed: int = 0) -> Arrays:
    rng, found = np.random.default_rng(seed), of_card(card_of(kind))
    return {name: kind_of(modality).made_up(count, rng) for name, modality in found.items()}


class Run:
    """An experiment of each kind, found like those of the project; its stages run once, when they are asked for.

    Args:
        folder: of data, settings, experiments and results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.results, self.done = folder, folder / "results", set[str]()
        for kind in KINDS:
            self.write(kind, folder / "experiments" / f"of_{kind}")
        write_json(folder / "weights" / "weights.json", {})
        write_json(self.results / "data" / "card.json", {**card_of("class_map"), "splits": {}})

    def write(self, kind: str, home: Path) -> None:
        """The experiment's files, its data and its settings: half of the items lack the thing, if they can."""
        asked = tasks_of(kind)
        written = [f"{t.name!r}: Task({t.name!r}, {t.given!r}, {t.want!r})" for t in asked.tasks.values()]
        lines = ["from mmbench.modalities import Task", f"MADE = {asked.made!r}", f"TASKS = {{{', '.join(written)}}}"]
        home.mkdir(parents=True)
        parts = {"tasks": "\n".join(lines), "scores": SCORES, "section": SECTION}
        for name, text in {**parts, **({"cases": MASKED} if asked.made else {})}.items():
            (home / f"{name}.py").write_text(text)
        data = self.folder / kind
        splits = {split: made_up(kind, count, seed) for seed, (split, count) in enumerate(COUNTS.items())}
        write_splits(data, splits, **card_of(kind))
        labelled = {"labelled": {"thing": 0.5}} if class_of(kind).missing is not None else {}
        own = {"weights": {"thing": 1.0}, "states": {"thing": [0.2, 0.4, 0.4]}, "scale": {"thing": 0.2}}
        settings = {"experiment": home.name, "method": "mt_diffusion", "network": NETWORK,
                    "train": {**OWN_TRAIN, **labelled}, "method_settings": own,
                    "sample": {"sampler": "ddim", "nfe": 2, "batch_size": 8},
                    "evaluate": {"reconstructions": 4, "samples": 8, "reference": "test"}}  # fmt: skip
        write_json(data / "settings.json", settings)

    def __call__(self, kind: str) -> Path:
        """Cases, training, answers and scores of a kind; the folder of the seed."""
        home, data = self.results / f"of_{kind}", self.folder / kind
        seed = home / "mt_diffusion" / "seed0"
        if kind in self.done:
            return seed
        common = ["--settings", f"{data}/settings.json", "--data", str(data), "--device", "cpu"]
        method = [*common, "--method", str(MULTITASK), "--seed", "0", "--out", str(seed)]
        cases.main([*common[:4], "--out", str(home)])
        train.main([*method, "--state", f"{data}/state"])
        predict.main([*method, "--cases", str(home), "--weights", f"{seed}/weights.safetensors"])
        places = ["--weights", f"{self.folder}/weights", "--reference", f"{home}/none.npz", "--predictions", str(seed)]
        names = ["--method", "mt_diffusion", "--title", "MT-Diffusion", "--seed", "0", "--out", str(seed)]
        evaluate.main([*common, "--cases", str(home), *places, *names])
        self.done.add(kind)
        return seed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "FOLDER", folder / "experiments")
        patch.setattr(experiments, "__path__", [*experiments.__path__, str(folder / "experiments")])
        patch.setattr(train, "stage_code", lambda *_, **__: "code")
        yield Run(folder)


class TestContract:
    """A model of each kind is trained, asked, scored and shown, with flip on and half of its items missing."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_learnt_answered_and_scored(self, run: Run, kind: str) -> None:
        seed, made = run(kind), class_of(kind).made_from
        record = read_json(seed / "training.json")
        assert record["modalities"]["thing"]["kind"] == kind and "recover_thing" in record["curve"][-1]
        answers = load_arrays(seed / "predictions.npz")
        assert answers.keys() == {"paint/image", "generate/image", *(() if made else ("read/thing", "generate/thing"))}
        assert scored(seed) == {(case, f"mean_{name}") for case, name in (key.split("/") for key in answers)}

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_trained_model_takes_it_from_a_person_and_gives_it_as_files(self, run: Run, kind: str) -> None:
        model, given = Model.read(run(kind), "cpu"), made_up(kind, 2)
        thing = given.get("thing", kind_of(model.modalities["thing"]).made_up(2, np.random.default_rng(0)))
        painted = model.generate(thing=thing, nfe=2)
        assert painted["image"].shape == (2, 3, SIZE, SIZE)
        if not class_of(kind).made_from:
            folder = model.generate(image=given["image"], nfe=2).save(run.folder / kind / "read")
            files = {path.name for path in folder.iterdir()} - {"generated.json", "arrays.npz"}
            assert all(name.startswith("thing") for name in files) and bool(files) == (kind != "vector")

    def test_the_page_shows_all(self, run: Run) -> None:
        rows = {row for kind in KINDS for row in scored(run(kind))}
        report.main(["--results", str(run.results), "--out", str(run.folder / "page")])
        page = (run.folder / "page" / "index.html").read_text()
        assert all(name in page for _, name in rows) and all(f"of_{kind}" in page for kind in KINDS)


def scored(seed: Path) -> set[tuple[str, str]]:
    """Cases and metrics of a seed."""
    return {(row["case"], row["name"]) for row in read_json(seed / "metrics.json")["metrics"]}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not class_of(kind).made_from])
class TestKind:
    """What each kind says of itself fits together."""

    def modality(self, kind: str) -> Modality:
        return of_card(card_of(kind))["thing"]

    def test_stored_items_are_what_it_says_is_stored(self, kind: str) -> None:
        array, about = made_up(kind, 6)["thing"], kind_of(self.modality(kind))
        assert about.stored.fits(array.dtype) and array.shape == (6, *about.stored.shape)
        assert about.stored_fault(array) is None
        card = card_of(kind)
        assert isinstance(class_of(kind).describe(array, facts_of(card, "thing")), dict)
        again = about.read_input("thing", array, facts_of(card, "thing"), resize=False)
        np.testing.assert_array_equal(again, array)

    def test_what_is_missing_is_marked_and_seen(self, kind: str) -> None:
        assert can_be_missing(kind) == (class_of(kind).missing is not None)
        modality, array = self.modality(kind), made_up(kind, 6)["thing"]
        if (missing := class_of(kind).missing) is not None:
            array[3:] = missing
        batch = to_batch({"thing": array}, {"thing": modality})["thing"]
        assert available(modality, batch).tolist() == [True] * 3 + [missing is None] * 3

    def test_it_is_drawn_stored_and_answered(self, kind: str) -> None:
        """Also where an item lacks it; what a person gets as a picture to look at is the same."""
        about, facts, array = kind_of(self.modality(kind)), facts_of(card_of(kind), "thing"), made_up(kind, 3)["thing"]
        if about.missing is not None and about.spatial:
            array[2] = about.missing
        answers = [np.full(about.answered.shape, 0.5)] if about.answered.shape != about.stored.shape else []
        tiles = [about.tile(item, facts, (SIZE, SIZE)) for item in (*array, *answers)]
        assert all(tile.dtype == np.uint8 and tile.shape == (SIZE, SIZE, 3) for tile in tiles)
        assert (tiles[0] != tiles[1]).any()
        for pictures in list(about.pictures(array, facts).values())[-1:]:
            assert all((np.asarray(p) == tile).all() for p, tile in zip(pictures, tiles, strict=False))

    @torch.no_grad()
    def test_a_network_takes_it_and_gives_it(self, kind: str) -> None:
        """Every form has the shape that it says, and what is missing reaches neither the loss nor an input."""
        modality, array = self.modality(kind), made_up(kind, 4)["thing"]
        about, space = kind_of(modality), (3, SIZE, SIZE)
        method = Method(Spec({"image": Modality("image", space), "thing": modality}, NETWORK))
        batch = to_batch({"thing": array}, {"thing": modality})["thing"]
        entered = about.enter(batch)
        assert entered.shape == ((4, about.channels, SIZE, SIZE) if about.channels else (4, about.width))
        assert torch.isfinite(entered).all() and bool(about.channels) != bool(about.width)
        features = method.backbone(torch.randn(4, 3 + about.channels, SIZE, SIZE), torch.ones(4, dtype=torch.long))
        decoder, reader = about.decoder(method.backbone, space), about.reader(method.backbone)
        for decoded in (about.decode(decoder, features), about.read(reader, features)):
            assert torch.isfinite(about.recovery(decoded, batch)).all() and about.recovery(decoded, batch).shape == (4,)
            for value in (batch, about.value(decoded)):
                assert about.encoder(space)(value).shape == (4, *space)
            answer = to_stored({"thing": about.answer(decoded)}, {"thing": modality}, 4)["thing"]
            about.check_answer("here", answer, 4)
        assert about.blank(4, torch.device("cpu")).shape == batch.shape

    def test_an_answer_of_another_shape_type_or_value_is_refused(self, kind: str) -> None:
        about = kind_of(self.modality(kind))
        good = np.zeros(
            (2, *about.answered.shape), {"uint8": "u1", "integer": "i8", "float": "f4"}[about.answered.dtype]
        )
        wrong = [good[:1], good.astype(np.complex64), good.astype(str), good[..., None]]
        if about.answered.dtype == "float":
            wrong += [np.full_like(good, bad) for bad in (np.nan, np.inf)]
        for array in wrong:
            with pytest.raises(UserError, match=r"^here (is|holds)"):
                about.check_answer("here", array, 2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if class_of(kind).spatial and not class_of(kind).made_from])
def test_a_mirrored_item_is_mirrored_in_every_spatial_modality(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.experiments.experiment.load_part", lambda *_: None)
    arrays, found = made_up(kind, 12), of_card(card_of(kind))
    asked = Experiment("made", tasks_of(kind).tasks)
    training = Training(
        torch.nn.Linear(1, 1), asked, {"train": OWN_TRAIN, "method": "x"}, arrays,
        modalities=found, seed=0, device=torch.device("cpu"), state=Path(), key="",
    )  # fmt: skip
    plain, turned = to_batch(arrays, found), 0
    for step in (1, 2, 3):
        batch = training.batch(step, step_generator(0, step))
        for row, item in enumerate(batch_indices(0, step, OWN_TRAIN["batch_size"], 12)):
            flip = not same(batch["image"][row], plain["image"][item], False)
            assert all(same(batch[name][row], plain[name][item], flip) for name in ("image", "thing"))
            turned += flip
    assert 0 < turned < 18


def same(x: torch.Tensor, stored: torch.Tensor, flip: bool) -> bool:
    return torch.allclose(x.float(), (stored.flip(-1) if flip else stored).float(), equal_nan=True)


def test_a_class_map_is_drawn_in_the_colours_of_the_card_and_white() -> None:
    mask = np.array([[0, 2], [255, 1]], np.uint8)
    for facts, expected in ((FACTS, FACTS["palette"]), ({**FACTS, "palette": None}, [[0] * 3, [110] * 3, [220] * 3])):
        pixels = class_of("class_map").tile(mask, facts, (2, 2))
        assert pixels.tolist() == [[expected[0], expected[2]], [[255] * 3, expected[1]]]
    with pytest.raises(UserError, match=r"card\.json: 3 classes but 1 colours"):
        class_of("class_map").tile(mask, {**FACTS, "palette": [[0, 0, 0]]}, (2, 2))


def test_depth_is_drawn_lighter_the_nearer_on_the_scale_of_the_data_set() -> None:
    item = np.array([[2.0, 20.0, 200.0, np.nan]])
    facts = {"splits": {"train": {"depth_range": [2.0, 200.0]}}}
    draw = class_of("depth").tile
    pixels = draw(item, facts, (1, 4))
    near, middle, far, nowhere = pixels[0].sum(axis=1).tolist()
    assert nowhere == 3 * 255 > near > middle > far
    np.testing.assert_array_equal(draw(item[:, 1:2], facts, (1, 1)), pixels[:, 1:2])  # whatever else is in the picture
    np.testing.assert_array_equal(draw(item, {}, (1, 4)), pixels)
    assert (draw(np.full((1, 4), np.nan), {}, (1, 4)) == 255).all()


class TestNames:
    """A modality's name is no kind, and none of those that the project's data sets happen to have."""

    def test_an_image_of_any_name_reaches_the_network_scaled(self) -> None:
        modality = {"depth0": Modality("image", (3, 4, 4))}
        batch = to_batch({"depth0": np.full((2, 3, 4, 4), 255, np.uint8)}, modality)
        assert (batch["depth0"] == 1).all()
        assert (to_stored({"depth0": batch["depth0"]}, modality, 2)["depth0"] == 255).all()

    def test_a_card_says_kinds_or_names_that_have_one(self) -> None:
        card = {"size": [16, 16], "classes": ["a", "b"], "labels": ["x", "y"], "embedding": {"size": 7}}
        listed = of_card({**card, "modalities": ["image", "mask", "label", "factors", "embedding"]})
        said = of_card({**card, "modalities": {"image": "image", "parts": {"kind": "class_map", "classes": ["a"] * 4},
                                               "mask": "class_map", "night": "image"}})  # fmt: skip
        assert {name: m.kind for name, m in listed.items()} == {
            "image": "image", "mask": "class_map", "label": "label", "embedding": "vector"
        }  # fmt: skip
        assert said["parts"] == Modality("class_map", (16, 16), 4) and said["mask"].classes == 2
        assert said["night"] == said["image"] == Modality("image", (3, 16, 16))
        with pytest.raises(UserError, match=r"card\.json: modalities\.parts: kind 'clas_map' does not exist"):
            kinds_of_card({"modalities": {"parts": "clas_map"}})

    def test_earlier_files_say_mask_and_embedding(self) -> None:
        for former, kind in {"mask": "class_map", "embedding": "vector", "image": "image"}.items():
            entry = Shape(kind=former, shape=[4, 4], classes=2).model_dump()
            assert modalities.of_record(entry).kind == kind == default_kind(former)

    def test_an_unknown_kind_is_refused(self) -> None:
        with pytest.raises(UserError, match=r"kind 'imag' does not exist \(did you mean 'image'\?\)"):
            Modality("imag", (3, 4, 4))

    @pytest.mark.parametrize("setting", ["states", "weights", "scale"])
    def test_settings_of_the_model_go_by_the_names_of_the_experiment(self, setting: str) -> None:
        value: Callable[[str], Any] = lambda name: {name: (0.2, 0.4, 0.4) if setting == "states" else 0.5}  # noqa: E731
        two = {"image": Modality("image", (3, 16, 16)), "parts": Modality("class_map", (16, 16), 3)}
        for name in ("parts", "night"):
            Method(Spec(two, NETWORK, absent=["night"]), **{setting: value(name)})
        for name in ("mask", "class_map", "prats"):
            with pytest.raises((UserError, ValueError), match=name):
                Method(Spec(two, NETWORK, absent=["night"]), **{setting: value(name)})

    def test_data_sets_are_read_unrun(self) -> None:
        root = Path(mmbench.__file__).parents[1]
        assert data_modalities(root, "camvid") == {"image": "image", "mask": "class_map"}
