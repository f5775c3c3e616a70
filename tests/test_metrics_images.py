"""LPIPS, PSNR, L1 and SSIM: against published values, other implementations, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.image.lpips import _LPIPS

from mmbench.frozen.lpips import load_lpips
from mmbench.scoring.metrics.perceptual import SMALLEST_SIDE, lpips_to_each
from mmbench.scoring.metrics.pixel import PSNR_CEILING, SSIM_CHUNK, l1_hole, psnr_hole, ssim

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "lpips-samples"


def pictures(n: int, side: int, seed: int, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Smooth images in [0, 1] and noisy copies."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return truth, (truth + noise * torch.randn(truth.shape, generator=generator)).clamp(0, 1)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the sample images of PerceptualSimilarity are not in {SAMPLES}")
@pytest.mark.parametrize("net, expected", [("alex", (0.72188, 0.13757)), ("vgg", (0.56861, 0.42166))])
def test_lpips_of_the_published_samples(lpips_weights: Path, net, expected) -> None:
    def read(name: str) -> Tensor:
        pixels = np.array(Image.open(SAMPLES / f"{name}.png").convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1

    module = load_lpips(net, lpips_weights)
    found = lpips_to_each(module, read("ex_ref"), [read("ex_p0"), read("ex_p1")])
    assert [float(value) for value in found] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_that_of_the_package_and_of_torchmetrics(lpips_weights: Path, net) -> None:
    module = load_lpips(net, lpips_weights)
    truth, noisy = pictures(3, 40, 0)
    other = pictures(3, 40, 0, noise=0.01)[1]
    candidates = [2 * other - 1, 2 * noisy - 1]
    found = lpips_to_each(module, 2 * truth - 1, candidates, batch_size=2)
    theirs = _LPIPS(pretrained=False, net=net, pnet_rand=True).eval()
    state = {name: value for name, value in module.state_dict().items() if not name.startswith("scaling_layer.")}
    theirs.load_state_dict(state, strict=True)
    with torch.inference_mode():
        for values, candidate in zip(found, candidates, strict=True):
            torch.testing.assert_close(values, module(2 * truth - 1, candidate).flatten(), atol=1e-6, rtol=0)
            torch.testing.assert_close(values, theirs(2 * truth - 1, candidate).flatten(), atol=1e-5, rtol=0)
    assert (found[0] < found[1]).all()


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_of_equal_images_and_of_the_smallest(lpips_weights: Path, net) -> None:
    module = load_lpips(net, lpips_weights)
    side = SMALLEST_SIDE[net]
    truth, noisy = pictures(2, side, 0)
    same, different = lpips_to_each(module, truth, [truth, noisy])
    assert (same == 0).all() and (different > 0).all() and torch.isfinite(different).all()
    small = pictures(2, side - 1, 0)[0]
    with pytest.raises(RuntimeError):
        lpips_to_each(module, small, [small])
    with pytest.raises(ValueError, match="shapes differ"):
        lpips_to_each(module, truth, [small])


def test_ssim_is_that_of_skimage_and_torchmetrics() -> None:
    for seed, noise in ((0, 0.02), (1, 0.1), (2, 0.5)):
        truth, noisy = pictures(3, 32, seed, noise)
        found = ssim(noisy, truth)
        theirs = [
            structural_similarity(
                t.numpy().astype(np.float64),
                x.numpy().astype(np.float64),
                channel_axis=0,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for t, x in zip(truth, noisy, strict=True)
        ]
        assert found.tolist() == pytest.approx(theirs, abs=1e-6)
        # torchmetrics reflects the image at its border instead of leaving the border out
        wide = [torch.nn.functional.pad(x, (5, 5, 5, 5), mode="reflect") for x in (noisy, truth)]
        others = structural_similarity_index_measure(noisy, truth, data_range=1.0, reduction="none")
        assert ssim(*wide).tolist() == pytest.approx(others.tolist(), abs=1e-4)
    assert ssim(truth, truth).tolist() == pytest.approx([1, 1, 1], abs=1e-12)
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(truth[..., :10], truth[..., :10])


def test_ssim_of_many_images_is_that_of_each() -> None:
    truth, noisy = pictures(50, 32, 0, 0.1)
    each = [ssim(x[None], t[None]) for t, x in zip(truth, noisy, strict=True)]
    assert len(truth) * truth[0].numel() > 2 * SSIM_CHUNK
    torch.testing.assert_close(ssim(noisy, truth), torch.cat(each), rtol=1e-12, atol=0)


def test_psnr_in_the_whole_image_is_that_of_skimage_and_torchmetrics() -> None:
    truth, noisy = pictures(4, 24, 0)
    found = psnr_hole(noisy, truth, torch.ones(4, 1, 24, 24))
    theirs = [peak_signal_noise_ratio(t.numpy(), x.numpy(), data_range=1.0) for t, x in zip(truth, noisy, strict=True)]
    assert found.tolist() == pytest.approx(theirs, rel=1e-5)
    others = torchmetrics_psnr(noisy, truth, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert found.tolist() == pytest.approx(others.tolist(), rel=1e-5)


def test_hole_metrics_by_hand() -> None:
    truth = torch.zeros(2, 3, 4, 4)
    image = torch.ones(2, 3, 4, 4)  # wrong everywhere outside the hole, which must not count
    hole = torch.zeros(2, 1, 4, 4)
    hole[0, :, :2], hole[1, :, 3, 3] = 1, 1
    image[0, :, 0], image[0, :, 1] = 0.1, 0.3
    image[1, :, 3, 3] = torch.tensor([0.0, 0.1, 0.2])
    assert l1_hole(image, truth, hole).tolist() == pytest.approx([0.2, 0.1], rel=1e-6)
    expected = [-10 * np.log10((0.01 + 0.09) / 2), -10 * np.log10((0.01 + 0.04) / 3)]
    assert psnr_hole(image, truth, hole.bool()).tolist() == pytest.approx(expected, rel=1e-6)
    assert psnr_hole(truth, truth, hole).tolist() == [PSNR_CEILING, PSNR_CEILING]
    with pytest.raises(ValueError, match="image 1 is empty"):
        l1_hole(image, truth, hole * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
