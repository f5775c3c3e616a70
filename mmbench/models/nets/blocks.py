"""The parts of the U-Net of Ho et al. 2020 (Denoising diffusion probabilistic models), outermost last.

They follow diffusers' `UNet2DModel`: parameters have the same names, order and order of initialisation, and a forward
pass does the same operations. Weights of either therefore fit the other, and their results are equal to the bit
(`tests/test_unet.py`). Throughout, maps are (n, channels, h, w) and the embedded time is (n, time_width).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Groups of channels that are normalised together; every number of channels is a multiple of it.
GROUPS = 8

#: Channels of one attention head, unless the network is narrower.
HEAD = 32

#: The longest wavelength of the sines of a step, over 2 pi.
PERIOD = 10_000


def time_features(t: Tensor, size: int) -> Tensor:
    """Cosines and sines (n, size) of steps t (n,), in single precision (Vaswani et al. 2017, section 3.5).

    The first half is cos(t f_i), the second sin(t f_i), with f_i = 10000^(-i / (size / 2)) for i = 0 .. size / 2 - 1.
    """
    half = size // 2
    frequencies = torch.exp(-math.log(PERIOD) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """Steps (n,) to vectors (n, 4 width): sines, then a linear layer, SiLU and another linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, 4 * width)
        self.linear_2 = nn.Linear(4 * width, 4 * width)

    def forward(self, t: Tensor) -> Tensor:
        """Steps (n,) to (n, 4 width)."""
        features = time_features(t, self.linear_1.in_features).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(features)))


class ResidualBlock(nn.Module):
    """x + f(x, time), where f is two normalised convolutions, between which the time is added to each channel."""

    def __init__(self, in_channels: int, channels: int, time_width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, channels, 1) if in_channels != channels else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """A map (n, in_channels, h, w) and the time to a map (n, channels, h, w)."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = y + self.time_emb_proj(F.silu(time))[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y)))
        if self.conv_shortcut is not None:
            # The gradient of a parameter then has its memory format, which data-parallel training needs.
            x = self.conv_shortcut(x.contiguous() if self.training else x)
        return x + y


class Attention(nn.Module):
    """x + attention of every position of a map to every other, in heads of `head` channels; computed on a normalised x.

    The attention is never computed in bfloat16 on a CPU, where that is slower, above all in the backward pass.
    """

    def __init__(self, channels: int, head: int) -> None:
        super().__init__()
        self.heads = channels // head
        inner = self.heads * head  # fewer than `channels` where `head` does not divide them
        self.group_norm = nn.GroupNorm(GROUPS, channels)
        self.to_q = nn.Linear(channels, inner)
        self.to_k = nn.Linear(channels, inner)
        self.to_v = nn.Linear(channels, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])  # a list only for its name, `to_out.0`

    def forward(self, x: Tensor) -> Tensor:
        """A map (n, channels, h, w) to another."""
        n, c, h, w = x.shape
        rows = self.group_norm(x.view(n, c, h * w)).transpose(1, 2)
        layers = (self.to_q, self.to_k, self.to_v)
        q, k, v = (layer(rows).view(n, h * w, self.heads, -1).transpose(1, 2) for layer in layers)
        if x.is_cpu:
            with torch.autocast("cpu", enabled=False):
                rows = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
        else:
            rows = F.scaled_dot_product_attention(q, k, v)
        rows = self.to_out[0](rows.transpose(1, 2).reshape(n, h * w, -1))
        return rows.transpose(1, 2).reshape(n, c, h, w) + x


class Halve(nn.Module):
    """A convolution that halves the sides of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """A map (n, channels, h, w) to (n, channels, h / 2, w / 2)."""
        return self.conv(x)


class Double(nn.Module):
    """Nearest-neighbour upsampling by 2, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """A map (n, channels, h, w) to (n, channels, 2 h, 2 w)."""
        if len(x) >= 64:  # so many items in the format channels last fail on a GPU (diffusers' issue 984)
            x = x.contiguous()
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class DownLevel(nn.Module):
    """Residual blocks, each followed by attention if `head` is given; then the sides are halved unless innermost.

    Args:
        in_channels: channels of the map that comes from the level outside.
        channels: channels of the maps of this level.
        time_width: width of the embedded time.
        layers: number of residual blocks.
        head: channels of a head of attention; None for no attention.
        innermost: no level follows.
    """

    def __init__(
        self, in_channels: int, channels: int, time_width: int, *, layers: int, head: int | None, innermost: bool
    ) -> None:
        super().__init__()
        blocks, attentions = nn.ModuleList(), nn.ModuleList()
        for i in range(layers):
            blocks.append(ResidualBlock(channels if i else in_channels, channels, time_width))
            attentions.append(Attention(channels, head) if head else nn.Identity())
        self.attentions, self.resnets = attentions, blocks
        self.downsamplers = nn.ModuleList([] if innermost else [Halve(channels)])

    def forward(self, x: Tensor, time: Tensor) -> list[Tensor]:
        """The maps computed from a map (n, in_channels, h, w), in order; the last one enters the next level."""
        maps = []
        for block, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(block(x, time))
            maps.append(x)
        for halve in self.downsamplers:
            maps.append(halve(x))
        return maps


class Middle(nn.Module):
    """A residual block, attention, and a residual block at the smallest map."""

    def __init__(self, channels: int, time_width: int, *, head: int) -> None:
        super().__init__()
        before = ResidualBlock(channels, channels, time_width)
        self.attentions = nn.ModuleList([Attention(channels, head)])
        self.resnets = nn.ModuleList([before, ResidualBlock(channels, channels, time_width)])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """A map (n, channels, h, w) to another."""
        before, after = self.resnets
        return after(self.attentions[0](before(x, time)), time)


class UpLevel(nn.Module):
    """As `DownLevel` with one more block, each with a skip connection; then the sides are doubled unless outermost.

    Args:
        in_channels: channels of the map that comes from the level inside.
        channels: channels of the maps of this level.
        outer: channels of the level outside, from which the last skip connection comes.
        time_width: width of the embedded time.
        layers: number of residual blocks on the way down.
        head: channels of a head of attention; None for no attention.
        outermost: no level follows.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        outer: int,
        time_width: int,
        *,
        layers: int,
        head: int | None,
        outermost: bool,
    ) -> None:
        super().__init__()
        blocks, attentions = nn.ModuleList(), nn.ModuleList()
        for i in range(layers + 1):
            skipped = outer if i == layers else channels
            blocks.append(ResidualBlock((channels if i else in_channels) + skipped, channels, time_width))
            attentions.append(Attention(channels, head) if head else nn.Identity())
        self.attentions, self.resnets = attentions, blocks
        self.upsamplers = nn.ModuleList([] if outermost else [Double(channels)])

    def forward(self, x: Tensor, skips: list[Tensor], time: Tensor) -> Tensor:
        """A map (n, in_channels, h, w) to (n, channels, 2 h, 2 w), the outermost (n, channels, h, w).

        The maps of the skip connections are taken from the end of `skips`.
        """
        for block, attention in zip(self.resnets, self.attentions, strict=True):
            x = attention(block(torch.cat([x, skips.pop()], dim=1), time))
        for double in self.upsamplers:
            x = double(x)
        return x
