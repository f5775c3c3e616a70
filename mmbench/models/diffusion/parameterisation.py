"""What a denoiser predicts about z_0, and what an error in it costs; the same for images and for vectors."""

from __future__ import annotations

from torch import Tensor, nn

from mmbench.models.diffusion import loss as losses
from mmbench.models.diffusion.model import Prediction, to_z0, training_target
from mmbench.models.diffusion.process import Process


class Parameterisation(nn.Module):
    """Loss and estimate of z_0 for a process, a kind of prediction and a bound of the loss's weight.

    Args:
        process: without modalities.
        prediction: what the network predicts about z_0.
        max_weight: bound of the weight of an error in z_0 (see `losses.snr_weight`).
    """

    def __init__(self, process: Process, prediction: Prediction, max_weight: float) -> None:
        super().__init__()
        self.process, self.prediction, self.max_weight = process, prediction, max_weight

    def error(self, output: Tensor, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Weighted squared error (n,) of a network's output at steps t (n,)."""
        signal, noise = self.process.coefficients(t, z0)
        target = training_target(self.prediction, z0, eps, signal, noise)
        weight = losses.snr_weight(self.prediction, signal, noise, self.max_weight).flatten()
        return weight * losses.simple(output, target)

    def estimate(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The estimate of z_0 from a network's output at z_t and steps t (n,)."""
        signal, noise = self.process.coefficients(t, z_t)
        return to_z0(output, self.prediction, z_t, signal, noise)
