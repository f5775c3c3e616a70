"""The U-Net against diffusers', whose weights it has under the same names: equal to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmbench.models.nets.blocks import time_features
from mmbench.models.nets.unet import Features, PixelHead, UNet, VectorReader

CONFIGS: list[dict[str, Any]] = [
    {"width": 8, "channel_mult": (1,), "attention": True},
    {"width": 8, "channel_mult": (1, 2), "patch": 2},
    {"width": 24, "channel_mult": (1, 2, 4), "layers": 2},
    {"width": 40, "channel_mult": (1, 2), "attention": True},  # 80 channels in heads of 32
    {"width": 16, "channel_mult": (1, 2, 3), "layers": 2, "attention": True, "patch": 2},
]


class Theirs(UNet):
    """Our stem around diffusers' network."""

    def __init__(
        self,
        in_channels: int,
        *,
        width: int,
        channel_mult: tuple[int, ...],
        layers: int = 1,
        patch: int = 1,
        attention: bool = False,
    ) -> None:
        state = torch.get_rng_state()
        super().__init__(in_channels, width=width, channel_mult=channel_mult, patch=patch)
        torch.set_rng_state(state)
        plain, inner = len(channel_mult) - 1, "Attn" if attention else ""
        net = UNet2DModel(
            in_channels=in_channels * patch**2,
            out_channels=width,
            block_out_channels=tuple(width * m for m in channel_mult),
            down_block_types=("DownBlock2D",) * plain + (f"{inner}DownBlock2D",),
            up_block_types=(f"{inner}UpBlock2D",) + ("UpBlock2D",) * plain,
            layers_per_block=layers,
            norm_num_groups=8,
            attention_head_dim=min(32, width),
            class_embed_type="identity",
        )
        net.conv_out = nn.Identity()  # heads read the normalised features
        innermost: list[Tensor] = []
        net.mid_block.register_forward_hook(lambda _module, _inputs, output: innermost.append(output))
        self.net = net  # type: ignore[assignment]
        forward = net.forward
        net.forward = lambda x, t, vector: (forward(x, t, vector, return_dict=False)[0], innermost.pop())


class Whole(nn.Module):
    """A backbone of random weights from a seed, and behind it what draws its own from the same generator."""

    def __init__(self, backbone: type[UNet], config: dict[str, Any]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone = backbone(3, **config)
        self.image, self.vector = PixelHead(self.backbone, 3), VectorReader(self.backbone, 5)

    def forward(self, x: Tensor, t: Tensor, vector: Tensor | None) -> tuple[Features, Tensor, Tensor]:
        """The features, and what the two heads make of them."""
        features = self.backbone(x, t, vector)
        return features, self.image(features.map) + features.map.square().mean(), self.vector(features)


def items(count: int, config: dict[str, Any], side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Images, steps and conditioning."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, side, side + 8, generator=generator)
    vector = torch.randn(count, 4 * config["width"], generator=generator)
    return x, torch.randint(1001, (count,), generator=generator), vector


def numbers(whole: Whole, x: Tensor, t: Tensor, vector: Tensor | None, precision: str = "fp32") -> dict[str, Tensor]:
    """All that comes out of it, forward and backward, and the floating-point operations."""
    inputs = {"x": x.clone().requires_grad_()} | ({} if vector is None else {"given": vector.clone().requires_grad_()})
    with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        features, image, said = whole(inputs["x"], t, inputs.get("given"))
        (image.float().square().mean() + said.float().square().mean()).backward()
    out = {"map": features.map, "pooled": features.pooled, "image": image, "vector": said}
    gradients = {name: p.grad for name, p in [*inputs.items(), *whole.named_parameters()] if p.grad is not None}
    whole.zero_grad()
    flops = torch.tensor(counter.get_total_flops())
    return {name: value.detach().float() for name, value in out.items()} | gradients | {"flops": flops}


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_it_is_the_network_of_diffusers(config: dict[str, Any]) -> None:
    """Names, order, first weights, what is drawn after it, outputs, gradients and operations."""
    ours, theirs = Whole(UNet, config), Whole(Theirs, config)
    state, other = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(other) and all(torch.equal(state[name], other[name]) for name in state)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    x, t, vector = items(2, config)
    for training, given in ((True, vector), (False, vector), (True, None)):
        ours.train(training), theirs.train(training)
        same(numbers(ours, x, t, given), numbers(theirs, x, t, given))


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Equal to the bit, and of something."""
    assert list(ours) == list(theirs) and ours["flops"] > 1e6 and ours["map"].std() > 0.1
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), [
        n for n in ours if (ours[n] != theirs[n]).any()
    ]


def test_a_large_batch_is_the_same() -> None:
    """Of 64 and more, diffusers lays maps in memory in another way."""
    config = {"width": 8, "channel_mult": (1, 2), "attention": True}
    x, t, vector = items(64, config, side=8)
    same(numbers(Whole(UNet, config), x, t, vector), numbers(Whole(Theirs, config), x, t, vector))


def test_without_attention_bfloat16_is_the_same_and_with_it_nearer_to_single_precision() -> None:
    """The middle has attention, whose product stays in single precision on a CPU: that is all that differs."""
    config = {"width": 16, "channel_mult": (1, 2)}
    x, t, vector = items(2, config)
    ours, theirs = Whole(UNet, config), Whole(Theirs, config)
    exact = numbers(theirs, x, t, vector)

    def distance(whole: Whole) -> float:
        found = numbers(whole, x, t, vector, "bf16")
        return float(torch.cat([(found[n] - exact[n]).flatten() for n in found]).norm())

    assert 0 < distance(ours) <= 1.1 * distance(theirs)
    for whole in (ours, theirs):
        whole.backbone.net.mid_block.attentions = nn.ModuleList([Untouched()])
    same(numbers(ours, x, t, vector, "bf16"), numbers(theirs, x, t, vector, "bf16"))


class Untouched(nn.Module):
    """In place of attention."""

    def forward(self, x: Tensor, temb: Tensor | None = None) -> Tensor:
        """The same."""
        return x


def test_features_of_time_are_those_of_diffusers() -> None:
    t = torch.tensor([0, 1, 999, 1000])
    theirs = get_timestep_embedding(t, 24, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.equal(time_features(t, 24), theirs)
