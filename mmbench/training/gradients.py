"""Gradients of a batch that is computed in parts, and whether the terms of a loss pull shared weights the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn


def mean_gradients(
    parameters: Sequence[nn.Parameter],
    own: Iterable[int],
    shards: int,
    compute: Callable[[int], dict[str, Tensor]],
    add_up: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Leave the mean gradient of all shards of a batch in `.grad` of the parameters; returns the mean terms.

    The gradient of a shard in which a parameter has none counts as zero. With one shard nothing is done to either.

    Args:
        parameters: all that are trained.
        own: the shards to work through here.
        shards: how many there are in all processes.
        compute: sets the gradients of one shard and returns its scalar terms.
        add_up: the sum of a vector over all processes.
    """
    if shards == 1:
        return compute(0)
    total: list[Tensor] = []
    for shard in own:
        for parameter in parameters:
            parameter.grad = None
        terms = compute(shard)
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        found.append(torch.stack([term.detach().float() for term in terms.values()]))
        if total:
            torch._foreach_add_(total, found)
        else:
            total = found
    mean = add_up(torch.cat([part.flatten() for part in total])) / shards
    *gradients, means = mean.split([part.numel() for part in total])
    for parameter, gradient, place in zip(parameters, gradients, total, strict=False):
        parameter.grad = place.copy_(gradient.view_as(place))  # in the parameter's memory order
    return dict(zip(terms, means, strict=True))


def term_gradients(terms: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, Tensor]:
    """The gradient of each term as a vector in double precision, zero for a term without a graph.

    Nothing is changed: the graph is kept and no gradient is stored. There are none of fewer than two terms.

    Args:
        terms: scalars; `loss`, which holds the others, does not count.
        parameters: those that the terms share.
    """
    shared = [p for p in parameters if p.requires_grad]
    others = {name: term for name, term in terms.items() if name != "loss"}
    if len(others) < 2 or not shared:
        return {}
    vectors = {}
    for name, term in others.items():
        found: Sequence[Tensor | None] = [None] * len(shared)
        if term.requires_grad:
            found = torch.autograd.grad(term, shared, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(found, shared, strict=True)]
        vectors[name] = torch.cat([part.flatten() for part in parts]).double()
    return vectors


def cosines(vectors: Mapping[str, Tensor]) -> dict[str, float]:
    """The cosine of each two vectors, -1 to 1, by `<name>,<name>`; those that are zero are left out."""
    units = {name: vector / length for name, vector in vectors.items() if (length := float(vector.norm()))}
    return {f"{a},{b}": round(float(units[a] @ units[b]), 4) for a, b in combinations(units, 2)}
