"""Metrics on pixels, one value per image. Images are float tensors (n, c, h, w) in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: PSNR in dB of two images that agree to within 1e-5 of full scale; equal images would have infinity.
PSNR_CEILING = 100.0

#: Side and standard deviation, in pixels, of the window of SSIM.
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5

#: Colours that SSIM compares at once: few enough for a processor's cache, else it is ten times slower.
SSIM_CHUNK = 2**16


def _hole_mean(values: Tensor, hole: Tensor) -> Tensor:
    """Mean (n,) of values (n, c, h, w) over channels and the pixels where hole (n, 1, h, w) is 1."""
    weight = hole.to(values).expand_as(values)
    count = weight.sum(dim=(1, 2, 3))
    if (count == 0).any():
        raise ValueError(f"the hole of image {int((count == 0).nonzero()[0])} is empty")
    return (values * weight).sum(dim=(1, 2, 3)) / count


def l1_hole(image: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute difference (n,) over the hidden pixels, in [0, 1].

    Args:
        image: (n, c, h, w) in [0, 1].
        hole: (n, 1, h, w), 1 where the pixel was hidden.

    Raises:
        ValueError: an image has no hidden pixel.
    """
    return _hole_mean((image - truth).abs(), hole)


def psnr_hole(image: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (n,) of hidden pixels in dB, peak 1, up to `PSNR_CEILING`; arguments as `l1_hole`."""
    error = _hole_mean((image - truth).square(), hole)
    return -10 * torch.log10(error.clamp(min=10 ** (-PSNR_CEILING / 10)))


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (n,) of whole images in [-1, 1] (Wang et al. 2004).

    Gaussian window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, population covariances, averaged over channels
    and over the pixels whose window lies inside the image.

    Args:
        image: (n, c, h, w) in [0, 1], both sides at least 11.

    Raises:
        ValueError: a side is shorter than the window.
    """
    if min(truth.shape[2:]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs images of at least {SSIM_WINDOW} pixels a side, not {tuple(truth.shape[2:])}")
    chunk = max(1, SSIM_CHUNK // truth.shape[1:].numel())
    return torch.cat([_ssim(x, y) for x, y in zip(image.split(chunk), truth.split(chunk), strict=True)])


def _ssim(image: Tensor, truth: Tensor) -> Tensor:
    x, y = image.double().flatten(0, 1)[:, None], truth.double().flatten(0, 1)[:, None]
    steps = torch.arange(SSIM_WINDOW, dtype=x.dtype, device=x.device) - SSIM_WINDOW // 2
    window = torch.softmax(-steps.square() / (2 * SSIM_SIGMA**2), dim=0)

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(z, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    local = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    local = local / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return local.mean(dim=(1, 2, 3)).view(len(truth), -1).mean(dim=1)
