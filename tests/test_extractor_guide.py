"""The files of docs/add-an-extractor.md, with made-up weights: their networks are those of the packages they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from documents import BLOCKS
from torch import Tensor, nn

from mmbench.frozen.features import Extractor, load_extractor
from mmbench.frozen.user_files import run_file

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 40), dtype=np.uint8)


def written(name: str, folder: Path) -> tuple[Path, Mapping[str, Tensor]]:
    """A file of the guide, with random weights beside it; returns the two."""
    block = next(block for block in BLOCKS if block.text.startswith(f"# extractors/{name}.py"))
    path = folder / f"{name}.py"
    path.write_text(block.text)
    torch.manual_seed(0)
    module = run_file(path)
    state: Mapping[str, Tensor] = module.build().state_dict()
    weights = folder / module.WEIGHTS
    if weights.suffix == ".safetensors":
        from safetensors.torch import save_file  # noqa: PLC0415

        save_file(dict(state), weights)
    else:
        torch.save(state, weights)
    return path, state


def compare(extractor: Extractor, oracle: nn.Module, size: int, mean: list[float], sd: list[float]) -> None:
    x = torch.from_numpy(IMAGES).float() / 255
    x = nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        found = oracle.eval()((x - torch.tensor(mean)[:, None, None]) / torch.tensor(sd)[:, None, None])
    expected = found[0].flatten(1) if isinstance(found, list) else found
    np.testing.assert_allclose(extractor(IMAGES), expected.numpy(), rtol=1e-3, atol=1e-4)


def test_dino_is_timms(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    path, state = written("dinov2_vits14", tmp_path)
    oracle = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    oracle.load_state_dict(state)
    compare(load_extractor(tmp_path, CPU, str(path)), oracle, 518, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_inception_is_pytorch_fids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fid = pytest.importorskip("pytorch_fid.inception")
    path, state = written("inception2015", tmp_path)
    monkeypatch.setattr(fid, "load_state_dict_from_url", lambda *_, **__: state)
    oracle = fid.InceptionV3([3], resize_input=False, normalize_input=False)
    compare(load_extractor(tmp_path, CPU, str(path)), oracle, 299, [0.5] * 3, [0.5] * 3)
