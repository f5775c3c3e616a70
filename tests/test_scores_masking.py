"""The scores of masked reconstruction: known pixels never count, and every number is what its record says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_scoring import made_tools, values

from mmbench.errors import UserError
from mmbench.experiments.experiment import Case
from mmbench.experiments.masking import scores as masking
from mmbench.scoring.scores import Tools, load_scores

PER_IMAGE = {"psnr_hole", "l1_hole", "ssim", "lpips_alex", "lpips_vgg"}


def smooth(n: int, seed: int, side: int = 32) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 3, side // 8, side // 8), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


def reconstruct_case(truth: np.ndarray, share: float, hidden_rows: slice) -> Case:
    seen = np.ones((len(truth), 1, *truth.shape[2:]), dtype=np.uint8)
    seen[:, :, hidden_rows] = 0
    given = np.concatenate([truth * seen, seen * 255], axis=1)
    name = f"reconstruct-{round(100 * share)}"
    return Case(name, "reconstruct", len(truth), {"masked_image": given}, {"image": truth}, {"share": share})


@pytest.fixture(scope="module")
def tools(lpips_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return made_tools(lpips_weights, tmp_path_factory.mktemp("reference"), smooth(40, 1))


def test_only_the_hole_counts(tools: Tools) -> None:
    truth = smooth(3, 0)
    case = reconstruct_case(truth, 0.25, slice(0, 8))
    outside = 255 - truth
    outside[:, :, :8] = truth[:, :, :8]  # wrong wherever the truth was given, right in the hole
    found = values(masking.score([(case, {"image": outside})], tools), case.name)
    assert found == {"psnr_hole": 100, "l1_hole": 0, "ssim": pytest.approx(1), "lpips_alex": 0, "lpips_vgg": 0}


def test_values_of_a_constant_error_and_their_records(tools: Tools) -> None:
    truth = smooth(3, 0) // 2
    cases = [reconstruct_case(truth, 0.25, slice(0, 8)), reconstruct_case(truth, 0.5, slice(0, 16))]
    scored = load_scores("masking").score([(c, {"image": truth + 51}) for c in cases], tools)
    for case in cases:
        found = values(scored, case.name)
        assert found["l1_hole"] == pytest.approx(0.2, rel=1e-5)
        assert found["psnr_hole"] == pytest.approx(-10 * np.log10(0.04), rel=1e-5)
        assert 0 < found["ssim"] < 1
    by_share = [values(scored, case.name) for case in cases]
    assert by_share[0]["lpips_vgg"] < by_share[1]["lpips_vgg"]
    assert by_share[0]["ssim"] > by_share[1]["ssim"]
    assert {(row["case"], row["share"], row["n"]) for row in scored.metrics} == {
        ("reconstruct-25", 0.25, 3),
        ("reconstruct-50", 0.5, 3),
    }
    better = {row["name"]: row["higher_is_better"] for row in scored.metrics}
    assert better == dict.fromkeys(PER_IMAGE, False) | {"psnr_hole": True, "ssim": True}
    lpips = [row for row in scored.metrics if row["name"] == "lpips_vgg"]
    assert all(row["extractor"] == "lpips-vgg" and len(row["weights_sha256"]) == 64 for row in lpips)


def test_drawn_images_are_compared_as_a_set(tools: Tools) -> None:
    case = Case("generate", "generate", 30)
    real = masking.score([(case, {"image": smooth(30, 2)})], tools)
    grey = masking.score([(case, {"image": np.full((30, 3, 32, 32), 128, dtype=np.uint8)})], tools)
    names = ["fd", "kd", "precision@k5", "recall@k5", "density@k5", "coverage@k5"]
    assert list(values(real, "generate")) == names and real.items == []
    good, bad = values(real, "generate"), values(grey, "generate")
    assert good[names[0]] < bad[names[0]] and good[names[1]] < bad[names[1]]
    assert good[names[3]] > bad[names[3]] == 0
    for row in real.metrics:
        assert row["extractor"] == "vgg16-relu5_3-gap" and len(row["weights_sha256"]) == 64 and row["n"] == 30
        assert row["detail"] | {"n_fake": 30, "resize": "none", "real_split": "test"} == row["detail"]
    sizes = {"n_real": 30, "of_real": 40, "of_fake": 30, "seed": 0}
    assert all(row["detail"] | sizes == row["detail"] for row in real.metrics)
    assert real.metrics[1]["detail"] | {"subsets": 100, "subset_size": 15, "seed": 0} == real.metrics[1]["detail"]
    assert real.metrics[2]["detail"]["k"] == real.metrics[3]["detail"]["k"] == 5


def test_what_cannot_be_scored_is_said(tools: Tools) -> None:
    truth = smooth(2, 0)
    nothing_hidden = reconstruct_case(truth, 0.01, slice(0, 0))
    with pytest.raises(UserError, match=r"reconstruct-1'.*no hidden pixel"):
        masking.score([(nothing_hidden, {"image": truth})], tools)
    small = reconstruct_case(smooth(2, 0, side=24), 0.5, slice(0, 12))
    with pytest.raises(UserError, match=r"24x24 are too small for LPIPS alex.*data\.size"):
        masking.score([(small, {"image": smooth(2, 0, side=24)})], tools)
    with pytest.raises(UserError, match=r"evaluate\.samples: 4 images"):
        masking.score([(Case("generate", "generate", 4), {"image": smooth(4, 2)})], tools)
    with pytest.raises(UserError, match="experiment 'unheard_of' does not exist"):
        load_scores("unheard_of")
