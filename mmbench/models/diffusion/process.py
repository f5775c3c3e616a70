"""The forward process that aggregates every modality, in closed form.

Transition, with `a_t = alpha_bar_t / alpha_bar_{t-1}` (MT-Diffusion, arXiv:2407.17571):

    q(z_t | z_{t-1}, X) = N(sqrt(a_t) (z_{t-1} + sum_i w_t^i E_i(x_i)), (1 - a_t) I)

Marginal, where `omega_0 = 0` and `omega_t = sqrt(a_t) (omega_{t-1} + w_t)`:

    q(z_t | z_0, X) = N(sqrt(alpha_bar_t) z_0 + sum_i omega_t^i E_i(x_i), (1 - alpha_bar_t) I)

Without modalities, or with omega = 0, this is DDPM. All tables are indexed by t = 0..T and kept in float64 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Schedule = Literal["cosine", "linear"]
OmegaShape = Literal["zero", "bridge", "persist", "constant", "learned"]

STEPS = 1000


def alpha_bars(schedule: Schedule = "cosine", steps: int = STEPS) -> Tensor:
    """alpha_bar_0..T as float64 (T + 1,), from 1 down to almost 0.

    `cosine` is Nichol and Dhariwal 2021 (eq. 17, betas clipped at 0.999), `linear` is Ho et al. 2020 rescaled to T.
    """
    if schedule == "cosine":
        u = torch.arange(steps + 1, dtype=torch.float64) / steps
        f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    elif schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * (1000 / steps)
    else:
        raise ValueError(f"schedule '{schedule}' is not one of {get_args(Schedule)}")
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - betas, dim=0)])


def omega_from_w(w: Tensor, alpha_bar: Tensor) -> Tensor:
    """omega (T + 1, n) of per-step weights w (T + 1, n), whose row 0 is ignored."""
    root = torch.sqrt(alpha_bar[1:] / alpha_bar[:-1])
    omega = [torch.zeros_like(w[0])]
    for t in range(1, len(w)):
        omega.append(root[t - 1] * (omega[-1] + w[t]))
    return torch.stack(omega)


def w_from_omega(omega: Tensor, alpha_bar: Tensor) -> Tensor:
    """Per-step weights w (T + 1, n) whose marginal coefficients are omega (T + 1, n); w_0 = 0."""
    root = torch.sqrt(alpha_bar[1:] / alpha_bar[:-1])[:, None]
    return torch.cat([torch.zeros_like(omega[:1]), omega[1:] / root - omega[:-1]])


class Omega(nn.Module):
    """How strongly each modality's encoding is present in z_t.

    With s = sqrt(alpha_bar): `zero` is plain DDPM; `bridge` is `4 scale s (1 - s)`, zero at both ends; `persist` is
    `scale sqrt(1 - alpha_bar)`; `constant` has the same w at every step and a largest omega of `scale`; `learned`
    starts as `bridge` and learns its height and both exponents per modality. `scale` is one for all modalities, or one
    for each.
    """

    def __init__(self, shape: OmegaShape, scale: float | Sequence[float], modalities: int, alpha_bar: Tensor) -> None:
        super().__init__()
        if shape not in get_args(OmegaShape):
            raise ValueError(f"omega '{shape}' is not one of {get_args(OmegaShape)}")
        self.shape = shape
        self._s = alpha_bar.sqrt()[:, None]
        scales = [scale] * modalities if isinstance(scale, int | float) else list(scale)
        if shape == "learned":
            inverse_softplus = math.log(math.expm1(1.0))
            self.exponents = nn.Parameter(torch.full((2, modalities), inverse_softplus))
            self.height = nn.Parameter(torch.tensor([math.log(math.expm1(height)) for height in scales]))
        else:
            curves = [self._curve(shape, height, alpha_bar) for height in scales]
            self._fixed = torch.stack(curves, dim=1) if curves else alpha_bar.new_zeros(len(alpha_bar), 0)

    @staticmethod
    def _curve(shape: OmegaShape, scale: float, alpha_bar: Tensor) -> Tensor:
        s = alpha_bar.sqrt()
        if shape == "zero":
            return torch.zeros_like(s)
        if shape == "bridge":
            return 4 * scale * s * (1 - s)
        if shape == "persist":
            return scale * (1 - alpha_bar).sqrt()
        omega = omega_from_w(torch.ones(len(s), 1, dtype=s.dtype), alpha_bar)[:, 0]
        return scale * omega / omega.max()

    def forward(self) -> Tensor:
        """The curves as float64 (T + 1, modalities); differentiable when learned."""
        if self.shape != "learned":
            return self._fixed
        s = self._s[1:].clamp(1e-6, 1 - 1e-6)
        p, q = F.softplus(self.exponents.double().cpu())
        curve = 4 * F.softplus(self.height.double().cpu()) * (1 - s) ** p * s**q
        return torch.cat([torch.zeros_like(curve[:1]), curve])


class Process(nn.Module):
    """The forward process of some number of modalities around z_0."""

    def __init__(
        self,
        modalities: int = 0,
        *,
        schedule: Schedule = "cosine",
        omega: OmegaShape = "zero",
        scale: float | Sequence[float] = 0.0,
        steps: int = STEPS,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.alpha_bar = alpha_bars(schedule, steps)
        self.omega = Omega(omega, scale, modalities, self.alpha_bar)

    def coefficients(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t), shaped (n, 1, 1, 1) as `like`, for steps t (n,)."""
        alpha_bar = self.alpha_bar[t.cpu()].reshape(-1, *[1] * (like.dim() - 1))
        return alpha_bar.sqrt().to(like), (1 - alpha_bar).sqrt().to(like)

    def step_of(self, alpha_bar: Tensor) -> Tensor:
        """The step (n,) of 1..T whose alpha_bar is nearest to each of `alpha_bar` (n,), 0 to 1."""
        gaps = (self.alpha_bar[1:, None] - alpha_bar.detach().cpu().double()).abs()
        return 1 + gaps.argmin(dim=0)

    def drift(self, encodings: Sequence[Tensor], t: Tensor, table: Tensor | None = None) -> Tensor | float:
        """sum_i omega_t^i E_i for encodings (n, c, h, w) at steps t (n,); 0.0 without modalities.

        Args:
            table: another (T + 1, modalities) table than omega, e.g. w.
        """
        rows = (self.omega() if table is None else table)[t.cpu()]
        total: Tensor | float = 0.0
        for i, encoding in enumerate(encodings):
            total = total + rows[:, i].reshape(-1, *[1] * (encoding.dim() - 1)).to(encoding) * encoding
        return total

    def marginal(self, z0: Tensor, encodings: Sequence[Tensor], t: Tensor, eps: Tensor) -> Tensor:
        """z_t of z_0 (n, c, h, w), its encodings and the noise eps."""
        signal, noise = self.coefficients(t, z0)
        return signal * z0 + self.drift(encodings, t) + noise * eps

    def step(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a_t, alpha_bar_t and the variance of q(z_{t-1} | z_t, z_0, X), each (n, 1, 1, 1) as `like`.

        variance = (1 - a_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), for steps t (n,) from 1.
        """
        now, before = (self.alpha_bar[i.cpu()].reshape(-1, *[1] * (like.dim() - 1)).to(like) for i in (t, t - 1))
        a = now / before
        return a, now, (1 - a) * (1 - before) / (1 - now)

    def posterior(self, z_t: Tensor, eps: Tensor, encodings: Sequence[Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (n, c, h, w) and variance (n, 1, 1, 1) of q(z_{t-1} | z_t, z_0, X); t (n,) is at least 1.

        mean = (z_t - (1 - a_t) / sqrt(1 - alpha_bar_t) eps) / sqrt(a_t) - sum_i w_t^i E_i(x_i)
        """
        a, alpha_bar, variance = self.step(t, z_t)
        mean = (z_t - (1 - a) / (1 - alpha_bar).sqrt() * eps) / a.sqrt()
        return mean - self.drift(encodings, t, w_from_omega(self.omega(), self.alpha_bar)), variance
