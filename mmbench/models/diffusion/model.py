"""Encoders into the shared diffusion space, the shared backbone, and a decoder for every modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmbench.method import Batch, Modality
from mmbench.models.nets.unet import Features, PixelHead, UNet


class ImageEncoder(nn.Module):
    """Identity on the colour channels: images, and masked images whose hidden pixels are 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(n, c or c + 1, h, w) to (n, c, h, w)."""
        return x[:, : self.channels]


class ClassMapEncoder(nn.Module):
    """A class map as an image: every class is a learned colour, a pixel to ignore is 0.

    Class probabilities (n, classes, h, w) are accepted too and give the expected colour.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.classes = classes
        self.colours = nn.Parameter(torch.rand(classes, channels) * 2 - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w) classes or (n, classes, h, w) probabilities to (n, c, h, w)."""
        weights = x if x.is_floating_point() else one_hot_map(x, self.classes)
        return torch.einsum("nkhw,kc->nchw", weights, self.colours)


class VectorEncoder(nn.Module):
    """A label or an embedding as a smooth image: a linear map to a 4x4 image that is enlarged."""

    def __init__(self, modality: Modality, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.modality, self.shape = modality, shape
        self.linear = nn.Linear(vector_width(modality), shape[0] * 16)

    def forward(self, x: Tensor) -> Tensor:
        """(n,) labels, (n, classes) probabilities or (n, d) embeddings to (n, c, h, w) in [-1, 1]."""
        small = self.linear(as_vector(x, self.modality)).tanh().view(-1, self.shape[0], 4, 4)
        return F.interpolate(small, size=self.shape[1:], mode="bilinear")


class VectorHead(nn.Module):
    """Pooled features to class logits or an embedding (n, d)."""

    def __init__(self, backbone: UNet, out: int) -> None:
        super().__init__()
        width = backbone.pooled_width
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, out))

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, pooled_width) to (n, out)."""
        return self.mlp(pooled)


def one_hot_map(x: Tensor, classes: int) -> Tensor:
    """Class map (n, h, w) to float (n, classes, h, w); an ignored pixel (class 255) is all zero."""
    hot = F.one_hot(x.clamp(max=classes), classes + 1)[..., :classes]
    return hot.movedim(-1, 1).float()


def vector_width(modality: Modality) -> int:
    """Length of a label's one-hot vector or of an embedding."""
    return modality.classes if modality.kind == "label" else modality.shape[0]


def as_vector(x: Tensor, modality: Modality) -> Tensor:
    """Labels (n,) to one-hot (n, classes); probabilities and embeddings as they are."""
    return x if x.is_floating_point() else F.one_hot(x, modality.classes).float()


def map_channels(modality: Modality) -> int:
    """Channels of a modality as an image-shaped input; 0 for a label or an embedding, which enter as vectors."""
    if modality.kind == "mask":
        return modality.classes
    return modality.shape[0] if modality.kind in ("image", "masked_image") else 0


def make_encoder(modality: Modality, space: tuple[int, ...]) -> nn.Module:
    """The encoder of a modality into a diffusion space of shape (c, h, w)."""
    if modality.kind in ("image", "masked_image"):
        return ImageEncoder(space[0])
    if modality.kind == "mask":
        return ClassMapEncoder(modality.classes, space[0])
    return VectorEncoder(modality, space)


def make_decoder(modality: Modality, backbone: UNet, space: tuple[int, ...]) -> nn.Module:
    """The head that recovers a modality: an image's colours, a class map's logits, class logits, an embedding."""
    if modality.kind in ("image", "masked_image"):
        return PixelHead(backbone, space[0])
    if modality.kind == "mask":
        return PixelHead(backbone, modality.classes)
    return VectorHead(backbone, vector_width(modality))


@dataclass
class Known:
    """Modalities that condition the network: values, and which items have them (n,) as 0/1 floats."""

    values: Batch
    flags: dict[str, Tensor]


@dataclass
class Output:
    """What one evaluation gives: the raw prediction about z_0 (n, c, h, w), and a decoder's output per modality."""

    prediction: Tensor
    decoded: dict[str, Tensor]


class MultimodalDenoiser(nn.Module):
    """z_t, t and whatever is known to a prediction about z_0 and a recovery of every modality.

    Args:
        modalities: every modality of the experiment.
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
        self.modalities = dict(modalities)
        self.space = self.modalities[target].shape
        self.aggregated, self.conditions = list(aggregated), list(conditions)
        channels = self.space[0] + sum(map_channels(self.modalities[name]) for name in self.conditions)
        self.backbone = UNet(channels, **network)
        self.encoders = nn.ModuleDict({m: make_encoder(self.modalities[m], self.space) for m in self.aggregated})
        self.decoders = nn.ModuleDict({m: make_decoder(self.modalities[m], self.backbone, self.space) for m in decoded})
        self.head = PixelHead(self.backbone, self.space[0])
        vectors = [self.modalities[m] for m in self.conditions if not map_channels(self.modalities[m])]
        flags = len(self.conditions) + len(self.aggregated)
        self.vector = nn.Linear(flags + sum(map(vector_width, vectors)), self.backbone.vector_width)

    def encode(self, values: Batch) -> list[Tensor]:
        """Encodings (n, c, h, w) of the aggregated modalities, in order."""
        return [self.encoders[name](values[name]) for name in self.aggregated]

    def features(self, z_t: Tensor, t: Tensor, known: Known, present: Mapping[str, Tensor]) -> Features:
        """Run the backbone; `present` says per aggregated modality which items' z_t contain its encoding (n,)."""
        maps, vectors = [z_t], []
        for name in self.conditions:
            modality, flag = self.modalities[name], known.flags[name]
            vectors.append(flag[:, None])
            value = known.values[name]
            if modality.kind == "mask":
                value = one_hot_map(value, modality.classes)
            elif modality.kind in ("label", "embedding"):
                vectors.append(as_vector(value, modality) * flag[:, None])
                continue
            maps.append(value * flag[:, None, None, None])
        vectors += [present[name][:, None] for name in self.aggregated]
        vector = self.vector(torch.cat(vectors, dim=1)) if vectors else None
        return self.backbone(torch.cat(maps, dim=1), t, vector)

    def forward(self, z_t: Tensor, t: Tensor, known: Known, present: Mapping[str, Tensor]) -> Output:
        """One evaluation at z_t (n, c, h, w) and steps t (n,)."""
        features = self.features(z_t, t, known, present)
        decoded = {
            name: decoder(features.pooled if isinstance(decoder, VectorHead) else features.map)
            for name, decoder in self.decoders.items()
        }
        return Output(self.head(features.map), decoded)


def as_value(decoded: Tensor, modality: Modality) -> Tensor:
    """A decoder's output as a value: images clamped to [-1, 1], masks and labels as class probabilities."""
    if modality.kind in ("image", "masked_image"):
        return decoded.clamp(-1, 1)
    return decoded if modality.kind == "embedding" else decoded.softmax(dim=1)


def as_answer(decoded: Tensor, modality: Modality) -> Tensor:
    """A decoder's output as a method answers: like `as_value`, a mask as its likeliest classes, int64 (n, h, w)."""
    return decoded.argmax(dim=1) if modality.kind == "mask" else as_value(decoded, modality)


def given_answer(value: Tensor, modality: Modality) -> Tensor:
    """A given value as a method answers: a label (n,) as class probabilities, all on it; others as they are."""
    return as_vector(value, modality) if modality.kind == "label" else value
