"""What the view of a run makes of Snakemake's events and of the trainings' logs."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from mmbench.cli.progress import STEP, Progress, Step, clock, read_step, view
from mmbench.training.loop import progress_line

SAID = "mt_diffusion seed 0: step 120/400  loss 0.0312  345 images/s  0:26 left"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "train.log"
    path.write_text(f"{SAID.replace('120', '60')}\n{SAID}\n")
    return path


def test_the_step_is_the_last_that_was_printed(log: Path, tmp_path: Path) -> None:
    assert read_step(log) == Step(120, 400, 345, "0:26")
    assert read_step(log).seconds_left == 26
    log.write_text("x" * 10_000 + f"\n{SAID}\n")
    assert read_step(log) == Step(120, 400, 345, "0:26")
    log.write_bytes(b"\xff\xfe nothing yet")
    assert read_step(log) is None
    assert read_step(tmp_path / "none.log") is None


def test_the_line_is_the_one_that_training_prints() -> None:
    printed = progress_line("ddpm seed 0", 7, 9, 0.1, 12.4, {"batch_size": 403})
    assert STEP.findall(printed) == [("7", "9", "12", "1:05")]


def test_a_run_is_counted_and_its_end_is_estimated(log: Path) -> None:
    progress = Progress(cores=2)
    progress.begin({"train": 3, "predict": 3, "all": 1, "total": 7}, 0.0)
    assert progress.seconds_left(0.0) is None and "left" not in progress.line(0.0)
    wildcards = {"experiment": "masking", "method": "ddpm", "seed": "0", "at": ""}
    assert str(progress.start(1, "train", wildcards, [str(log)], 0.0)) == "train masking/ddpm seed0"
    progress.start(2, "train", wildcards | {"method": "palette"}, [], 0.0)
    assert progress.line(5.0).startswith("0/7 jobs, 2 running, 5 waiting, 0:05")
    assert str(progress.finish(2, 40.0)) == "train masking/palette seed0"
    # One training says 26 s itself; one of 40 s waits, and so do four jobs of an unknown kind, taken to be like it.
    assert progress.seconds_left(40.0) == pytest.approx((26 + 40 + 4 * 40) / 2)
    progress.fail(1)
    assert progress.line(50.0).startswith("1/7 jobs, 0 running, 5 waiting, 1 failed, 0:50, about 1:40 left")
    assert progress.finish(99, 50.0) is None
    assert progress.summary(60.0) == "2 of 7 jobs in 1:00, 1 failed"


def test_the_end_of_a_run_names_its_page() -> None:
    progress = Progress()
    progress.begin({"report": 1, "total": 1}, 0.0)
    progress.start(1, "report", {"page": "only-masking/"}, [], 0.0)
    progress.note_page(["results/quick/only-masking/index.html", "results/quick/only-masking/tables"])
    progress.finish(1, 3700.0)
    assert progress.summary(3700.0) == "1 of 1 jobs in 1:01:40; the page is results/quick/only-masking/index.html"


def test_the_view_shows_every_running_job(log: Path) -> None:
    progress = Progress()
    progress.begin({"train": 20, "total": 20}, 0.0)
    for number in range(14):
        wildcards = {"experiment": "joint", "method": f"method{number}", "seed": "1"}
        progress.start(number, "train", wildcards, [str(log)] if not number else [], 0.0)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(view(progress, 75.0))
    text = console.export_text()
    assert "0/20 jobs, 14 running, 6 waiting, 1:15" in text and "and 2 more" in text
    assert re.search(r"train +joint/method0 seed1 +1:15 +step 120/400, 345 images/s, 0:26 left", text)


@pytest.mark.parametrize(
    "seconds, text", [(0, "0:00"), (5.4, "0:05"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_a_time_for_a_reader(seconds: float, text: str) -> None:
    assert clock(seconds) == text
