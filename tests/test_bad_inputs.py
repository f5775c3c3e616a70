"""Inputs of every stage that are not what they should be: each is one line that names what is wrong, and nothing else.

A small run of every stage lies ready. Each row of a table spoils one thing in a copy of it and says what the command
must answer with. Mistakes in the configuration are in test_config.py, in pictures and data sets in test_data*.py, in
declarations of methods in test_discovery.py, in what a person gives a model in test_generate.py.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_data import TRAIN, write_splits
from fake_results import METHODS, write_results
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_model import FREE, LABELS, NETWORK, PALETTE, SIZE, write_model

import mmbench.scoring.scores
from mmbench.cli import app
from mmbench.errors import run_command
from mmbench.files.store import load_arrays, read_json, save_arrays, sha256_arrays, sha256_file, write_json
from mmbench.files.weights import save_weights
from mmbench.runs.manifest import make_manifest
from mmbench.stages.cases import write_cases

ROOT = Path(__file__).parents[1]
UNET = ROOT / "baselines/masking/unet_regression.py"
SETTINGS = {
    "network": NETWORK,
    "method": "unet_regression",
    "method_settings": {},
    "train": {**TRAIN, "steps": 1, "batch_size": 4},
    "sample": {"sampler": "ddim", "nfe": 2, "batch_size": 4},
    "evaluate": {"reconstructions": 4, "samples": 8, "reference": "test"},
    "shares": [0.25],
    "share": 0.5,
    "noise_levels": [0.5],
}
COUNTS = {"train": 10, "validation": 4, "test": 8}
REMOVED = "(removed)"
Spoil = Callable[[Path], object]


FEATURES = "features/vgg16-relu5_3-gap"


class Networks:
    """Stands for VGG16: features of images that are quick to have."""

    name, weights_sha256 = "vgg16-relu5_3-gap", "ab" * 32

    def resize_name(self, height: int, width: int) -> str:
        return "none"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :6].astype(np.float32)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, settings, cases, reference, weights, checkpointed states and predictions, all whole."""
    folder = tmp_path_factory.mktemp("ready")
    rng = np.random.default_rng(0)
    items = {
        split: {
            "image": rng.integers(0, 256, (n, 3, SIZE, SIZE), dtype=np.uint8),
            "mask": rng.integers(0, 3, (n, SIZE, SIZE), dtype=np.uint8),
            "label": rng.integers(0, 3, n),
        }
        for split, n in COUNTS.items()
    }
    card = {"name": "toy", "size": [SIZE, SIZE], "modalities": ["image", "mask", "label"], "palette": PALETTE}
    write_splits(folder / "data", items, **card, classes=["sky", "road", "tree"], labels=LABELS)
    for name in ("masking", "segmentation", "labels"):
        write_json(folder / f"{name}.json", {"experiment": name, **SETTINGS})
        write_cases(read_json(folder / f"{name}.json"), folder / "data", folder / name)
    test = load_arrays(folder / "data/test.npz")
    save_arrays(folder / "masking/reference.npz", {f"features/{Networks.name}": Networks()(test["image"])})
    about: dict[str, object] = {"extractors": {Networks.name: {"weights_sha256": Networks.weights_sha256}}}
    about["provenance"] = {"inputs_sha256": {"data": sha256_file(folder / "data/card.json")}}
    write_json(folder / "masking/reference.json", {"split": "test", **about})
    write_json(folder / "lpips/weights.json", {})
    write_model(folder / "unet", "image", "masked_image", experiment="masking", method="unet_regression")
    write_model(folder / "judge", "image", "mask", experiment="segmentation", method="unet")
    write_model(folder / "model", *FREE, "masked_image")
    write_json(folder / "tuned.json", {"chosen": {}})
    save_weights(folder / "none.safetensors", {})
    save_arrays(
        folder / "drawn/predictions.npz", {"generate/image": rng.integers(0, 256, (8, 3, SIZE, SIZE), np.uint8)}
    )
    masks = rng.integers(0, 3, (4, SIZE, SIZE), dtype=np.uint8)
    save_arrays(folder / "masks/predictions.npz", {"segment/mask": masks})
    save_arrays(folder / "classes/predictions.npz", {"classify/label": np.full((4, 3), 1 / 3, np.float32)})
    Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(folder / "picture.png")
    (folder / "fashion").mkdir()
    (folder / "folder/cat").mkdir(parents=True)
    write_json(folder / "fashion.json", {"data": {"name": "fashion_mnist", "size": 32, "root": "fashion"}})
    write_json(folder / "folder.json", {"data": {"name": "image_folder", "size": 32, "root": "folder"}})
    write_json(
        folder / "toy.json", {"data": {"name": "toy_streets", "size": 16, "train": 2, "validation": 1, "test": 1}}
    )
    write_results(folder / "results", methods=METHODS[:1], seeds=(0,), items=6, predictions=False)
    manifest = make_manifest(folder / "results", folder / "results").model_dump(mode="json")
    write_json(folder / "results/manifest.json", manifest)
    (folder / "results/index.html").write_text("a page")
    return folder


