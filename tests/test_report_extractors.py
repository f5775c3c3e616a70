"""Several extractors: the first is that of the page, the others stand apart, and their rankings are compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_results import FD, METHODS, OTHER, write_results
from scipy import stats

from mmbench.report.page import write_report
from mmbench.report.parts.extractors import other_extractors
from mmbench.report.parts.section import Context
from mmbench.runs.results import load_results
from mmbench.scoring.agreement import rank_agreement
from mmbench.scoring.names import in_order, leading

pytestmark = pytest.mark.slow

#: FD by the second extractor: of MT-Diffusion, its variant and DDPM the first one ranks DDPM, MT-Diffusion, variant.
SEEN = {"mt_diffusion": 9.0, "mt_diffusion@zero": 8.0, "ddpm": 5.0}


def written(folder: Path, seen: dict[str, float]) -> Path:
    return write_results(
        folder / "fake", methods=[replace(m, seen=seen.get(m.name, 0.0)) for m in METHODS], seeds=(0, 1), items=2
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    return write_report(load_results(written(folder, SEEN)), folder / "report").parent


def test_rankings_by_hand() -> None:
    """One of the three pairs is turned round: tau 1/3, and rho 1 - 6 (1 + 1) / (3 (9 - 1)) = 1/2."""
    first = {"a": 1.0, "b": 2.0, "c": 3.0, "only here": 0.0}
    found = rank_agreement(first, {"a": 10.0, "c": 20.0, "b": 30.0})
    assert found and found.count == 3
    assert (found.tau, found.rho) == (pytest.approx(1 / 3), pytest.approx(0.5))
    same, turned = rank_agreement(first, {"a": 5, "b": 6, "c": 7}), rank_agreement(first, {"a": 7, "b": 6, "c": 5})
    assert same and turned and (same.tau, same.rho, turned.tau, turned.rho) == pytest.approx((1, 1, -1, -1))
    tied = rank_agreement(first, {"a": 1.0, "b": 1.0, "c": 2.0})  # C = 2, D = 0, one pair tied in the second alone
    assert tied and tied.tau == pytest.approx(2 / 6**0.5)
    assert rank_agreement(first, {"a": 1.0, "b": 2.0}) is None
    alike = rank_agreement(first, dict.fromkeys("abc", 1.0))
    assert alike and (alike.count, alike.tau, alike.rho) == (3, None, None)


def test_the_first_extractor_stays_first() -> None:
    names = ["fd[z]", "kd[z]", "fd[a]", "kd[a]", "cosine", "cosine[a]", "ssim", "is[judge]"]
    assert in_order(names) == ["ssim", "cosine", "cosine[a]", "is[judge]", "fd[z]", "fd[a]", "kd[z]", "kd[a]"]
    assert leading(names) == ["ssim", "cosine", "cosine[a]", "is[judge]", "fd[z]", "kd[z]"]


def test_the_page_says_how_alike_the_extractors_rank(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert "Do the extractors agree?" in page
    said = "By FD, vgg16-relu5_3-gap and efficientnet-lite0 rank the 3 methods of generate with Kendall&#39;s τ 0.33"
    assert f"{said}, and have the same best one, DDPM." in page
    table = json.loads((report / "tables" / "masking-extractors.json").read_text())
    (row,) = table["rows"]
    assert [cell["text"] for cell in row[:2]] == ["generate", "vgg16-relu5_3-gap and efficientnet-lite0"]
    first = [33.0 * (1 + 0.8 * (m.error - 1)) for m in METHODS if m.name in SEEN]
    second = [SEEN[m.name] for m in METHODS if m.name in SEEN]
    tau = stats.kendalltau(first, second).statistic
    cell = dict(zip(table["header"], row, strict=True))["FD"]
    assert cell["value"] == pytest.approx(tau) and cell["lines"] == ["ρ 0.50 · 3 methods"]


def test_the_other_extractors_numbers_stand_apart(report: Path) -> None:
    shown = json.loads((report / "tables" / "masking-generation.json").read_text())
    apart = json.loads((report / "tables" / "masking-generate-efficientnet-lite0.json").read_text())
    for table, network, other in ((shown, FD[1:-1], OTHER[1:-1]), (apart, OTHER[1:-1], FD[1:-1])):
        assert any(network in note for note in table["notes"]) and not any(other in note for note in table["notes"])
    values = {row[0]["text"]: row[1]["value"] for row in apart["rows"]}
    assert values["DDPM"] == SEEN["ddpm"] + 0.5  # the mean over seeds 0 and 1
    overview = json.loads((report / "tables" / "overview.json").read_text())
    assert [row[1]["text"] for row in overview["rows"] if "generating" in row[0]["text"]] == ["FD ↓"]


def test_two_methods_are_not_ranked(tmp_path: Path) -> None:
    loaded = load_results(written(tmp_path, SEEN), methods=["mt_diffusion", "ddpm"])
    part = other_extractors(Context(loaded, loaded.experiments[0], tmp_path))
    assert part and part["agreement"] is None and part["findings"] == [] and len(part["tables"]) == 1


def test_with_one_extractor_there_is_nothing_to_compare(tmp_path: Path) -> None:
    loaded = load_results(written(tmp_path, {}))
    assert other_extractors(Context(loaded, loaded.experiments[0], tmp_path)) is None
