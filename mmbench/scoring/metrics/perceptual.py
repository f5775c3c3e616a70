"""LPIPS (Zhang et al. 2018) of images against one or several candidates, given the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

#: Smallest side of an image whose layers are all non-empty.
SMALLEST_SIDE = {"alex": 31, "vgg": 16}


def layer_maps(net: nn.Module, images: Tensor) -> list[Tensor]:
    """The trunk's layers for images (n, 3, h, w) in [-1, 1], each scaled to unit length over its channels."""
    maps = net.net(net.scaling_layer(images))  # type: ignore[operator]
    return [x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in maps]


def maps_distance(net: nn.Module, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """LPIPS (n,) of two lists of unit maps: squared differences, weighted over channels and averaged over pixels."""
    heads: Sequence[nn.Module] = net.lins  # type: ignore[assignment]
    terms = [head(torch.square(x - y)).mean(dim=(1, 2, 3)) for head, x, y in zip(heads, a, b, strict=True)]
    return torch.stack(terms).sum(dim=0)


@torch.inference_mode()
def lpips_to_each(net: nn.Module, truth: Tensor, candidates: Sequence[Tensor], batch_size: int = 50) -> list[Tensor]:
    """LPIPS of every candidate to the same images; the maps of `truth` are computed once.

    Args:
        net: an `lpips.LPIPS` in evaluation mode (see `mmbench.frozen.lpips.load_lpips`).
        truth: images (n, 3, h, w) in [-1, 1]; both sides at least `SMALLEST_SIDE`.
        candidates: sets of images of the same shape.
        batch_size: images that go through the trunk together.

    Returns:
        For each candidate its distances (n,), 0 for equal images.

    Raises:
        ValueError: shapes differ.
    """
    if any(candidate.shape != truth.shape for candidate in candidates):
        raise ValueError(f"shapes differ: {[tuple(c.shape) for c in candidates]} against {tuple(truth.shape)}")
    parts: list[list[Tensor]] = [[] for _ in candidates]
    for start in range(0, len(truth), batch_size):
        batch = slice(start, start + batch_size)
        maps = layer_maps(net, truth[batch])
        for values, candidate in zip(parts, candidates, strict=True):
            values.append(maps_distance(net, maps, layer_maps(net, candidate[batch])))
    return [torch.cat(values) for values in parts]


def lpips_of_stored(
    net: nn.Module, truth: np.ndarray, candidates: Sequence[np.ndarray], device: torch.device
) -> list[np.ndarray]:
    """`lpips_to_each` of stored images, uint8 (n, 3, h, w), with a network on `device`; float32 (n,) for each."""

    def prepared(images: np.ndarray) -> Tensor:
        colours = torch.from_numpy(images).to(device).float() / 127.5 - 1
        return colours.contiguous(memory_format=torch.channels_last)

    each = lpips_to_each(net, prepared(truth), [prepared(images) for images in candidates])
    return [distances.cpu().numpy() for distances in each]