#: Commands that work on what lies ready, and write to `out`.
SCORE = {"settings": "masking.json", "weights": "lpips", "data": "data", "cases": "masking", "method": "it",
         "seed": "0", "reference": "masking/reference.npz", "predictions": "drawn", "device": "cpu",
         "out": "out"}  # fmt: skip
COMMANDS: dict[str, dict[str, str]] = {
    "data": {"settings": "toy.json", "out": "out"},
    "cases": {"settings": "masking.json", "data": "data", "out": "out"},
    "train": {"settings": "masking.json", "method": str(UNET), "data": "data", "seed": "0", "device": "cpu",
              "state": "state", "out": "out"},
    "predict": {"settings": "masking.json", "method": str(UNET), "data": "data", "seed": "0", "out": "out",
                "weights": "unet/weights.safetensors", "cases": "masking", "device": "cpu"},
    "evaluate": SCORE,
    "evaluate masks": {**SCORE, "settings": "segmentation.json", "cases": "segmentation",
                       "predictions": "masks", "judge": "judge"},
    "evaluate classes": {**SCORE, "settings": "labels.json", "cases": "labels", "predictions": "classes"},
    "score": {"": "drawn masking", "run": ".", "device": "cpu"},
    "keep": {"": "results out"},
    "sample": {"": "model", "given": "image=picture.png", "nfe": "2", "device": "cpu", "out": "out"},
}  # fmt: skip
#: Commands of which only the beginning is reached: what they need after that are large networks.
BEGINNINGS = {
    "reference": {"settings": "masking.json", "weights": "lpips", "data": "data", "out": "out"},
    "embed": {"extractor": "vgg16-relu5_3-gap", "weights": "lpips", "data": "data", "out": "out"},
    "tune": {"settings": "masking.json", "method": str(ROOT / "baselines/masking/repaint.py"), "data": "data",
             "seed": "0", "weights": "unet/weights.safetensors", "lpips": "lpips", "out": "out"},
    "lpips": {"out": "out"},
    "manifest": {"results": "results"},
    "verify": {"": "results"},
    "compare": {"": "results results"},
    "claims": {"results": "results", "out": "out"},
    "mmbench": {"": "verify results"},
    "report": {"results": "results", "out": "out"},
}  # fmt: skip


def argv(flags: Mapping[str, str]) -> list[str]:
    """Words of a command line; a flag without a name is a word of its own, values are split at blanks."""
    return [word for name, value in flags.items() for word in ([f"--{name}"] if name else []) + value.split()]


