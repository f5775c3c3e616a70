"""A masked autoencoder (He et al. 2022): a small vision transformer that predicts the hidden pixels in one pass.

Departures: the paper's masks are whole patches, whose tokens do not enter its encoder. Masks here cut through patches,
so every token is kept and includes which of its pixels are visible, and there is one stack of blocks without a separate
decoder. The error is the squared error of plain pixels, the paper's simpler variant, rather than of pixels normalised
by patch, since reconstructions are scored here and not features. Sides that are not a multiple of the patch's side are
padded with hidden pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.method import Batch, Noise, Sampling, Spec, Task
from mmbench.method import Method as BaseMethod
from mmbench.models.mt_diffusion import Method as MultitaskMethod

TITLE = "Masked autoencoder"
TASKS = ("reconstruct",)

#: Width of a token for each block of depth, between those of ViT-Ti (16) and ViT-S (32).
WIDTH_PER_BLOCK = 24


def positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed sine and cosine codes (rows * columns, width) of a grid, half for each axis; width is a multiple of 4."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(width // 4) / (width // 4))
    codes = []
    for count in (rows, columns):
        angles = torch.arange(count)[:, None] * rates
        codes.append(torch.cat([angles.sin(), angles.cos()], dim=1))
    down = codes[0][:, None].expand(-1, columns, -1)
    across = codes[1][None].expand(rows, -1, -1)
    return torch.cat([down, across], dim=2).reshape(rows * columns, width)


class Transformer(nn.Module):
    """Patches to tokens, self-attention over all of them, tokens to patches.

    Args:
        channels: channels of the input (n, channels, h, w).
        out: channels of the output (n, out, h, w).
        patch: side of a patch in pixels.
        width: width of a token, a multiple of 4.
        depth: number of blocks.
        hidden: width inside a block's feed-forward part.
    """

    def __init__(self, channels: int, out: int, *, patch: int, width: int, depth: int, hidden: int) -> None:
        super().__init__()
        self.patch, self.width = patch, width
        self.embed = nn.Linear(channels * patch**2, width)
        blocks = [
            nn.TransformerEncoderLayer(width, 4, hidden, 0.0, F.gelu, batch_first=True, norm_first=True)
            for _ in range(depth)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out * patch**2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, out, h, w)."""
        height, width = x.shape[2:]
        tokens = F.pixel_unshuffle(F.pad(x, (0, -width % self.patch, 0, -height % self.patch)), self.patch)
        rows, columns = tokens.shape[2:]
        tokens = self.embed(tokens.flatten(2).transpose(1, 2)) + positions(rows, columns, self.width).to(x)
        tokens = self.head(self.norm(self.blocks(tokens)))
        return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, columns)), self.patch)[..., :height, :width]


def parameters(module: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def as_large_as(target: int, channels: int, out: int, patch: int) -> Transformer:
    """A transformer of about `target` parameters: depth and width in proportion, the feed-forward part has the rest.

    Raises:
        UserError: even the smallest transformer is larger.
    """
    depth = max(1, round((target / (12 * WIDTH_PER_BLOCK**2)) ** (1 / 3)))
    width = max(8, 4 * (WIDTH_PER_BLOCK * depth // 4))
    with torch.device("meta"):
        least, more = (
            parameters(Transformer(channels, out, patch=patch, width=width, depth=depth, hidden=h)) for h in (1, 2)
        )
    hidden = 1 + round((target - least) / (more - least))
    if hidden < 1:
        raise UserError(f"mae: patch: {patch} makes a network larger than the {target:,} parameters of the others")
    return Transformer(channels, out, patch=patch, width=width, depth=depth, hidden=hidden)


class Method(BaseMethod):
    """The transformer as a regressor, as large as the multitask model.

    Args:
        spec: modalities and network; the network only sets the number of parameters.
        patch: side of a patch in pixels.
    """

    backbone: Transformer

    def __init__(self, spec: Spec, *, patch: int = 4) -> None:
        super().__init__(spec)
        if patch < 1:
            raise UserError(f"mae: patch: {patch} is less than 1; give the side of a patch in pixels")
        channels, out = spec.modalities["masked_image"].shape[0], spec.modalities["image"].shape[0]
        with torch.device("meta"):
            target = parameters(MultitaskMethod(Spec(spec.modalities, spec.network)))
        self.backbone = as_large_as(target, channels, out, patch)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean squared error over the hidden pixels of the batch."""
        hidden = 1 - batch["masked_image"][:, -1:]
        error = (self.backbone(batch["masked_image"]) - batch["image"]) ** 2
        return {"loss": (hidden * error).sum() / (hidden.sum() * error.shape[1]).clamp(min=1)}

    @torch.no_grad()
    def predict(self, task: Task, given: Batch, count: int, sampling: Sampling, generator: Noise) -> Batch:
        """The answer in one pass, without noise."""
        return {"image": self.backbone(given["masked_image"]).clamp(-1, 1)}
