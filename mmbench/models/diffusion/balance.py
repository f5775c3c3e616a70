"""How the losses of several tasks share one network: by fixed weights, by learned ones, or by their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmbench.errors import UserError

Balance = Literal["fixed", "uncertainty", "upgrad"]
GENERATE, RECOVER = "generate", "recover_"
#: Added to the diagonal of a Gramian of trace 1, as in TorchJD, so that a task of tiny gradient gets no huge weight.
RIDGE = 1e-4


def by_task(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The loss of each task: all terms of generation as one, and every recovery."""
    tasks = {name: term for name, term in terms.items() if name.startswith(RECOVER)}
    generation = [term for name, term in terms.items() if name != "loss" and name not in tasks]
    return {GENERATE: torch.stack(generation).sum(), **tasks} if generation else tasks


class Uncertainty(nn.Module):
    """Learned weights: `sum_i exp(-s_i) L_i + s_i`, with s_i the log variance of task i (Kendall et al. 2018).

    At the optimum `exp(s_i)` is the loss of task i, so all tasks weigh alike and fixed weights cancel out.
    """

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in tasks})

    def forward(self, tasks: Mapping[str, Tensor]) -> Tensor:
        """The loss to minimise, a scalar."""
        weighted = [torch.exp(-self.log_variance[name]) * loss for name, loss in tasks.items()]
        return torch.stack([*weighted, *(self.log_variance[name] for name in tasks)]).sum()


def upgrad_weighting(count: int) -> Callable[[Tensor], Tensor]:
    """TorchJD's UPGrad: weights (count,) of gradients with a Gramian (count, count); without conflict all are 1.

    Each gradient is projected onto the cone of directions that lower no loss's descent, and the projections are added
    (Quinton and Rey 2024, arXiv:2406.16232). The projection is solved by scipy's non-negative least squares;
    TorchJD's default solver needs a compiled package.

    Raises:
        UserError: TorchJD is not installed.
    """
    try:
        from scipy.optimize import nnls  # noqa: PLC0415 (slow to import, needed only here)
        from torchjd.aggregation import UPGradWeighting  # noqa: PLC0415 (optional)
        from torchjd.linalg import DualConeProjector  # noqa: PLC0415
    except ImportError:
        raise UserError(
            "mt_diffusion: balance: upgrad needs TorchJD, which is not installed: pip install 'mmbench[balance]'"
        ) from None

    class Projector(DualConeProjector):
        """min_v v' G v with v >= u, by v = u + s: the s >= 0 with which R s is nearest to -R u, where G = R' R."""

        def __call__(self, U: Tensor, G: Tensor) -> Tensor:
            scaled = (G / G.trace().clamp(min=torch.finfo(G.dtype).tiny)).double().cpu().numpy()
            root = np.linalg.cholesky(scaled + RIDGE * np.eye(len(scaled))).T
            projections = [u + nnls(root, -root @ u)[0] for u in U.double().cpu().numpy()]
            return torch.as_tensor(np.stack(projections)).to(U)

    weighting: Callable[[Tensor], Tensor] = UPGradWeighting(torch.ones(count, dtype=torch.float64), Projector())
    return weighting


def upgrad_backward(
    tasks: Mapping[str, Tensor], shared: Sequence[nn.Parameter], single: Sequence[nn.Parameter]
) -> None:
    """Set the gradients of parameters: UPGrad's for those that all tasks share, the plain sum for the others.

    It takes one backward pass for each task.

    Raises:
        UserError: TorchJD is not installed.
    """
    weighting = upgrad_weighting(len(tasks))
    parameters = [*shared, *single]
    rows = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in tasks.values()]
    flat = [torch.cat([_dense(g, p) for g, p in zip(row, shared, strict=False)]) for row in rows]
    jacobian = torch.stack(flat).double()
    weights = weighting(jacobian @ jacobian.T).tolist()
    for i, parameter in enumerate(parameters):
        gradients = [
            (weight if i < len(shared) else 1.0) * row[i]
            for weight, row in zip(weights, rows, strict=True)
            if row[i] is not None
        ]
        if gradients:  # in the parameter's memory order, which the fused optimiser relies on
            parameter.grad = torch.empty_like(parameter).copy_(torch.stack(gradients).sum(dim=0))


def _dense(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    """A gradient as a vector; zeros if there is none."""
    return torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()
