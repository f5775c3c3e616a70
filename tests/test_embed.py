"""Extractors, CLIP among them, and the data folder with embeddings that the command writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from fake_data import coarse_images, write_splits

from mmbench.data import read_prepared
from mmbench.errors import UserError
from mmbench.experiments.embedding.options import Options
from mmbench.experiments.experiment import load_experiment
from mmbench.files.store import read_json, save_arrays, sha256_file
from mmbench.frozen.embedders import (
    Scaling,
    fit_scaling,
    load_clip,
    load_embedder,
    load_standardised,
    read_scaling,
)
from mmbench.frozen.features import EXTRACTOR, load_extractor
from mmbench.method import Modality
from mmbench.stages import embed

CPU = torch.device("cpu")
CARD = {"name": "noise", "modalities": ["image", "factors"], "classes": [], "size": [32, 32]}
COUNTS = {"train": 12, "validation": 3, "test": 5}


def images(count: int, seed: int = 0) -> np.ndarray:
    return coarse_images(count, seed)


def tiny_clip(_name: str, seed: int = 0) -> tuple[torch.nn.Module, object]:
    """A CLIP as open_clip builds them, small and random, with open_clip's preprocessing."""
    torch.manual_seed(seed)
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 48}
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 1, "layers": 1}
    model = open_clip.CLIP(24, vision, text).train()
    return model, open_clip.image_transform(model.visual.image_size, is_train=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A prepared data set of coarse noise, with factors that must survive."""
    splits = {
        split: {"image": images(count, seed), "factors": np.full((count, 2), seed, np.float32)}
        for seed, (split, count) in enumerate(COUNTS.items())
    }
    return write_splits(tmp_path / "data", splits, **CARD)


def test_a_clip_embeds_as_open_clip_does_it_by_hand() -> None:
    found = load_clip("clip.tiny.random", CPU, build=tiny_clip)
    pixels = images(5)
    model, preprocess = tiny_clip("")
    model.eval()
    from PIL import Image  # noqa: PLC0415

    with torch.no_grad():
        batch = torch.stack([preprocess(Image.fromarray(x.transpose(1, 2, 0))) for x in pixels])
        assert batch.shape == (5, 3, 48, 48)
        expected = torch.nn.functional.normalize(model.encode_image(batch)).numpy()
    embedding = found(pixels)
    assert embedding.shape == (5, 24) and embedding.dtype == np.float32 and not found.model.training
    np.testing.assert_allclose(embedding, expected, atol=1e-6)
    np.testing.assert_allclose(found(pixels, batch_size=2), embedding, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    assert np.ptp(embedding, axis=0).max() > 1e-3


def test_the_hash_is_of_the_weights_that_were_loaded() -> None:
    first, again = (load_clip("clip.tiny.random", CPU, build=tiny_clip) for _ in range(2))
    other = load_clip("clip.tiny.random", CPU, build=lambda name: tiny_clip(name, seed=1))
    assert first.weights_sha256 == again.weights_sha256 != other.weights_sha256
    assert len(first.weights_sha256) == 64 and not any(p.requires_grad for p in first.model.parameters())


def test_the_default_extractor_is_that_of_the_image_distances(lpips_weights: Path) -> None:
    found = load_embedder(EXTRACTOR, lpips_weights, CPU)
    assert found.name == EXTRACTOR and found.weights_sha256 == sha256_file(lpips_weights / "lpips-vgg.safetensors")
    np.testing.assert_array_equal(found(images(3)), load_extractor(lpips_weights, CPU)(images(3)))


def one_line(caught: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["resnet", "clip", "clip.ViT-B-32", "clip.a.b.c", ""])
def test_an_unknown_extractor_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are vgg16-relu5_3-gap, efficientnet-lite0 and clip") as caught:
        load_embedder(name, tmp_path, CPU)
    assert f"'{name}'" in one_line(caught)


def test_without_open_clip_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UserError, match=r"pip install 'mmbench\[clip\]'") as caught:
        load_embedder("clip.ViT-B-32.laion2b_s34b_b79k", "", CPU)
    one_line(caught)


def test_weights_out_of_reach_are_one_line_and_others_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def unreachable(*names: str) -> None:
        asked.append(names)
        raise OSError("no route\nto host")

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", unreachable)
    with pytest.raises(UserError, match=r"could not be fetched \(no route to host\).*vgg16-relu5_3-gap") as caught:
        load_embedder("clip.ViT-B-32.laion2b_s34b_b79k", "", CPU)
    one_line(caught)
    assert asked == [("ViT-B-32", "laion2b_s34b_b79k")]
    monkeypatch.setattr(open_clip, "create_model_from_pretrained", lambda *names: tiny_clip(names[0]))
    found = load_embedder("clip.ViT-B-32.laion2b_s34b_b79k", "", CPU)
    assert found.name == "clip.ViT-B-32.laion2b_s34b_b79k" and found(images(2)).shape == (2, 24)


def test_every_clip_of_open_clip_can_be_named() -> None:
    names = [f"clip.{model}.{tag}" for model, tag in open_clip.list_pretrained()]
    assert len(names) > 100 and all(Options(extractor=name).extractor == name for name in names)
    for wrong in ("clip.ViT-B-32", "clip.a/b.c", "vgg", "../data", "clip.a.b.c"):
        with pytest.raises(ValueError, match="write vgg16-relu5_3-gap, efficientnet-lite0, or clip"):
            Options(extractor=wrong)


def test_scaling_centres_every_dimension_and_keeps_their_proportions() -> None:
    x = (np.random.default_rng(0).normal(3, 1, (200, 4)) * [1, 5, 0, 1e-3]).astype(np.float32)
    scaling = fit_scaling(x)
    scaled = scaling(x)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    assert (scaled**2).mean() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0) / scaled.std(axis=0)[1], x.std(axis=0) / x.std(axis=0)[1], atol=1e-5)


def test_equal_embeddings_are_only_centred() -> None:
    scaling = fit_scaling(np.full((3, 2), 0.3, np.float32))
    assert scaling.sd == 1 and not scaling(np.full((3, 2), 0.3, np.float32)).any()


def test_the_command_writes_another_prepared_folder(
    data: Path, lpips_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "embedded" / EXTRACTOR
    arguments = ["--extractor", EXTRACTOR, "--weights", str(lpips_weights), "--data", str(data), "--out", str(out)]
    embed.main([*arguments, "--device", "cpu"])
    assert f"noise train: 12 images by {EXTRACTOR}" in capsys.readouterr().out
    before, card = read_json(data / "card.json"), read_json(out / "card.json")
    extractor = load_extractor(lpips_weights, CPU)
    raw = extractor(read_prepared(data, "train")["image"])
    scaling = read_scaling(out)
    np.testing.assert_allclose(scaling.mean, raw.mean(axis=0), rtol=1e-5)
    for split, count in COUNTS.items():
        arrays, old = read_prepared(out, split), read_prepared(data, split)
        assert all(np.array_equal(arrays[name], old[name]) for name in old)
        assert arrays["embedding"].shape == (count, 512) and arrays["embedding"].dtype == np.float32
        expected = (extractor(old["image"]) - scaling.mean) / scaling.sd
        np.testing.assert_allclose(arrays["embedding"], expected, atol=1e-4)
        assert card["splits"][split]["arrays"]["embedding"] == {"dtype": "float32", "shape": [count, 512]}
        assert card["splits"][split]["sha256"] != before["splits"][split]["sha256"]
    train = read_prepared(out, "train")
    assert (train["embedding"] ** 2).mean() == pytest.approx(1, abs=1e-4)
    mirrored = extractor(np.ascontiguousarray(train["image"][..., ::-1]))
    np.testing.assert_allclose(train["embedding_mirrored"], (mirrored - scaling.mean) / scaling.sd, atol=1e-4)
    assert "embedding_mirrored" not in read_prepared(out, "test")
    assert card["modalities"] == ["image", "factors", "embedding"] and card["name"] == "noise"
    assert card["embedding"] == {"extractor": EXTRACTOR, "size": 512, "weights_sha256": extractor.weights_sha256}
    assert load_experiment("embedding").modalities(card)["embedding"] == Modality("vector", (512,))
    json.dumps(card)

    standardised = load_standardised(card, out, lpips_weights, CPU)
    seen = standardised.scaling(standardised.embedder(read_prepared(out, "test")["image"]))
    np.testing.assert_allclose(seen, read_prepared(out, "test")["embedding"], atol=1e-4)
    with pytest.raises(UserError, match="embedded already"):
        embed.main([*arguments[:4], "--data", str(out), "--out", str(tmp_path / "twice")])
    with pytest.raises(UserError, match="other weights"):
        load_standardised({"embedding": {**card["embedding"], "weights_sha256": "0" * 64}}, out, lpips_weights, CPU)
    with pytest.raises(UserError, match="no embeddings"):
        load_standardised(before, data, lpips_weights, CPU)


def test_a_folder_without_its_scaling_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"scaling\.npz: no such file"):
        read_scaling(tmp_path)
    save_arrays(tmp_path / "scaling.npz", {"mean": np.zeros(3)})
    with pytest.raises(UserError, match="not the mean and sd") as caught:
        read_scaling(tmp_path)
    one_line(caught)
    save_arrays(tmp_path / "scaling.npz", Scaling(np.zeros(3), np.ones(())).arrays())
    assert read_scaling(tmp_path).sd == 1


def test_an_embedding_that_is_not_finite_is_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, weights_sha256 = "broken", ""

        def __call__(self, pixels: np.ndarray, batch_size: int = 100) -> np.ndarray:
            found = np.zeros((len(pixels), 2), np.float32)
            found[3, 1] = np.nan
            return found

    monkeypatch.setattr(embed, "load_embedder", lambda *_: Broken())
    with pytest.raises(UserError, match="broken: the embedding of train item 3 is not finite"):
        embed.write_embedded("broken", weights=tmp_path, data=data, out=tmp_path / "out", device=CPU)
    assert not (tmp_path / "out").exists()
