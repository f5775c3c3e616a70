"""Masked reconstruction: composites against the hidden truth, and images generated from noise against real ones."""

from __future__ import annotations

from mmbench.scoring.composite import score_composites
from mmbench.scoring.distribution import score_drawn
from mmbench.scoring.scores import Answered, Scored, Tools


def score(answered: Answered, tools: Tools) -> Scored:
    """LPIPS, hidden-pixel PSNR and L1, SSIM of reconstructions; FD, KD, precision and recall of generated images."""
    scored = Scored()
    score_composites(
        [(case, answer["image"]) for case, answer in answered if case.task == "reconstruct"], tools, scored
    )
    for case, answer in answered:
        if case.task == "generate":
            score_drawn(case, answer["image"], tools, scored)
    return scored
