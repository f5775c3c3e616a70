"""Whether the terms of a loss pull shared weights the same way: the cosines of their gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import torch
from torch import Tensor, nn


def gradient_cosines(terms: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, float]:
    """The cosine of the gradients of each two terms, -1 to 1, by `<term>,<term>`.

    Terms without a graph are left out, and so are those whose gradient is zero. Nothing is changed: the graph is kept
    and no gradient is stored.

    Args:
        terms: scalars; `loss`, which holds the others, does not count.
        parameters: those that the terms share.
    """
    shared = [p for p in parameters if p.requires_grad]
    live = {name: term for name, term in terms.items() if name != "loss" and term.requires_grad}
    if len(live) < 2 or not shared:
        return {}
    vectors = {}
    for name, term in live.items():
        found = torch.autograd.grad(term, shared, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(found, shared, strict=True)]
        vector = torch.cat([part.flatten() for part in parts]).double()
        if length := float(vector.norm()):
            vectors[name] = vector / length
    return {f"{a},{b}": round(float(vectors[a] @ vectors[b]), 4) for a, b in combinations(vectors, 2)}