@pytest.fixture
def here(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what lies ready, as the current folder, called as a profile."""
    shutil.copytree(ready, tmp_path / "smoke")
    write_json(tmp_path / "weights/weights.json", {})
    monkeypatch.chdir(tmp_path / "smoke")
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    monkeypatch.setattr(mmbench.scoring.scores, "load_extractors", lambda *_: [Networks()])
    return tmp_path / "smoke"


def run(command: str, flags: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Run a stage, or a command of `mmbench`, as its script does; its error, None if it succeeds."""
    name = command.split(maxsplit=1)[0]
    is_stage = (ROOT / "mmbench" / "stages" / f"{name}.py").is_file()
    main = importlib.import_module(f"mmbench.stages.{name}").main if is_stage else app.main
    before = [] if is_stage or name == "mmbench" else [name]
    monkeypatch.setattr(sys, "argv", [name, *before, *argv(flags)])
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            run_command(main)
    except SystemExit as stopped:
        assert stopped.code, "an error with exit status 0"
        return next(line for line in errors.getvalue().splitlines() if line.startswith("error: "))
    return None


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.filterwarnings("ignore")  # metrics of so few items
def test_nothing_spoilt_passes(command: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(here)
    assert run(command, COMMANDS[command], monkeypatch) is None
    assert files(here) - before


# What is spoilt


def edit(name: str, key: str, value: Any) -> Spoil:
    """Set a dotted key of a JSON file to another value, or take it out."""

    def spoil(folder: Path) -> None:
        record = read_json(folder / name)
        *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        section = record
        for parent in parents:
            section = section[parent]
        if value is REMOVED:
            del section[last]
        else:
            section[last] = value
        write_json(folder / name, record)

    return spoil


def text(name: str, content: str | bytes) -> Spoil:
    """Write something else to a file."""
    data = content if isinstance(content, bytes) else content.encode()

    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return spoil


def gone(name: str) -> Spoil:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def cut(name: str, share: float = 0.6) -> Spoil:
    """Keep the beginning of a file."""
    return lambda folder: (folder / name).write_bytes((data := (folder / name).read_bytes())[: int(len(data) * share)])


def arrays(name: str, change: Callable[[dict[str, np.ndarray]], object], card: str = "") -> Spoil:
    """Change the arrays of an npz; with `card`, that file then has the hash of what is there (`splits.<stem>`)."""

    def spoil(folder: Path) -> None:
        found = load_arrays(folder / name)
        change(found)
        np.savez(folder / name, **found)
        if card:
            plain = {key: array for key, array in found.items() if not array.dtype.hasobject}
            edit(card, f"splits.{Path(name).stem}.sha256", sha256_arrays(plain))(folder)

    return spoil


def put(name: str, **new: Any) -> Spoil:
    """Write an npz with other arrays."""
    return lambda folder: np.savez(folder / name, **new)


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    """Change the tensors of a safetensors file."""

    def spoil(folder: Path) -> None:
        found = load_file(folder / name)
        change(found)
        save_file(found, folder / name)

    return spoil


def nothing(folder: Path) -> None:
    """Only the command line is wrong."""


@dataclass(frozen=True)
class Bad:
    """A command, what is spoilt, flags that are other ones (None: not given), and what the line must name."""

    command: str
    spoil: Spoil
    says: tuple[str, ...]
    flags: Mapping[str, str | None] = field(default_factory=dict)


def flag(command: str, name: str, value: str | None, *says: str) -> Bad:
    """A wrong value of one flag, with nothing spoilt."""
    return Bad(command, nothing, says, {name: value})


WEIGHTS = "unet/weights.safetensors"
DRAWN, MASKS, CLASSES = (f"{name}/predictions.npz" for name in ("drawn", "masks", "classes"))
CARD = "data/card.json"
DEEP = "[" * 100_000

COMMAND_LINES = [
    flag("predict", "sede", "0", "--sede"),
    flag("train", "seed", "one", "--seed", "'one'"),
    flag("train", "seed", "-1", "--seed"),
    flag("train", "processes", "0", "--processes"),
    flag("train", "processes", "2", "train.shards: 1 parts of a batch", "among 2 processes"),
    flag("predict", "device", "tpu", "--device: 'tpu' is not here", "cpu"),
    flag("cases", "out", "toy.json", "toy.json", "name another path"),
    flag("data", "settings", "nowhere.json", "nowhere.json: no such file"),
    flag("train", "data", "nowhere", "nowhere/card.json: no such file"),
    flag("train", "method", "nowhere.py", "nowhere.py: no such method file"),
    flag("evaluate", "tasks", "generate draw", "--tasks draw: no such task"),
    flag("evaluate", "answers", "label", "predictions.npz: answers 'image', which the method does not claim"),
    flag("evaluate", "predictions", "nowhere", "nowhere/predictions.npz: no such file"),
    flag("report", "seeds", "one", "--seeds", "'one'"),
    flag("report", "results", "nowhere", "nowhere: holds no experiment"),
    flag("embed", "extractor", "vgg", "extractor: 'vgg' does not exist; there are vgg16"),
    flag("embed", "extractor", "clip.nothing.x", "open_clip has no model 'nothing'"),
    flag("embed", "extractor", "clip.ViT-B-32.laion9b", "no weights 'laion9b' of ViT-B-32"),
    flag("score", "", "nowhere.npz masking", "nowhere.npz: no such file or folder"),
    flag("score", "name", "No", "--name: 'No' is not allowed"),
    flag("manifest", "results", "weights", "holds no record of a method"),
    flag("sample", "", "nowhere", "nowhere: no such folder"),
    flag("sample", "given", "image", "--given: 'image' is not modality=value"),
    flag("sample", "given", "imag=picture.png", "'imag' is no modality", "did you mean 'image'?"),
    flag("sample", "nfe", "many", "--nfe", "'many'"),
    flag("sample", "sampler", "euler", "--sampler", "'euler'", "ddim"),
    flag("sample", "seed", str(2**40), "seed", "2^31"),
]

SETTINGS_FILES = [
    Bad("train", text("masking.json", "{"), ("masking.json: not a JSON file",)),
    Bad("train", text("masking.json", "[1, 2]"), ("masking.json: holds no keys but [1, 2]",)),
    Bad("train", text("masking.json", DEEP), ("masking.json: not a JSON file",)),
    Bad("train", edit("masking.json", "experiment", REMOVED), ("masking.json: experiment: missing",)),
    Bad("cases", edit("masking.json", "experiment", "maskin"), ("'maskin' does not exist", "there are", "masking")),
    Bad("cases", edit("masking.json", "shares", REMOVED), ("masking.json: shares: missing",)),
    Bad("cases", edit("masking.json", "shares", [2]), ("masking.json: shares.0: got 2; input should be less than 1",)),
    Bad("reference", edit("masking.json", "evaluate.reference", "dev"), ("evaluate.reference: got 'dev'", "'test'")),
    Bad("train", edit("masking.json", "network", REMOVED), ("masking.json: network: missing",)),
    Bad("train", edit("masking.json", "network.width", 12), ("masking.json: network.width: got 12", "multiple of 8")),
    Bad("train", edit("masking.json", "train.learning_rate", "NaN"), ("train.learning_rate: got 'NaN'", "finite")),
    Bad("train", edit("masking.json", "train.shards", 3), ("masking.json: train.shards: got 3", "batch_size, 4")),
    Bad("train", edit("masking.json", "train.labelled", {"mask": 2}), ("train.labelled.mask: got 2",)),
    Bad("train", edit("masking.json", "method_settings", {"los": "l1"}), ("unet_regression.py", "'los'")),
    Bad("train", edit("masking.json", "method_settings", {"loss": "l3"}), (".py: loss: got 'l3'", "'l2'")),
    Bad("predict", edit("masking.json", "method_settings", [1]), ("masking.json: method_settings: got [1]",)),
    Bad("predict", edit("masking.json", "sample.sampler", "euler"), ("sample.sampler: got 'euler'", "'ddim'")),
    Bad("tune", edit("masking.json", "evaluate", REMOVED), ("masking.json: evaluate: missing", "mmbench.stages.tune")),
    Bad("evaluate", edit("masking.json", "modalities", ["image", "depth"]), ("modalities: 'depth' does not exist",)),
    Bad("data", edit("toy.json", "data", [1]), ("toy.json: has no section `data`",)),
    Bad("data", edit("toy.json", "data.size", 10**9), ("data.size: 1000000000",)),
]  # fmt: skip

ENDS = """
import sys

import torch

from mmbench.method import Method as Base

TITLE = "Own"
TASKS = ("reconstruct", "generate")


class Method(Base):
    def __init__(self, spec):
        super().__init__(spec)
        self.weight = torch.nn.Parameter(torch.zeros(1)) if {trained} else None

    def prepare(self, train):
        pass

    def loss(self, batch, generator):
        return {{"loss": self.weight.sum()}}

    def predict(self, task, given, count, sampling, generator):
        pass
"""


def ends(part: str) -> str:
    """A method's file that ends the process, as if all was done, in one of its functions, or where it is loaded."""
    whole = ENDS.format(trained=part != "predict")
    if not part:
        return f"{whole}\n\nsys.exit()\n"
    head, name, body = whole.partition(f"    def {part}(")
    first, colon, rest = body.partition(":\n")
    return f"{head}{name}{first}{colon}        sys.exit(0)\n{rest}"


METHOD_FILES = [
    Bad("train", text("own.py", "TITLE = (\n"), ("own.py: line 1: not Python",), {"method": "own.py"}),
    Bad("train", text("own.py", "TITLE = 'x'\n"), ("own.py: TASKS is missing",), {"method": "own.py"}),
    Bad("train", text("own.py", "TITLE = 'x'\nTASKS = ('reconstruct',)\n"), ("own.py: defines no class Method",),
        {"method": "own.py"}),
    *(Bad("train", text("own.py", ends(part)), ("own.py, line", "ended the process"), {"method": "own.py"})
      for part in ("", "__init__", "prepare", "loss")),
    Bad("predict", text("own.py", ends("predict")), ("own.py, line", "ended the process"),
        {"method": "own.py", "weights": "none.safetensors"}),
]  # fmt: skip

DATA = [
    Bad("cases", gone(CARD), ("data/card.json: no such file",)),
    Bad("cases", text(CARD, "[]"), ("data/card.json: holds no keys",)),
    Bad("cases", edit(CARD, "size", REMOVED), ("data/card.json: size: missing", "prepare the data again")),
    Bad("cases", edit(CARD, "size", [16, 10**9]), ("data/card.json: size.1: got 1000000000",)),
    Bad("evaluate masks", edit(CARD, "classes", 3), ("data/card.json: classes: got 3",)),
    Bad("evaluate masks", edit(CARD, "classes", []), ("data.name: toy has no mask",)),
    Bad("train", cut("data/train.npz"), ("data/train.npz: not a readable npz",)),
    Bad("train", arrays("data/train.npz", lambda a: a["image"].fill(0)), ("train.npz: not the arrays that card.json",)),
    Bad("train", arrays("data/train.npz", lambda a: a.pop("image"), CARD), ("data/train.npz: has no images",)),
    Bad("train", arrays("data/train.npz", lambda a: a.update(image=a["image"] / 255), CARD),
        ("data/train.npz: image is float64", "not uint8")),
    Bad("train", arrays("data/train.npz", lambda a: a.update(image=a["image"][..., :8]), CARD),
        ("data/train.npz: image is uint8 (10, 3, 16, 8), not uint8 (10, 3, 16, 16)",)),
    Bad("train", arrays("data/train.npz", lambda a: a["mask"].fill(7), CARD), ("train.npz: mask has 7", "0 to 2")),
    Bad("train", arrays("data/train.npz", lambda a: a.update(label=a["label"][:3]), CARD), ("label is int64 (3,)",)),
    Bad("train", arrays("data/train.npz", lambda a: a.update(embedding=np.full((10, 4), np.nan)), CARD),
        ("data/train.npz: embedding holds NaN",)),
    Bad("train", arrays("data/train.npz", lambda a: a.update(factors=np.zeros(10)), CARD), ("factors is float64",)),
    Bad("embed", edit(CARD, "modalities", ["image", "embedding"]), ("data: its images are embedded already",)),
    Bad("embed", nothing, ("lpips/lpips-vgg.safetensors: no such file", "mmbench.stages.lpips")),
    Bad("data", nothing, ("fashion: holds no IDX files", "github.com"), {"settings": "fashion.json"}),
    Bad("data", edit("folder.json", "data.root", "nowhere"), ("nowhere: no such folder",),
        {"settings": "folder.json"}),
    Bad("data", text("folder/cat/a.png", "no picture"), ("folder/cat/a.png: not a readable image",),
        {"settings": "folder.json"}),
]  # fmt: skip

CASES = [
    Bad("predict", gone("masking/cases.json"), ("masking/cases.json: no such file",)),
    Bad("predict", cut("masking/cases.npz"), ("masking/cases.npz: not a readable npz",)),
    Bad("predict", edit("masking/cases.json", "cases.0.count", "4"), ("cases.reconstruct-25.count: got '4'",)),
    Bad("predict", edit("masking/cases.json", "cases.0.count", 3), ("case 'reconstruct-25' is not in cases.npz",)),
    Bad("predict", edit("masking/cases.json", "cases.0.task", "guess"), ("its task 'guess' is not one", "reconstruct")),
    Bad("predict", edit("masking/cases.json", "cases.0.want", ["depth"]), ("the data have no 'depth'",)),
    Bad("evaluate", put("masking/cases.npz", x=np.zeros(3)), ("case 'reconstruct-25' is not in cases.npz",)),
    Bad("predict", edit(CARD, "size", [32, 32]), ("masked_image is (4, 16, 16), in the data (4, 32, 32)",)),
    Bad("evaluate", nothing, ("labels/cases.json: case 'classify': its task", "reconstruct"), {"cases": "labels"}),
]

PREDICTIONS = [
    Bad("evaluate", gone(DRAWN), ("drawn/predictions.npz: no such file",)),
    Bad("evaluate", cut(DRAWN), ("drawn/predictions.npz: not a readable npz",)),
    Bad("evaluate", put(DRAWN), ("drawn/predictions.npz: holds no answer",)),
    Bad("evaluate", put(DRAWN, other=np.zeros(3)), ("drawn/predictions.npz: array 'other' answers no case",)),
    Bad("evaluate", put(DRAWN, **{"generate/images": np.zeros(3)}), ("did you mean 'generate/image'?",)),
    Bad("evaluate", put(DRAWN, **{"generate/image": np.array([{}])}), ("'generate/image' holds Python objects",)),
    Bad("evaluate", arrays(DRAWN, lambda a: a.update({"generate/image": a["generate/image"] / 255})),
        ("array 'generate/image' is float64", "expected uint8", "from 0 to 255")),
    Bad("evaluate", arrays(DRAWN, lambda a: a.update({"generate/image": a["generate/image"][:3]})),
        ("is uint8 (3, 3, 16, 16); expected uint8 (8, 3, 16, 16)",)),
    Bad("evaluate", nothing, ("array 'reconstruct-25/image' is missing",), {"tasks": "generate reconstruct"}),
    Bad("evaluate masks", arrays(MASKS, lambda a: a.update({"segment/mask": a["segment/mask"] - 1.0})),
        ("array 'segment/mask' is float64", "expected integer")),
    Bad("evaluate masks", arrays(MASKS, lambda a: a.update({"segment/mask": a["segment/mask"].astype(int) - 1})),
        ("holds classes outside 0 to 2",)),
    Bad("evaluate classes", arrays(CLASSES, lambda a: a["classify/label"].fill(np.nan)), ("holds NaN or infinity",)),
    Bad("evaluate classes", arrays(CLASSES, lambda a: a["classify/label"].fill(1)), ("do not add up to 1",)),
    Bad("evaluate classes", arrays(CLASSES, lambda a: a.update({"classify/label": np.eye(3, dtype=int)[[0, 1, 2, 0]]})),
        ("is int64 (4, 3); expected float (4, 3)",)),
    Bad("evaluate", text("drawn/predictions.json", "[]"), ("drawn/predictions.json: holds no keys",)),
    Bad("evaluate", text("drawn/predictions.json", '{"cases": {"generate": {"seconds": "2"}}}'),
        ("drawn/predictions.json: cases.generate.seconds: got '2'",)),
    Bad("evaluate", text("drawn/predictions.json", '{"peak_memory_bytes": NaN}'),
        ("drawn/predictions.json: peak_memory_bytes: got nan", "finite")),
    Bad("evaluate", text("drawn/training.json", '{"flops": "many"}'), ("drawn/training.json: flops: got 'many'",)),
]  # fmt: skip

WEIGHT_FILES = [
    Bad("predict", gone(WEIGHTS), ("unet/weights.safetensors: no such weights", "train the method first")),
    Bad("predict", text(WEIGHTS, b"\xff" * 8 + b"{}"), ("unet/weights.safetensors: not readable as safetensors",)),
    Bad("predict", cut(WEIGHTS), ("unet/weights.safetensors: not readable as safetensors",)),
    Bad("predict", tensors(WEIGHTS, lambda t: t.popitem()), ("weights of another network", "issing key")),
    Bad("predict", edit("masking.json", "network.width", 16), ("weights of another network", "size mismatch")),
    Bad("predict", tensors(WEIGHTS, lambda t: [x.fill_(float("nan")) for x in t.values()]), ("is not finite",)),
    Bad("predict", nothing, ("unet: ", "safetensors"), {"weights": "unet"}),
    Bad("predict", text("tuned.json", "{}"), ("tuned.json: chosen: missing", "mmbench.stages.tune"),
        {"tuned": "tuned.json"}),
    Bad("predict", edit("tuned.json", "chosen", {"loss": "l1"}), ("tuned.json: chosen.loss: got 'l1'",),
        {"tuned": "tuned.json"}),
    Bad("evaluate masks", gone("judge/training.json"), ("judge/training.json: no such file",)),
    Bad("evaluate masks", edit("judge/training.json", "settings.experiment", "labels"), ("not a judge of 'segment",)),
    Bad("evaluate masks", edit("judge/training.json", "settings.network", REMOVED), ("settings.network: missing",)),
    Bad("evaluate masks", cut("judge/weights.safetensors"), ("judge/weights.safetensors: not readable",)),
    Bad("evaluate", gone("masking/reference.npz"), ("masking/reference.npz: no such file",)),
    Bad("evaluate", text("masking/reference.json", "[]"), ("masking/reference.json: holds no keys",)),
    Bad("evaluate", edit("masking/reference.json", "split", REMOVED), ("masking/reference.json: split: missing",)),
    Bad("evaluate", edit("masking/reference.json", "extractors", {}), ("reference.npz: not features of vgg16",)),
    Bad("evaluate", put("masking/reference.npz", **{FEATURES: np.full((8, 6), np.nan)}), ("has not a finite row",)),
]  # fmt: skip

MANIFEST, NUMBERS = "results/manifest.json", "results/masking/mt_diffusion/seed0/metrics.json"
CLAIM = "claims:\n- {name: a, text: a, source: a, paper: null, parts: [{what: a, experiment: masking, task: generate, "
FINISHED = [
    flag("mmbench", "", "verfy results", "'verfy'", "verify"),
    flag("verify", "", "nowhere", "nowhere/manifest.json: no such file"),
    Bad("verify", text(MANIFEST, "[]"), ("results/manifest.json", "make it again")),
    Bad("verify", edit(MANIFEST, "results", "../.."), ("results/manifest.json: results",)),
    Bad("verify", edit(MANIFEST, "files", {"../a": {}}), ("results/manifest.json: files.../a",)),
    Bad("keep", edit(MANIFEST, "files", {"/a": {}}), ("results/manifest.json: files./a",)),
    Bad("keep", text("results/data/card.json", "{}"), ("results/data/card.json: differs from", "finish the run")),
    Bad("keep", text("out/thesis.txt", "mine"), ("out: exists and holds no page",)),
    Bad("manifest", edit(NUMBERS, "evaluate_seconds", "2"), ("metrics.json: evaluate_seconds: got '2'",)),
    Bad("manifest", edit("results/data/card.json", "splits", 3), ("results/data/card.json: splits: got 3",)),
    flag("compare", "", "results nowhere", "nowhere: holds no scores"),
    Bad("compare", edit(NUMBERS, "metrics.0.value", "0.5"), ("metrics.json: metrics.lpips_alex.value: got '0.5'",)),
    Bad("compare", text("t.yaml", "default: {absolut: 1, reason: x}\nmetrics: {}"),
        ("t.yaml", "did you mean 'default.absolute'?"), {"tolerances": "t.yaml"}),
    Bad("claims", text("c.yaml", "claims: []"), ("c.yaml: claims: got []",), {"claims": "c.yaml"}),
    Bad("claims", text("c.yaml", CLAIM + "ours: __import__('os').system('x'), holds: ours < 1}]}"),
        ("c.yaml: claim 'a': part 1: ours: column 1", "does not exist"), {"claims": "c.yaml"}),
    Bad("claims", text("c.yaml", CLAIM + "ours: 'value(\"nobody\", \"fd\")', holds: ours < 1}]}"),
        ("'nobody' does not exist",), {"claims": "c.yaml"}),
]  # fmt: skip

MODELS = [
    Bad("sample", edit("model/training.json", "modalities", REMOVED), ("model/training.json: modalities: missing",)),
    Bad("sample", edit("model/training.json", "modalities.mask.shape", [16, "16"]), ("modalities.mask.shape.1",)),
    Bad("sample", edit("model/training.json", "modalities.mask.kind", "parts"), ("mask.kind: got 'parts'",)),
    Bad("sample", edit("model/training.json", "settings.method", "unte"), ("'unte' is no method of joint here",)),
    Bad("sample", edit("model/training.json", "settings.experiment", "jont"), ("'jont' does not exist",)),
    Bad("sample", edit("model/training.json", "settings.network.width", 16), ("weights of another network",)),
    Bad("sample", edit("model/training.json", "card.palette", [[0, 0, 999]]), ("card.palette.0.2: got 999",)),
    Bad("sample", text("model/tuned.json", '{"chosen": 3}'), ("model/tuned.json: chosen: got 3",)),
    Bad("sample", gone("model/weights.safetensors"), ("model/weights.safetensors: no such weights",)),
    Bad("sample", put("e.npz", other=np.zeros(3)), ("e.npz: has no array 'embedding'",),
        {"given": "embedding=e.npz"}),
]  # fmt: skip

SCORED_RUN = "results/masking/mt_diffusion/seed0"
ITEMS, CASE = f"{SCORED_RUN}/items.csv", "results/masking/cases.json"
AGAIN = "mmbench.stages.evaluate again"
REPORTED = [
    Bad("report", cut(NUMBERS), ("metrics.json: not a JSON file", "delete it and rerun")),
    Bad("report", edit(NUMBERS, "title", REMOVED), ("metrics.json: title: missing", AGAIN)),
    Bad("report", edit(NUMBERS, "metrics.0.case", REMOVED), ("metrics.json: metrics.lpips_alex.case: missing",)),
    Bad("report", edit(NUMBERS, "cost", {"parameters": "?"}), ("metrics.json: cost.parameters: got '?'",)),
    Bad("report", edit(f"{SCORED_RUN}/training.json", "curve", [{"loss": 1.0}]), ("training.json: curve.0.step",)),
    Bad("report", edit(f"{SCORED_RUN}/predictions.json", "cases", {"generate": {"nfe": "many"}}),
        ("predictions.json: cases.generate.nfe: got 'many'", "mmbench.stages.predict again")),
    Bad("report", edit("results/masking/reference.json", "split", REMOVED), ("reference.json: split: missing",)),
    Bad("report", text(ITEMS, "case,item,value\nx,1,2\n"), ("items.csv: has no column 'metric'", AGAIN)),
    Bad("report", text(ITEMS, ""), ("items.csv: not a readable table",)),
    Bad("report", text(ITEMS, "case,item,metric,value\nx,1,ssim,\n"), ("items.csv: line 2 has 'nan' for a number",)),
    Bad("report", text(ITEMS, "case,item,metric,value\nx,1,ssim,1\nx,1,ssim,1\n"), ("line 3 is a second ssim",)),
    Bad("report", lambda root: shutil.copytree(root / SCORED_RUN, (root / SCORED_RUN).with_name("seed1")),
        ("seed1/metrics.json: has the same method and seed as", "remove one")),
    Bad("report", edit(CASE, "cases.0.count", REMOVED), ("cases.json: cases.reconstruct-10.count: missing",)),
    Bad("report", edit(CASE, "cases.0.share", REMOVED), ("cases.json: cases.reconstruct-10.share: missing",)),
    Bad("report", gone("results/data/card.json"), ("results/data/card.json: no such file",)),
    Bad("report", gone(NUMBERS), ("masking: no ", "metrics.json to report")),
]  # fmt: skip

EVERYTHING = {
    "command line": COMMAND_LINES, "settings": SETTINGS_FILES, "method": METHOD_FILES, "data": DATA, "cases": CASES,
    "predictions": PREDICTIONS, "weights": WEIGHT_FILES, "model": MODELS, "finished": FINISHED, "report": REPORTED,
}  # fmt: skip


def rows() -> Iterator[Any]:
    """Every row of the tables, as a parameter of a test."""
    for about, table in EVERYTHING.items():
        for bad in table:
            yield pytest.param(bad, id=f"{about}: {bad.command}: {bad.says[0][:50]}")


def files(folder: Path) -> set[Path]:
    """Every file but the lock of a training, which is none of its results."""
    return {path for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize("bad", list(rows()))
def test_it_is_answered_with_one_line_and_nothing_is_written(
    bad: Bad, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = {**COMMANDS, **BEGINNINGS}[bad.command]
    bad.spoil(here)
    before = files(here)
    said = run(bad.command, {k: v for k, v in {**flags, **bad.flags}.items() if v is not None}, monkeypatch)
    assert said is not None, "it was accepted"
    assert said.startswith("error: ") and "\n" not in said
    for word in bad.says:
        assert word in said, said
    assert len(said) < 1500
    assert capfd.readouterr().err == ""
    assert files(here) == before, "something was written"


@pytest.mark.filterwarnings("ignore")  # metrics of so few items
def test_predictions_that_were_refused_are_scored_once_they_are_mended(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_arrays(here / DRAWN)
    put(DRAWN, **{"generate/image": whole["generate/image"][:3]})(here)
    assert "is uint8 (3, 3, 16, 16)" in str(run("score", COMMANDS["score"], monkeypatch))
    assert not (here / "masking/elsewhere").exists()
    put(DRAWN, **whole)(here)
    assert run("score", COMMANDS["score"], monkeypatch) is None
    own = here / "masking/elsewhere/seed0"
    assert sha256_file(own / "predictions.npz") == sha256_file(here / DRAWN)
    assert {path.name for path in own.iterdir()} == {"predictions.npz", "metrics.json", "items.csv"}
