"""The common part of the diffusion baselines of labels: guidance by a classifier's gradient, and sampled labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmbench.method import Noise


def log_likelihood_gradient(logits: Callable[[Tensor], Tensor], x: Tensor, label: Tensor) -> Tensor:
    """Gradient (n, c, h, w) of each item's log p(label | x) with respect to x, even where gradients are disabled."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        picked = logits(at).log_softmax(dim=1).gather(1, label[:, None])
        return torch.autograd.grad(picked.sum(), at)[0]


def shares_of(label: Tensor, classes: int) -> Tensor:
    """Share (classes,) of each class among labels (n,)."""
    return torch.bincount(label, minlength=classes).float() / len(label)


def draw_labels(shares: Tensor, count: int, generator: Noise) -> Tensor:
    """Labels (count,) sampled with these shares (classes,), on their device."""
    drawn = [torch.multinomial(shares.cpu(), 1, generator=one) for one in generator.generators(count)]
    return torch.cat(drawn).to(shares.device)
