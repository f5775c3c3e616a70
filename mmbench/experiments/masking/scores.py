"""Masked reconstruction: composites against the hidden truth, and images drawn from noise against real ones."""

from __future__ import annotations

from mmbench.scoring.composite import score_composites
from mmbench.scoring.distribution import score_drawn
from mmbench.scoring.scores import Answered, Scored, Tools


def score(answered: Answered, tools: Tools) -> Scored:
    """LPIPS, PSNR and L1 in the hole and SSIM of every reconstruction; FD, KD, precision and recall of drawn images."""
    scored = Scored()
    score_composites(
        [(case, answer["image"]) for case, answer in answered if case.task == "reconstruct"], tools, scored
    )
    for case, answer in answered:
        if case.task == "generate":
            score_drawn(case, answer["image"], tools, scored)
    return scored
