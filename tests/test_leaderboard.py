"""The leaderboard: who is ranked, mean ranks, how many data sets are enough, the Pareto front, and the page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_results import write_results

from mmbench.cli.app import main
from mmbench.errors import UserError
from mmbench.files.store import write_json
from mmbench.report.draw import figures
from mmbench.report.leaderboard.collect import board_frame, mark_pareto, read_sources
from mmbench.report.leaderboard.ranks import critical_difference, data_sets_enough, rankings
from mmbench.runs.manifest import NAME, make_manifest
from tools.findings import updated

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def made_up(data_sets: int, methods: int) -> pd.DataFrame:
    """Ranks 1 to `methods` on each of some data sets, turned round on the last."""
    rows = [
        {"experiment": "e", "run": f"r{d}", "data": f"d{d}", "case": "c", "metric": "m", "method": f"m{i}",
         "title": f"M{i}", "rank": float(i + 1 if d < data_sets - 1 else methods - i), "ranked": True}
        for d in range(data_sets)
        for i in range(methods)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_mean_ranks_over_data_sets_have_an_interval_within_what_is_possible() -> None:
    (found,) = rankings(made_up(6, 4))
    assert found.means["m0"].mean == pytest.approx((5 * 1 + 4) / 6) and list(found.means) == ["m0", "m1", "m2", "m3"]
    assert all(s.low is not None and 1 <= s.low <= s.mean <= s.high <= 4 for s in found.means.values())
    assert found.difference == pytest.approx(critical_difference(4, 6))
    assert rankings(made_up(2, 4))[0].difference is None


def test_the_critical_difference_is_that_of_the_published_table() -> None:
    """Demsar 2006, table 5a: q at 5 % is 1.960 for two methods, 2.728 for five and 3.164 for ten."""
    for methods, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        assert critical_difference(methods, 1) == pytest.approx(q * np.sqrt(methods * (methods + 1) / 6), abs=2e-3)
        enough = data_sets_enough(methods)
        assert enough >= 5 and critical_difference(methods, enough) < methods - 1


def test_the_front_is_of_those_that_nobody_beats() -> None:
    rows = [
        {"training_flops": f, "mean": m, "pareto": False} for f, m in ((1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (2.0, 3.5))
    ]
    mark_pareto([*rows, {"training_flops": None, "mean": 0.0, "pareto": False}], 1)  # lower is better
    assert [row["pareto"] for row in rows] == [True, True, False, False]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        write_results(folder, predictions=False, items=4)
        (folder / "index.html").write_text("a page")
        write_json(folder / NAME, make_manifest(folder, folder).model_dump(mode="json"))
    return folders


def test_variants_are_no_baselines_and_each_number_says_where_it_is_from(runs: list[Path], tmp_path: Path) -> None:
    frame = board_frame(read_sources(runs, tmp_path, ROOT))
    assert set(frame["run"]) == {"one", "two"}
    ranked = frame[frame["ranked"]]
    assert "mt_diffusion" in set(ranked["method"]) and not ranked["method"].str.contains("@").any()
    variant = frame[frame["method"] == "mt_diffusion@zero"]
    assert len(variant) and variant["rank"].isna().all() and set(variant["role"]) == {"its variant"}
    for row in frame.to_dict("records"):
        assert (tmp_path / row["page"].partition("#")[0]).is_file() and (tmp_path / row["scores"]).is_file()
        assert row["role"] == "predictions handed in" or not row["file"] or os.path.isfile(tmp_path / row["file"])


def test_the_command_writes_one_page_and_a_tidy_file(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_svg", lambda figure: "<svg/>")
    main(["leaderboard", *map(str, runs), "--out", str(tmp_path / "board")])
    frame = pd.read_csv(tmp_path / "board" / "leaderboard.csv")
    page = (tmp_path / "board" / "index.html").read_text()
    assert len(re.findall(r"<tr[^>]* data-experiment=", page)) == len(frame) > 0
    assert "../one/index.html#masking" in page and "<script src" not in page
    with pytest.raises(UserError):
        main(["leaderboard", str(tmp_path)])


def test_the_committed_scores_are_those_of_the_committed_runs() -> None:
    reference = ROOT / "results" / "reference"
    folders = sorted(path.parent for path in reference.glob("*/manifest.json"))
    found, stored = board_frame(read_sources(folders, reference, ROOT)), pd.read_csv(reference / "leaderboard.csv")
    keys = ["run", "experiment", "case", "metric", "method", "mean", "t_low", "t_high", "rank"]
    pd.testing.assert_frame_equal(found[keys].reset_index(drop=True), stored[keys], check_dtype=False)


def test_the_findings_of_the_readme_are_those_of_the_committed_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    assert updated(readme) == readme, "run `make findings`"
