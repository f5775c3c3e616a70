"""The backbone of every trained method: the U-Net of Ho et al. 2020 on patches; it returns features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.models.device import memory_format
from mmbench.models.nets.blocks import GROUPS, HEAD, DownLevel, Middle, TimeEmbedding, UpLevel


class Features(NamedTuple):
    """The backbone's output: a map (n, width, h / patch, w / patch) and a pooled vector (n, width * mult[-1])."""

    map: Tensor
    pooled: Tensor


class Levels(nn.Module):
    """The U-Net itself: down through the levels, through the middle, and up again with skip connections.

    Args:
        in_channels: channels of the input.
        channels: channels of each level, outermost first, all multiples of 8.
        layers: residual blocks of a level on the way down; one more on the way up.
        attention: self-attention at the innermost level (the middle always has it).
    """

    def __init__(self, in_channels: int, channels: Sequence[int], *, layers: int, attention: bool) -> None:
        super().__init__()
        width, time_width, head = channels[0], 4 * channels[0], min(HEAD, channels[0])
        outer, inner = [width, *channels[:-1]], [*channels[1:], channels[-1]]  # of the levels next to each level
        last = len(channels) - 1
        heads = [None] * last + [head if attention else None]
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.time_embedding = TimeEmbedding(width)
        down = nn.ModuleList(
            DownLevel(outer[i], channels[i], time_width, layers=layers, head=heads[i], innermost=i == last)
            for i in range(last + 1)
        )
        middle = Middle(channels[-1], time_width, head=head)
        up = nn.ModuleList(
            UpLevel(inner[i], channels[i], outer[i], time_width, layers=layers, head=heads[i], outermost=i == 0)
            for i in reversed(range(last + 1))
        )
        # Weights are initialised in the order of the forward pass, but registered in this order, in which gradients are
        # summed.
        self.down_blocks, self.up_blocks, self.mid_block = down, up, middle
        self.conv_norm_out = nn.GroupNorm(GROUPS, width)
        nn.Conv2d(width, width, 3)  # diffusers' last layer, unused: it keeps the random numbers of later weights

    def forward(self, x: Tensor, t: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (n, in_channels, h, w) at steps t (n,) to the outermost map (n, width, h, w) and the innermost.

        Args:
            vector: conditioning (n, 4 width), added to the embedded time.
        """
        time = self.time_embedding(t) + vector.to(self.conv_in.weight.dtype)
        x = self.conv_in(x)
        skips = [x]
        for down in self.down_blocks:
            skips += down(skips[-1], time)
        x = middle = self.mid_block(skips[-1], time)
        for up in self.up_blocks:
            x = up(x, skips, time)
        return F.silu(self.conv_norm_out(x)), middle


class UNet(nn.Module):
    """`Levels` after a pixel-unshuffle stem; a method adds its own heads to the features.

    Args:
        in_channels: channels of the input image.
        width: channels of the outermost level, a multiple of 8.
        channel_mult: channels of each level as a multiple of `width`; its length is the number of levels.
        layers: residual blocks per level.
        patch: side of the pixel block that becomes one position; the image's sides must be multiples of
            `patch * 2 ** (len(channel_mult) - 1)`.
        attention: self-attention at the innermost level (the middle block always has it).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: int = 32,
        channel_mult: Sequence[int] = (1, 2, 4),
        layers: int = 1,
        patch: int = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.patch = width, patch
        self.multiple = patch * 2 ** (len(channel_mult) - 1)
        self.pooled_width = width * channel_mult[-1]
        self.vector_width = 4 * width
        channels = [width * m for m in channel_mult]
        self.net = Levels(in_channels * patch**2, channels, layers=layers, attention=attention)

    def forward(self, x: Tensor, t: Tensor, vector: Tensor | None = None) -> Features:
        """Features of images at diffusion times.

        Args:
            x: images (n, in_channels, h, w).
            t: diffusion steps (n,), 0 to T.
            vector: conditioning (n, vector_width) added to the time embedding.
        """
        if x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            size = f"{x.shape[2]}x{x.shape[3]}"
            raise ValueError(f"images of {size} do not fit this network: sides must be multiples of {self.multiple}")
        if vector is None:
            vector = x.new_zeros(len(x), self.vector_width)
        x = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=memory_format(x.device))
        outermost, innermost = self.net(x, t.to(x.device), vector)
        return Features(outermost, innermost.mean(dim=(2, 3)))


class PixelHead(nn.Sequential):
    """Features to an image (n, out_channels, h, w): one 3x3 convolution and the inverse of the stem's unshuffle.

    It starts at zero, so an untrained network predicts zero.
    """

    def __init__(self, backbone: UNet, out_channels: int) -> None:
        convolution = nn.Conv2d(backbone.width, out_channels * backbone.patch**2, 3, padding=1)
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        super().__init__(convolution, nn.PixelShuffle(backbone.patch))


class VectorReader(nn.Module):
    """Features to a vector (n, out), e.g. class logits, by a hidden layer.

    It reads the pooled vector and the mean of the map, so that all layers of a network without other heads are trained.
    """

    def __init__(self, backbone: UNet, out: int) -> None:
        super().__init__()
        width = backbone.pooled_width
        self.mlp = nn.Sequential(nn.Linear(backbone.width + width, 2 * width), nn.SiLU(), nn.Linear(2 * width, out))

    def forward(self, features: Features) -> Tensor:
        """Features to (n, out)."""
        return self.mlp(torch.cat([features.map.mean(dim=(2, 3)), features.pooled], dim=1))


class VectorHead(nn.Module):
    """Pooled features to a vector (n, out)."""

    def __init__(self, backbone: UNet, out: int) -> None:
        super().__init__()
        width = backbone.pooled_width
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, out))

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, pooled_width) to (n, out)."""
        return self.mlp(pooled)
