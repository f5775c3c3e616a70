"""What a denoiser predicts about z_0, how z_0 follows from it, and how much an error in it weighs."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

Prediction = Literal["eps", "v", "z0"]


def training_target(prediction: Prediction, z0: Tensor, eps: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """What the network should predict for a known z_0 and eps."""
    return {"z0": z0, "v": signal * eps - noise * z0, "eps": eps}[prediction]


def to_z0(output: Tensor, prediction: Prediction, y_t: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """z_0 from a network's output at y_t, which is z_t minus its drift: y_t = signal z_0 + noise eps.

    With `v = signal eps - noise z_0` (Salimans and Ho 2022) an error in the drift stays bounded: it enters z_0
    multiplied by `signal`; with eps it enters divided by `signal`.
    """
    if prediction == "z0":
        return output
    if prediction == "v":
        return signal * y_t - noise * output
    if prediction == "eps":
        return (y_t - noise * output) / signal
    raise ValueError(f"prediction '{prediction}' is not one of {get_args(Prediction)}")


def snr_weight(prediction: Prediction, signal: Tensor, noise: Tensor, bound: float) -> Tensor:
    """Weight of the squared error so that an error in z_0 counts min(SNR + 1, bound), or min(SNR, bound) for eps.

    With a large bound this is the plain loss on v and on eps. With a small one, the steps of little noise, which a
    small network cannot predict well, do not dominate the loss (Hang et al. 2023, Min-SNR).
    """
    if prediction == "eps":
        return (bound * (noise / signal) ** 2).clamp(max=1)
    weight = (1 / noise**2).clamp(max=bound)
    return weight * noise**2 if prediction == "v" else weight
