"""Adam (Kingma and Ba 2015, algorithm 1), with all parameters in one fused operation.

The result is equal to the bit to that of `torch.optim.AdamW(fused=True)` without weight decay. An optimiser of
torch.optim imports torch's compiler, which takes nearly as long as importing torch, in every training run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Adam:
    """The optimiser of some parameters.

    Attributes:
        state: the state by index of the parameter: `step` (), the number of its updates, and `exp_avg` and
            `exp_avg_sq`, the averages of its gradient and of the squared gradient, in the parameter's shape and memory
            format. A parameter that never had a gradient has no state.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.parameters, self.betas = parameters, betas
        self.state: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update every parameter that has a gradient g.

        m = beta_1 m + (1 - beta_1) g and v = beta_2 v + (1 - beta_2) g^2; then the parameter decreases by
        learning_rate m' / (sqrt(v') + 1e-8) with m' = m / (1 - beta_1^step) and v' = v / (1 - beta_2^step).
        """
        active = {i: p for i, p in enumerate(self.parameters) if p.grad is not None}
        if not active:
            return
        for i, p in active.items():
            if i not in self.state:
                step = torch.zeros((), device=p.device)
                self.state[i] = {"step": step, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        steps, means, squares = ([self.state[i][k] for i in active] for k in ("step", "exp_avg", "exp_avg_sq"))
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            list(active.values()),
            [p.grad for p in active.values() if p.grad is not None],
            means,
            squares,
            [],
            steps,
            lr=learning_rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for parameter in self.parameters:
            parameter.grad = None
