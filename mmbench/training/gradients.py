"""The terms of a loss and their gradients: summed over the shards of a batch, and compared with each other."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.errors import UserError
from mmbench.method import Method


def check_terms(terms: Any, method: Method) -> None:
    """Check that a method's `loss` returns named scalars, and that the one named `loss` can be minimised.

    Raises:
        UserError: they are not, or it cannot.
    """
    if problem := _problem(terms):
        raise UserError(f"{inspect.getfile(type(method))}: loss: {problem}")
    if not terms["loss"].requires_grad and type(method).backward is Method.backward:
        raise UserError(
            f"{inspect.getfile(type(method))}: loss: the term 'loss' does not depend on the parameters; compute it "
            "without detach or no_grad"
        )


def _problem(terms: Any) -> str | None:
    """The fault in the terms of a loss, and the correct form."""
    if not isinstance(terms, Mapping):
        return f"returns a {type(terms).__name__}; return a dict of scalar tensors, one of them named 'loss'"
    if "loss" not in terms:
        return f"returns no term 'loss', only {', '.join(map(str, terms)) or 'nothing'}; add the one to be minimised"
    for name, term in terms.items():
        if not isinstance(term, Tensor):
            return f"the term '{name}' is a {type(term).__name__}; return a scalar tensor"
        if term.dim() or not term.is_floating_point():
            return f"the term '{name}' is {term.dtype} {tuple(term.shape)}; return a floating-point scalar"
    return None


def add_gradients(total: list[Tensor], parameters: Sequence[nn.Parameter], terms: Mapping[str, Tensor]) -> list[Tensor]:
    """Move the gradients of a shard out of the parameters, and add them and its terms to those of other shards.

    Args:
        total: the sum over previous shards, empty for the first; it is changed.
        parameters: all trained parameters; a missing gradient counts as zero.
        terms: the scalar terms of this shard.

    Returns:
        The gradient of each parameter, in its memory format, and last the terms, float (terms,).
    """
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    parts.append(torch.stack([term.detach().float() for term in terms.values()]))
    for parameter in parameters:
        parameter.grad = None
    if not total:
        return parts
    torch._foreach_add_(total, parts)
    return total


def flatten(tensors: Iterable[Tensor]) -> Tensor:
    """All values of some tensors as one vector."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def set_gradients(parameters: Sequence[nn.Parameter], total: Sequence[Tensor], mean: Tensor) -> Tensor:
    """Put the gradients of a vector into `.grad` of the parameters, each in its memory format; returns the terms.

    Args:
        parameters: all trained parameters.
        total: the result of `add_gradients`; it is overwritten.
        mean: the mean over shards of the values that `flatten` makes of `total`.
    """
    for part, values in zip(total, mean.split([part.numel() for part in total]), strict=True):
        part.copy_(values.view_as(part))
    for parameter, gradient in zip(parameters, total, strict=False):
        parameter.grad = gradient
    return total[-1]


def term_gradients(terms: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, Tensor]:
    """The gradient of each term as a vector in double precision, zero for a term without a graph.

    Nothing is changed: the graph is kept and no gradient is stored. With fewer than two terms the result is empty.

    Args:
        terms: scalars; `loss`, which includes the others, does not count.
        parameters: the parameters that the terms share.
    """
    shared = [p for p in parameters if p.requires_grad]
    parts = {name: term for name, term in terms.items() if name != "loss"}
    if len(parts) < 2 or not shared:
        return {}
    vectors = {}
    for name, term in parts.items():
        gradients: Sequence[Tensor | None] = [None] * len(shared)
        if term.requires_grad:
            gradients = torch.autograd.grad(term, shared, retain_graph=True, allow_unused=True)
        vectors[name] = flatten(
            torch.zeros_like(p) if g is None else g for g, p in zip(gradients, shared, strict=True)
        ).double()
    return vectors


def add_vectors(total: dict[str, Tensor], vectors: Mapping[str, Tensor]) -> None:
    """Add each vector to the one of the same name in `total`."""
    for name, vector in vectors.items():
        total[name] = total[name] + vector if name in total else vector


def cosines(vectors: Mapping[str, Tensor]) -> dict[str, float]:
    """The cosine of every two vectors, -1 to 1, by `<name>,<name>`; zero vectors are left out."""
    units = {name: vector / length for name, vector in vectors.items() if (length := float(vector.norm()))}
    return {f"{a},{b}": round(float(units[a] @ units[b]), 4) for a, b in combinations(units, 2)}
