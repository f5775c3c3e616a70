"""Results of earlier versions stay readable: each command that reads a run, on every run that is committed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mmbench.claims.statements import load_claims
from mmbench.cli.app import main
from mmbench.files.store import read_json
from mmbench.report.draw import figures
from mmbench.report.page import write_report
from mmbench.runs.keep import lead_to_checkout
from mmbench.runs.results import load_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/manifest.json"))
every_run = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


@every_run
@pytest.mark.parametrize(
    ("command", "says"), [("verify", "ok: "), ("results", "MT-Diffusion"), ("claims", "tested by these results: ")]
)
def test_a_command_reads_it(folder: Path, command: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, str(folder)])
    assert says in capsys.readouterr().out


@every_run
def test_a_new_report_shows_all_that_was_scored(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are built and not rendered, which takes most of the time and reads nothing."""
    monkeypatch.setattr(figures, "_svg", lambda figure: "<svg/>")
    for name in ("get_layout_engine", "savefig"):
        monkeypatch.setattr(Figure, name, lambda *_, **__: None)
    write_report(load_results(folder), tmp_path, claims=load_claims(ROOT))
    frames = [pd.read_csv(path) for path in tmp_path.glob("tables/*-long.csv") if "effects" not in path.name]
    shown = {f"{e}/{m}" for frame in frames for e, m in zip(frame["experiment"], frame["method"], strict=True)}
    methods = read_json(folder / "manifest.json")["methods"]
    assert shown == {name for name, took in methods.items() if took["scored"]}


def test_a_kept_page_leads_to_the_checkout_from_where_it_lies(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<a href="../../docs/metrics.md#images">x</a><a href="../two/index.html">y</a>')
    lead_to_checkout(page, ROOT / "results" / "reference" / "one")
    assert page.read_text() == '<a href="../../../docs/metrics.md#images">x</a><a href="../two/index.html">y</a>'
