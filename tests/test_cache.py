"""The cache of networks' outputs: what is asked again runs no network, and nothing else is ever taken from it."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmbench.experiments.experiment import Case
from mmbench.experiments.masking import scores as masking
from mmbench.experiments.segmentation.tasks import TASKS
from mmbench.files.store import Arrays, load_arrays
from mmbench.frozen.cache import Network, OutputCache
from mmbench.frozen.features import EXTRACTOR, Extractor, Reference
from mmbench.frozen.judges import Judge
from mmbench.method import Method, Modality, Spec
from mmbench.scoring.metrics import perceptual
from mmbench.scoring.scores import Scored, Tools

IMAGES = {"image": np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)}
NETWORK = Network("net", "ab" * 32, "cpu", ("mmbench/errors.py",))


class Counted:
    """A network that counts how often it is asked; its answer tells the count."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"vectors": np.full((2, 5), self.calls, np.float32)}


@pytest.fixture
def net() -> Counted:
    return Counted()


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_asked_again_is_read(tmp_path: Path, net: Counted) -> None:
    first = OutputCache(tmp_path)(NETWORK, IMAGES, net)
    again = OutputCache(tmp_path)(NETWORK, {"image": IMAGES["image"].copy()}, net)
    assert net.calls == 1 and again.keys() == {"vectors"}
    assert again["vectors"].dtype == np.float32 and np.array_equal(first["vectors"], again["vectors"])
    (entry,) = entries(tmp_path)
    assert entry.parent == tmp_path / "net" and str(tmp_path).encode() not in entry.read_bytes()


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"weights_sha256": "cd" * 32}, {"device": "cuda"}, {"task": "segment"}]
)
def test_another_network_is_asked_anew(tmp_path: Path, net: Counted, change: dict[str, str]) -> None:
    OutputCache(tmp_path)(NETWORK, IMAGES, net)
    OutputCache(tmp_path)(replace(NETWORK, **change), IMAGES, net)
    assert net.calls == len(entries(tmp_path)) == 2


def test_other_code_and_other_packages_are_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "net.py"
    code.write_text("SCALE = 1\n")
    network = replace(NETWORK, code=(str(code),))
    keys = [network.key(IMAGES)]
    monkeypatch.setattr("mmbench.frozen.cache.version", lambda package: "0")
    keys.append(network.key(IMAGES))
    code.write_text("SCALE = 2\n")
    keys.append(network.key(IMAGES))
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"image": IMAGES["image"] + np.uint8(1)},
        {"image": IMAGES["image"].astype(np.int64)},
        {"image": IMAGES["image"].reshape(2, 3, 4, 1)},
        {"truth": IMAGES["image"]},
    ],
)
def test_other_inputs_are_asked_anew(tmp_path: Path, net: Counted, other: Arrays) -> None:
    OutputCache(tmp_path)(NETWORK, IMAGES, net)
    OutputCache(tmp_path)(NETWORK, other, net)
    assert net.calls == 2


def test_a_damaged_entry_is_made_anew_and_said_so(tmp_path: Path, net: Counted, capsys) -> None:
    """Wherever it was cut and whichever byte was changed: it is read as it was written, or not at all."""
    OutputCache(tmp_path)(NETWORK, IMAGES, net)
    (entry,) = entries(tmp_path)
    whole, asked = entry.read_bytes(), 1
    flipped = [whole[:i] + bytes([whole[i] ^ 16]) + whole[i + 1 :] for i in range(len(whole))]
    for damaged in (*flipped, b"", *(whole[:end] for end in range(1, len(whole), 17))):
        entry.write_bytes(damaged)
        net.calls = 0
        found = OutputCache(tmp_path)(NETWORK, IMAGES, net)["vectors"]
        assert found.shape == (2, 5) and (found == 1).all()
        asked += net.calls
        assert ("computed again" in capsys.readouterr().out) == bool(net.calls)
        assert np.array_equal(load_arrays(entry)["vectors"], found)
    assert asked > len(whole) / 2


def write_often(folder: Path, start: multiprocessing.Event) -> None:
    start.wait(20)
    for i in range(40):
        outputs = OutputCache(folder)(NETWORK, {"image": np.full(3, i)}, lambda i=i: {"vectors": np.full(5000, i)})
        assert (outputs["vectors"] == i).all()


def test_processes_may_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    writers = [context.Process(target=write_often, args=(tmp_path, start)) for _ in range(3)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 3
    assert len(entries(tmp_path)) == 40  # no temporary file is left
    for entry in entries(tmp_path):
        assert np.ptp(load_arrays(entry)["vectors"]) == 0


def question(n: int) -> tuple[list[tuple[Case, Arrays]], Reference]:
    """A reconstruction and a drawing of `n` images each, and a reference."""
    rng = np.random.default_rng(0)
    truth, image = (rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8) for _ in range(2))
    seen = np.full((n, 1, 32, 32), 255, np.uint8)
    seen[:, :, :8] = 0
    given = {"masked_image": np.concatenate([truth * (seen > 0), seen], axis=1)}
    cases = [Case("reconstruct-25", "reconstruct", n, given, {"image": truth}), Case("generate", "generate", n)]
    real = Reference({EXTRACTOR: rng.gamma(1.0, size=(n, 512))}, {"split": "test"})
    return [(case, {"image": image}) for case in cases], real


def test_scoring_again_runs_no_network_and_gives_the_same(
    lpips_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, real = question(8)

    def score(cache: Path | None) -> Scored:
        return masking.score(answered, Tools(lpips_weights, real, torch.device("cpu"), cache=cache))

    plain, first = score(None), score(tmp_path / "cache")
    assert {entry.parent.name for entry in entries(tmp_path / "cache")} == {"lpips-alex", "lpips-vgg", EXTRACTOR}

    def never(*_: object) -> None:
        raise AssertionError("a network ran")

    monkeypatch.setattr(perceptual, "layer_maps", never)
    monkeypatch.setattr(Extractor, "__call__", never)
    again = score(tmp_path / "cache")
    assert plain.metrics == first.metrics == again.metrics and plain.items == first.items == again.items
    with pytest.raises(AssertionError, match="a network ran"):
        score(tmp_path / "empty")


class Guess(Method):
    """A judge that sees the first class everywhere."""

    def predict(self, task, given, count, sampling, generator):
        return {"mask": torch.zeros(count, 32, 32, dtype=torch.long)}


def test_a_judge_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = question(3)[0][0][1]["image"]
    spec = Spec({"image": Modality("image", (3, 32, 32)), "mask": Modality("class_map", (32, 32), 4)})
    judge = Judge("judge-segmentation", Guess(spec), "ab" * 32, torch.device("cpu"))
    tools = Tools(Path("none"), Path("none"), judge.device, judge, cache=tmp_path)
    seen = tools.judged(TASKS["segment"], image)["mask"]
    monkeypatch.delattr(Guess, "predict")
    np.testing.assert_array_equal(tools.judged(TASKS["segment"], image)["mask"], seen)
    assert (seen.shape, seen.dtype, len(entries(tmp_path))) == ((3, 32, 32), np.uint8, 1)
