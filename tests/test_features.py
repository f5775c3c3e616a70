"""Features for the distribution metrics: what they are, that they do not depend on batches, and their file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data
from torchvision import models, transforms

from mmbench.config.extractors import EFFICIENTNET, described
from mmbench.errors import UserError
from mmbench.files.store import save_arrays, sha256_file, write_json
from mmbench.files.weights import save_weights
from mmbench.frozen.features import EXTRACTOR, Extractor, load_extractor, read_reference, stored
from mmbench.frozen.lpips import weights_path


@pytest.fixture(scope="module")
def extractor(lpips_weights: Path) -> Extractor:
    return load_extractor(lpips_weights, torch.device("cpu"))


def images(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, height, width), dtype=np.uint8)


def test_features_are_those_of_vgg16_with_imagenets_normalisation(extractor: Extractor) -> None:
    with torch.device("meta"):
        trunk = models.vgg16().features[:30]
    state = {n.removeprefix("layers."): v for n, v in extractor.net.state_dict().items() if n.startswith("layers.")}
    trunk.load_state_dict(state, strict=True, assign=True)
    normalise = transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    pixels = images(3, 48, 32)
    with torch.inference_mode():
        expected = trunk(normalise(torch.from_numpy(pixels).float() / 255)).mean(dim=(2, 3)).numpy()
    found = extractor(pixels)
    assert found.shape == (3, 512) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_other_weights_are_an_error_of_one_line(lpips_weights: Path, tmp_path: Path) -> None:
    state = load_file(weights_path("vgg", lpips_weights))
    for broken in (
        {n: v for n, v in state.items() if n != "net.slice5.28.bias"},
        state | {"net.slice1.0.bias": torch.zeros(3)},
    ):
        save_file(broken, weights_path("vgg", tmp_path))
        with pytest.raises(UserError, match="not the weights of LPIPS vgg"):
            load_extractor(tmp_path, torch.device("cpu"))


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


def test_reference_features_are_read_only_for_the_same_extractor(extractor: Extractor, lpips_weights, tmp_path) -> None:
    path = tmp_path / "reference.npz"
    features = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    digest = sha256_file(lpips_weights / "lpips-vgg.safetensors")
    card = {"split": "test", "extractors": {EXTRACTOR: {"weights_sha256": digest}}}
    with pytest.raises(UserError, match=r"reference\.npz: no such file"):
        read_reference(path, [extractor])
    save_arrays(path, stored({EXTRACTOR: features}))
    write_json(path.with_suffix(".json"), card)
    np.testing.assert_array_equal(read_reference(path, [extractor]).features[EXTRACTOR], features)
    with pytest.raises(UserError, match="not features of other"):
        read_reference(path, [extractor, replace(extractor, name="other")])
    write_json(path.with_suffix(".json"), card | {"extractors": {EXTRACTOR: {"weights_sha256": "0" * 64}}})
    with pytest.raises(UserError, match="make it again"):
        read_reference(path, [extractor])


@pytest.fixture(scope="module")
def efficientnet(efficientnet_weights: Path) -> Extractor:
    return load_extractor(efficientnet_weights, torch.device("cpu"), EFFICIENTNET)


def centre(picture: np.ndarray) -> np.ndarray:
    """The square in the middle of a picture (h, w, 3), as an image (1, 3, s, s)."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side].transpose(2, 0, 1)[None].copy()


def test_efficientnet_is_timms(efficientnet: Extractor) -> None:
    """The same layers with the same state, in the same order under other names."""
    timm = pytest.importorskip("timm")
    oracle = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    names = [name for name in oracle.state_dict() if not name.startswith("classifier")]
    state = [value for name, value in efficientnet.net.state_dict().items() if not name.startswith("_fc")]
    oracle.load_state_dict(dict(zip(names, state, strict=True)), strict=False)
    pixels = images(2, 224, 224)
    with torch.inference_mode():
        expected = oracle.forward_features((torch.from_numpy(pixels).float() - 127) / 128).mean(dim=(2, 3)).numpy()
    found = efficientnet(pixels)
    assert found.shape == (2, 1280) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert sum(p.numel() for p in efficientnet.net.parameters()) == 4_652_008


def test_efficientnet_knows_a_cat_and_an_espresso(efficientnet: Extractor) -> None:
    """Classes 281 to 285 of ImageNet are kinds of cats, 967 is an espresso."""
    seen = []
    for picture in (data.chelsea(), data.coffee()):
        features = torch.from_numpy(efficientnet(centre(picture)))
        seen.append(int(efficientnet.net._fc(features).argmax()))
    assert 281 <= seen[0] <= 285 and seen[1] == 967


