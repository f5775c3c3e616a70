"""The noise of predictions: each item has its own, whatever batch it is in."""

from __future__ import annotations

import pytest
import torch

from mmbench.method import Noise
from mmbench.models.diffusion.sampler import noise_like

pytestmark = pytest.mark.slow

SHAPE = (3, 8, 8)


def drawn(count: int, noise: Noise) -> list[torch.Tensor]:
    """What a sampler takes: noise to start from, of a step, and of another shape."""
    return [noise_like(torch.empty(count, *shape), noise) for shape in (SHAPE, SHAPE, (5,))]


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_it_is_the_same_to_the_bit_in_every_batch(size: int, draws: int) -> None:
    whole = drawn(7, Noise(5, draws=draws))
    parts = [drawn(min(size, 7 - first), Noise(5, first, draws)) for first in range(0, 7, size)]
    for all_at_once, in_parts in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(all_at_once, torch.cat(in_parts))


def test_a_draw_of_an_item_does_not_depend_on_how_many_there_are() -> None:
    one, three = (Noise(draws=draws).normal(2 * draws, *SHAPE).view(2, draws, *SHAPE) for draws in (1, 3))
    assert torch.equal(three[:, :1], one)


def test_seeds_items_and_draws_differ() -> None:
    noise = torch.cat([Noise(seed, draws=4).normal(40, 2) for seed in range(3)])
    assert len(noise.unique(dim=0)) == len(noise)


def test_it_is_standard_normal_and_independent_across_items() -> None:
    """Generators of neighbouring seeds: five standard errors."""
    z = Noise().normal(20_000, 4)
    assert z.mean(dim=0).abs().max() < 5 / 20_000**0.5
    assert (z.var(dim=0) - 1).abs().max() < 5 * (2 / 20_000) ** 0.5
    assert (z[1:] * z[:-1]).mean(dim=0).abs().max() < 5 / 20_000**0.5
    assert (z[:, 1:] * z[:, :-1]).mean(dim=0).abs().max() < 5 / 20_000**0.5


def test_what_was_drawn_before_is_not_drawn_again() -> None:
    noise = Noise()
    first, more = noise.normal(2, *SHAPE), noise.normal(3, *SHAPE)
    assert (first[0] != more[0]).all()
    assert torch.equal(more[2], Noise(first=2).normal(1, *SHAPE)[0])
