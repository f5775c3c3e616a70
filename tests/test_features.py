"""Features for the distribution metrics: what they are, that they do not depend on batches, and their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models, transforms

from mmbench.errors import UserError
from mmbench.files.store import save_arrays, sha256_file, write_json
from mmbench.frozen.features import EXTRACTOR, Extractor, load_extractor, read_reference


@pytest.fixture(scope="module")
def extractor(lpips_weights: Path) -> Extractor:
    return load_extractor(lpips_weights, torch.device("cpu"))


def images(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, height, width), dtype=np.uint8)


def test_features_are_those_of_vgg16_with_imagenets_normalisation(extractor: Extractor) -> None:
    with torch.device("meta"):
        trunk = models.vgg16().features[:30]
    state = {n.split(".", 2)[2]: v for n, v in extractor.net.state_dict().items() if n.startswith("net.")}
    trunk.load_state_dict(state, strict=True, assign=True)
    normalise = transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    pixels = images(3, 48, 32)
    with torch.inference_mode():
        expected = trunk(normalise(torch.from_numpy(pixels).float() / 255)).mean(dim=(2, 3)).numpy()
    found = extractor(pixels)
    assert found.shape == (3, 512) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_features_do_not_depend_on_the_batch_and_repeat_exactly(extractor: Extractor) -> None:
    pixels = images(5, 32, 32)
    found = extractor(pixels)
    np.testing.assert_array_equal(found, extractor(pixels))
    np.testing.assert_allclose(found, extractor(pixels, batch_size=2), rtol=1e-4, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.1


@pytest.mark.parametrize(
    "size, looked_at, name",
    [
        ((32, 32), (32, 32), "none"),
        ((96, 128), (96, 128), "none"),
        ((28, 28), (32, 32), "bilinear to 32x32"),
        ((16, 24), (32, 48), "bilinear to 32x48"),
    ],
)
def test_small_images_are_enlarged_and_the_record_says_so(extractor: Extractor, size, looked_at, name) -> None:
    assert extractor.resized(*size) == looked_at
    assert extractor.resize_name(*size) == name


def test_enlarged_images_have_features(extractor: Extractor) -> None:
    found = extractor(np.repeat(np.repeat(images(2, 8, 8), 2, axis=2), 2, axis=3))
    assert found.shape == (2, 512) and np.isfinite(found).all() and np.ptp(found) > 0


def test_reference_features_are_read_only_for_the_same_extractor(extractor: Extractor, lpips_weights, tmp_path) -> None:
    path = tmp_path / "reference.npz"
    features = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    card = {
        "split": "test",
        "extractor": EXTRACTOR,
        "weights_sha256": sha256_file(lpips_weights / "lpips-vgg.safetensors"),
    }
    with pytest.raises(UserError, match=r"reference\.npz: no such file"):
        read_reference(path, extractor)
    save_arrays(path, {"features": features})
    write_json(path.with_suffix(".json"), card)
    np.testing.assert_array_equal(read_reference(path, extractor).features, features)
    write_json(path.with_suffix(".json"), card | {"weights_sha256": "0" * 64})
    with pytest.raises(UserError, match="make it again"):
        read_reference(path, extractor)
