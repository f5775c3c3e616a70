"""The network of LPIPS (Zhang et al. 2018): convolutions of AlexNet or VGG16, and a linear head for five of their maps.

Layers have the names of the `lpips` package, in which `net.slice2.3` is number 3 of torchvision's `features`, so its
weights fit, and its numbers are these to the bit (`tests/test_weights.py`). To import that package takes as long as to
import torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Literal

import torch
from torch import Tensor, nn

Net = Literal["alex", "vgg"]

#: Mean and standard deviation of each colour of ImageNet, of values from -1 to 1.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def alexnet() -> Iterator[list[nn.Module]]:
    """AlexNet's convolutions (Krizhevsky 2014), cut behind each ReLU."""
    yield [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True)]
    yield [nn.MaxPool2d(3, stride=2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True)]
    yield [nn.MaxPool2d(3, stride=2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)]
    yield [nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)]
    yield [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True)]


def vgg16() -> Iterator[list[nn.Module]]:
    """VGG16's convolutions (Simonyan and Zisserman 2015), cut behind the last ReLU of each of the five blocks."""
    width = 3
    for channels, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        block: list[nn.Module] = [] if width == 3 else [nn.MaxPool2d(2, stride=2)]
        for _ in range(layers):
            block += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU(inplace=True)]
            width = channels
        yield block


class Trunk(nn.Module):
    """Slices of a network one after another."""

    def __init__(self, slices: Iterable[Sequence[nn.Module]]) -> None:
        super().__init__()
        index = count()
        for number, layers in enumerate(slices, start=1):
            named = OrderedDict((str(next(index)), layer) for layer in layers)
            self.add_module(f"slice{number}", nn.Sequential(named))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scaled images (n, 3, h, w) to the map (n, channels, h', w') that each slice ends with."""
        maps = []
        for part in self.children():
            x = part(x)
            maps.append(x)
        return maps


class Scaling(nn.Module):
    """Images in [-1, 1] to what the trunks were trained with: mean 0 and standard deviation 1 over ImageNet."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("shift", SHIFT), ("scale", SCALE)):
            self.register_buffer(name, torch.tensor(values, device="cpu").view(1, 3, 1, 1))  # also where all is meta

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) to the same shape."""
        return (images - self.shift) / self.scale


class Head(nn.Module):
    """A weight for each channel of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """A map (n, channels, h, w) to (n, 1, h, w)."""
        return self.model(x)


class LPIPS(nn.Module):
    """Images to maps, and the heads that weigh differences of maps (`mmbench.scoring.metrics.perceptual`)."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.scaling_layer = Scaling()
        self.net = Trunk(alexnet() if net == "alex" else vgg16())
        channels = (64, 192, 384, 256, 256) if net == "alex" else (64, 128, 256, 512, 512)
        self.lin0, self.lin1, self.lin2, self.lin3, self.lin4 = map(Head, channels)

    @property
    def heads(self) -> tuple[Head, ...]:
        """One for each map."""
        return self.lin0, self.lin1, self.lin2, self.lin3, self.lin4

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (n, 3, h, w) in [-1, 1] to the five maps (n, channels, h', w') of the trunk."""
        return self.net(self.scaling_layer(images))