def test_efficientnet_needs_its_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"efficientnet-lite0\.safetensors: no such file; run .*stages\.efficientnet"):
        load_extractor(tmp_path, torch.device("cpu"), EFFICIENTNET)


OWN = """
from torch import nn

SIZE = 8
WEIGHTS = "own.safetensors"
SOURCE = "nowhere"
LICENCE = "CC0-1.0"


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
"""


def write_own(folder: Path, text: str = OWN, suffix: str = ".safetensors") -> Path:
    """An extractor of one's own and its weights; returns its file."""
    state = {"1.weight": torch.ones(5, 192) * torch.arange(5.0)[:, None], "1.bias": torch.zeros(5)}
    save_weights(folder / "own.safetensors", state)
    torch.save(state, folder / "own.pth")
    path = folder / "mine.py"
    path.write_text(text.replace(".safetensors", suffix))
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_an_extractor_of_ones_own(tmp_path: Path, suffix: str) -> None:
    extractor = load_extractor(tmp_path / "none", torch.device("cpu"), str(write_own(tmp_path, suffix=suffix)))
    white = np.full((3, 3, 8, 8), 255, np.uint8)
    np.testing.assert_allclose(extractor(white), np.tile(192 * np.arange(5.0), (3, 1)), rtol=1e-6)
    assert extractor(images(2, 16, 24)).shape == (2, 5) and extractor.resize_name(16, 24) == "bilinear to 8x8"
    assert extractor.name == "mine" and extractor.weights_sha256 == sha256_file(tmp_path / f"own{suffix}")
    about = described(str(tmp_path / "mine.py"), tmp_path)
    assert (about.source, about.licence) == ("nowhere", "CC0-1.0")
    assert about.files == [str(tmp_path / "mine.py"), str(tmp_path / f"own{suffix}")]
    (tmp_path / "mine.py").rename(tmp_path / "My Own.py")
    with pytest.raises(UserError, match=r"'My Own' cannot be an extractor's name; rename"):
        described(str(tmp_path / "My Own.py"), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("SIZE = 8\n", "", r"mine\.py: SIZE is missing; add"),
        ("SIZE = 8", "SIZE = '8'", r"mine\.py: SIZE is '8'; write"),
        ("SIZE = 8", "SIZE = 2 * side", r"mine\.py: SIZE is computed"),
        ('LICENCE = "CC0-1.0"', "", r"mine\.py: LICENCE is missing"),
        ("own.safetensors", "none.safetensors", r"mine\.py: WEIGHTS: there is no .*none\.safetensors"),
        ("def build", "def built", r"mine\.py: build: not a function that returns a torch\.nn\.Module"),
        (
            "Linear(3 * 8 * 8, 5)",
            "Linear(3 * 8 * 8, 6)",
            r"mine\.py: WEIGHTS: .*own\.safetensors does not fit.*size",
        ),
        ("from torch import nn", "import no_such_package", r"mine\.py: .*no_such_package.*install it"),
        ("SIZE", "SI ZE", r"mine\.py: line 4: not Python"),
    ],
)
def test_what_is_wrong_with_ones_own_is_said_in_a_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = write_own(tmp_path, OWN.replace(old, new))
    with pytest.raises(UserError, match=says) as caught:
        load_extractor(tmp_path, torch.device("cpu"), str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("nn.Sequential(nn.Flatten(2), nn.Linear(64, 5))", r"puts out \(2, 3, 5\) for 2 images; return \(n, d\)"),
        ("nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.Threshold(0, float('nan')))", "are not finite"),
    ],
)
def test_features_that_are_none_are_said(tmp_path: Path, network: str, says: str) -> None:
    path = write_own(tmp_path, OWN.replace("nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))", network))
    width = 64 if "Flatten(2)" in network else 192
    save_weights(tmp_path / "own.safetensors", {"1.weight": torch.zeros(5, width), "1.bias": torch.zeros(5)})
    with pytest.raises(UserError, match=rf"mine\.py: build: .*{says}"):
        load_extractor(tmp_path, torch.device("cpu"), str(path))(images(2, 8, 8))


def test_ones_own_weights_are_tensors_and_nothing_else(tmp_path: Path) -> None:
    path = write_own(tmp_path, suffix=".pth")
    for wrong in ([torch.zeros(1)], {"1.weight": print}, {"state": {"1.bias": torch.zeros(5)}}):
        torch.save(wrong, tmp_path / "own.pth")
        with pytest.raises(UserError, match=r"own\.pth: .*state_dict"):
            load_extractor(tmp_path, torch.device("cpu"), str(path))
