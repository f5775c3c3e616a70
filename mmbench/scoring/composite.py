"""Scores of filled-in masked images: the known pixels are pasted into every answer, so only hidden ones differ."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from mmbench.errors import UserError
from mmbench.files.store import Arrays, sha256_arrays
from mmbench.frozen.lpips import Net, load_lpips
from mmbench.scoring.metrics.perceptual import SMALLEST_SIDE, lpips_of_stored
from mmbench.scoring.metrics.pixel import PSNR_CEILING, SSIM_WINDOW, l1_hole, psnr_hole, ssim
from mmbench.scoring.scores import Measure, Question, Scored, Tools

COMPOSITE = {"image": "prediction with the known pixels pasted"}


def score_composites(answers: Sequence[tuple[Question, np.ndarray]], tools: Tools, scored: Scored) -> None:
    """LPIPS, SSIM, and PSNR and L1 of hidden pixels, for images uint8 (n, 3, h, w) that fill in masked ones."""
    for group in same_truth(answers):
        score_pixels(group, tools, scored)
        score_lpips(group, tools, scored)


def paste(case: Question, image: np.ndarray) -> np.ndarray:
    """The composite, uint8 (n, 3, h, w): known pixels of the masked image, the prediction elsewhere."""
    masked = case.given["masked_image"]
    return np.where(masked[:, -1:] > 0, masked[:, :-1], image)


def same_truth(answers: Sequence[tuple[Question, np.ndarray]]) -> list[list[tuple[Question, np.ndarray]]]:
    """Answers, as composites, grouped by their true images, so that computations on the truth are shared."""
    groups: dict[str, list[tuple[Question, np.ndarray]]] = {}
    for case, image in answers:
        groups.setdefault(sha256_arrays({"image": case.truth["image"]}), []).append((case, paste(case, image)))
    return list(groups.values())


def score_pixels(group: list[tuple[Question, np.ndarray]], tools: Tools, scored: Scored) -> None:
    """PSNR and L1 of the hidden pixels and SSIM of the whole image, for composites of the same truth."""
    truth = to_float(group[0][0].truth["image"], tools) / 255
    for case, composite in group:
        hidden = torch.from_numpy(case.given["masked_image"][:, -1:] == 0).to(tools.device)
        if not hidden.any(dim=-1).any(dim=-1).all():
            raise UserError(f"case '{case.name}': an image has no hidden pixel; raise its share in `shares`")
        image = to_float(composite, tools) / 255
        hole = {**COMPOSITE, "region": "hidden pixels", "scale": "[0, 1]"}
        psnr = psnr_hole(image, truth, hidden)
        scored.add_each(case, Measure("psnr_hole", True), psnr, {**hole, "unit": "dB", "ceiling": PSNR_CEILING})
        scored.add_each(case, Measure("l1_hole", False), l1_hole(image, truth, hidden), hole)
        whole = {**COMPOSITE, "region": "whole image", "scale": "[0, 1]", "window": f"gaussian {SSIM_WINDOW}, 1.5"}
        scored.add_each(case, Measure("ssim", True), ssim(image, truth), whole)


def score_lpips(group: list[tuple[Question, np.ndarray]], tools: Tools, scored: Scored) -> None:
    """LPIPS with both trunks, for composites of the same truth."""
    truth = group[0][0].truth["image"]
    nets: tuple[Net, ...] = get_args(Net)
    for net in nets:
        if min(truth.shape[2:]) < SMALLEST_SIDE[net]:
            raise UserError(
                f"images of {truth.shape[2]}x{truth.shape[3]} are too small for LPIPS {net}, which needs "
                f"{SMALLEST_SIDE[net]} pixels a side; raise data.size"
            )
        measure = Measure(f"lpips_{net}", False, f"lpips-{net}", tools.lpips(net)[1])
        distances = lpips_distances(net, truth, [composite for _, composite in group], tools)
        for (case, _), values in zip(group, distances, strict=True):
            each = torch.from_numpy(values)
            scored.add_each(case, measure, each, {**COMPOSITE, "region": "whole image", "resize": "none"})


def lpips_distances(net: Net, truth: np.ndarray, composites: list[np.ndarray], tools: Tools) -> list[np.ndarray]:
    """LPIPS (n,) of each set of composites to the truth, all uint8 (n, 3, h, w); from the cache if it has them."""
    module, digest = tools.lpips(net)
    sets = {str(i): composite for i, composite in enumerate(composites)}

    def compute() -> Arrays:
        distances = lpips_of_stored(module, truth, composites, tools.device)
        return dict(zip(sets, distances, strict=True))

    code = inspect.getfile(lpips_of_stored), inspect.getfile(load_lpips)
    stored = tools.outputs(tools.network(f"lpips-{net}", digest, *code), {"truth": truth, **sets}, compute)
    return [stored[name] for name in sets]


def to_float(image: np.ndarray, tools: Tools) -> Tensor:
    """Stored colours as a float tensor in [0, 255] on the device."""
    return torch.from_numpy(image).to(tools.device).float().contiguous(memory_format=torch.channels_last)
