"""The one backbone of every trained method: diffusers' U-Net, on patches, returning features instead of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from mmbench.models.device import memory_format


class Features(NamedTuple):
    """What the backbone computes: a map (n, width, h / patch, w / patch) and a pooled vector (n, width * mult[-1])."""

    map: Tensor
    pooled: Tensor


class PreciseAttention:
    """diffusers' self-attention of a map, its product never in bfloat16 on a CPU: slower there."""

    def __call__(self, attn: Any, hidden_states: Tensor, temb: Tensor | None = None, **_: None) -> Tensor:
        """As `AttnProcessor2_0`, which it stands for: maps (n, c, h, w) to the same, whatever the time."""
        n, c, h, w = hidden_states.shape
        rows = attn.group_norm(hidden_states.view(n, c, h * w)).transpose(1, 2)
        layers = (attn.to_q, attn.to_k, attn.to_v)
        heads = [layer(rows).view(n, h * w, attn.heads, -1).transpose(1, 2) for layer in layers]
        if rows.is_cpu:
            with torch.autocast("cpu", enabled=False):
                found = F.scaled_dot_product_attention(*(x.float() for x in heads))
        else:
            found = F.scaled_dot_product_attention(*heads)
        rows = attn.to_out[0](found.transpose(1, 2).reshape(n, h * w, -1))
        return (rows.transpose(1, 2).reshape(n, c, h, w) + hidden_states) / attn.rescale_output_factor


def precise_on_cpu(net: nn.Module) -> nn.Module:
    """One of diffusers' networks with `PreciseAttention`; same weights, and the same numbers without autocast."""
    for module in net.modules():
        if isinstance(module, Attention):
            module.set_processor(PreciseAttention())  # type: ignore[arg-type]  # one of many
    return net


class UNet(nn.Module):
    """`diffusers.UNet2DModel` between a pixel-unshuffle stem and whatever heads its user puts on the features.

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
        levels = len(channel_mult)
        inner = [
            "AttnDownBlock2D" if attention else "DownBlock2D",
            "AttnUpBlock2D" if attention else "UpBlock2D",
        ]
        net: Any = UNet2DModel(
            in_channels=in_channels * patch**2,
            out_channels=width,
            block_out_channels=tuple(width * m for m in channel_mult),
            down_block_types=("DownBlock2D",) * (levels - 1) + (inner[0],),
            up_block_types=(inner[1],) + ("UpBlock2D",) * (levels - 1),
            layers_per_block=layers,
            norm_num_groups=8,
            attention_head_dim=min(32, width),
            class_embed_type="identity",
        )
        net.conv_out = nn.Identity()  # heads read the normalised features
        self.net: nn.Module = precise_on_cpu(net)
        self._pooled = torch.empty(0)
        self.net.get_submodule("mid_block").register_forward_hook(self._keep_pooled)

    def _keep_pooled(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self._pooled = output.mean(dim=(2, 3))

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
        features = self.net(x, t.to(x.device), class_labels=vector, return_dict=False)[0]
        return Features(features, self._pooled)


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

    It reads the pooled vector and the mean of the map, so that a network with no other head learns as a whole.
    """

    def __init__(self, backbone: UNet, out: int) -> None:
        super().__init__()
        width = backbone.pooled_width
        self.mlp = nn.Sequential(nn.Linear(backbone.width + width, 2 * width), nn.SiLU(), nn.Linear(2 * width, out))

    def forward(self, features: Features) -> Tensor:
        """Features to (n, out)."""
        return self.mlp(torch.cat([features.map.mean(dim=(2, 3)), features.pooled], dim=1))
