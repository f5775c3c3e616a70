"""The multimodal network: encoders into the shared diffusion space, the shared backbone, decoders of modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.method import Batch, Modality
from mmbench.modalities import kind_of
from mmbench.models.nets.unet import Features, PixelHead, UNet


@dataclass
class Known:
    """Modalities that condition the network: values, and which items have them (n,) as 0/1 floats."""

    values: Batch
    flags: dict[str, Tensor]


@dataclass
class Output:
    """The result of one evaluation: the raw prediction about z_0 (n, c, h, w), and a decoder's output per modality."""

    prediction: Tensor
    decoded: dict[str, Tensor]


class MultimodalDenoiser(nn.Module):
    """Maps z_t, t and the known modalities to a prediction about z_0 and a recovery of every modality.

    Args:
        target: the image whose clean version is z_0; its shape (c, h, w) is the shared diffusion space.
        aggregated: modalities whose encodings the forward process adds, in the order of omega's columns.
        conditions: modalities that may also enter as input channels or as a vector, with an availability flag.
        decoded: modalities that have a decoder of their own.
        network: keyword arguments of `UNet`.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        target: str,
        *,
        aggregated: Iterable[str],
        conditions: Iterable[str],
        decoded: Iterable[str],
        network: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.kinds = {name: kind_of(modality) for name, modality in modalities.items()}
        self.space = modalities[target].shape
        self.aggregated, self.conditions = list(aggregated), list(conditions)
        channels = self.space[0] + sum(self.kinds[name].channels for name in self.conditions)
        self.backbone = UNet(channels, **network)
        self.encoders = nn.ModuleDict({m: self.kinds[m].encoder(self.space) for m in self.aggregated})
        self.decoders = nn.ModuleDict({m: self.kinds[m].decoder(self.backbone, self.space) for m in decoded})
        self.head = PixelHead(self.backbone, self.space[0])
        flags = len(self.conditions) + len(self.aggregated)
        width = sum(self.kinds[name].width for name in self.conditions)
        self.vector = nn.Linear(flags + width, self.backbone.vector_width)

    def encode(self, values: Batch) -> list[Tensor]:
        """Encodings (n, c, h, w) of the aggregated modalities, in order."""
        return [self.encoders[name](values[name]) for name in self.aggregated]

    def features(self, z_t: Tensor, t: Tensor, known: Known, present: Mapping[str, Tensor]) -> Features:
        """Run the backbone; `present` has for each aggregated modality which items' z_t contain its encoding (n,)."""
        maps, vectors = [z_t], []
        for name in self.conditions:
            flag = known.flags[name]
            vectors.append(flag[:, None])
            value = self.kinds[name].enter(known.values[name])
            if self.kinds[name].channels:
                maps.append(value * flag[:, None, None, None])
            else:
                vectors.append(value * flag[:, None])
        vectors += [present[name][:, None] for name in self.aggregated]
        vector = self.vector(torch.cat(vectors, dim=1)) if vectors else None
        return self.backbone(torch.cat(maps, dim=1), t, vector)

    def forward(self, z_t: Tensor, t: Tensor, known: Known, present: Mapping[str, Tensor]) -> Output:
        """One evaluation at z_t (n, c, h, w) and steps t (n,)."""
        features = self.features(z_t, t, known, present)
        decoded = {name: self.kinds[name].decode(decoder, features) for name, decoder in self.decoders.items()}
        return Output(self.head(features.map), decoded)
