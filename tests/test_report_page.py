"""What the page adds to the numbers: values to hover, bars, strips from noise to picture, commands to copy."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_results import METHODS, write_results
from matplotlib.figure import Figure

from mmbench.errors import UserError
from mmbench.experiments import ROOT
from mmbench.experiments.masking.section.noise import samples
from mmbench.experiments.masking.section.pictures import reconstructions
from mmbench.files.store import save_arrays
from mmbench.report.commands import of_experiment, of_page
from mmbench.report.draw import charts
from mmbench.report.draw.hover import Point, points, tell, tell_curve
from mmbench.report.parts.section import Context
from mmbench.report.parts.sources import definition_of, definitions, source_of
from mmbench.report.parts.trajectory import trajectory
from mmbench.report.tables.bars import Scale, bar, scales
from mmbench.report.tables.table import NONE, Cell, Table
from mmbench.runs.results import load_results
from mmbench.runs.run import Run
from mmbench.runs.titles import title_of
from mmbench.scoring.names import METRICS

PAGE = "snakemake --cores all --config profile=quick"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = [m for m in METHODS if m.name in ("mt_diffusion", "ddpm", "biharmonic")]
    return write_results(tmp_path_factory.mktemp("results") / "fake", methods=chosen, seeds=(0, 1), items=2)


def spoilt(results: Path, folder: Path, image: np.ndarray, step: np.ndarray) -> Context:
    """Results whose studied method has this trajectory."""
    save_arrays(folder / "trajectory.npz", {"generate/image": image, "generate/step": step})
    loaded = load_results(results, methods=["mt_diffusion"], seeds=[0])
    experiment = loaded.experiments[0]
    return Context(loaded, replace(experiment, runs=[replace(experiment.runs[0], folder=folder)]), folder)


class TestTrajectory:
    def test_a_row_for_each_method_that_kept_one(self, results: Path, tmp_path: Path) -> None:
        loaded = load_results(results)
        grid = trajectory(Context(loaded, loaded.experiments[0], tmp_path, command="make it"))
        assert grid is not None and grid.command == "make it"
        assert [label for label, _ in grid.rows] == ["MT-Diffusion", "DDPM"]
        assert sum(count for _, count in grid.groups) == len(grid.rows[0][1]) == 9
        first, *_, last = grid.rows[0][1]
        assert first is not None and last is not None
        assert (first.note, last.note, last.alt) == ("t = 1,000", "t = 125", "MT-Diffusion: answer at step 125")
        masking = loaded.experiments[0]
        answer = masking.runs_of("mt_diffusion")[0].answers(masking.cases_of("generate")[0], ["image"])["image"][0]
        np.testing.assert_array_equal(last.pixels, answer.transpose(1, 2, 0))
        assert (tmp_path / "figures" / "masking-trajectory.png").is_file()

    def test_a_shorter_one_ends_beneath_the_others(self, results: Path, tmp_path: Path) -> None:
        loaded = load_results(results, seeds=[0])
        experiment = loaded.experiments[0]
        images = np.zeros((4, 3, 32, 32), np.uint8)
        save_arrays(tmp_path / "trajectory.npz", {"generate/image": images, "generate/step": np.array([9, 9, 6, 3])})
        runs = [replace(r, folder=tmp_path) if r.method == "ddpm" else r for r in experiment.runs]
        grid = trajectory(Context(loaded, replace(experiment, runs=runs), tmp_path))
        assert grid is not None
        shown = [tile.note if tile else "" for tile in dict(grid.rows)["DDPM"]]
        assert shown == ["t = 9", *[""] * 5, "t = 9", "t = 6", "t = 3"]

    def test_none_was_kept(self, tmp_path: Path) -> None:
        folder = write_results(tmp_path / "fake", methods=METHODS[:1], seeds=(0,), items=2, predictions=False)
        loaded = load_results(folder)
        assert trajectory(Context(loaded, loaded.experiments[0], tmp_path)) is None

    @pytest.mark.parametrize(
        ("image", "step", "says"),
        [
            (np.zeros((3, 3, 8, 8)), np.arange(3), "generate/image is float64 .*; run mmbench.stages.predict again"),
            (np.zeros((3, 3, 8, 8), np.uint8), np.arange(2), "generate/step is .*, not whole numbers"),
            (np.zeros((3, 3, 8, 8), np.uint8), np.ones(3), "generate/step is .*, not whole numbers"),
        ],
    )
    def test_what_is_none_is_refused(
        self, results: Path, tmp_path: Path, image: np.ndarray, step: np.ndarray, says: str
    ) -> None:
        with pytest.raises(UserError, match=f"trajectory.npz: {says}"):
            trajectory(spoilt(results, tmp_path, image, step))


def test_a_copy_without_the_large_files_has_no_pictures(results: Path, tmp_path: Path) -> None:
    """As kept reference runs are."""
    folder = shutil.copytree(results, tmp_path / "kept", ignore=shutil.ignore_patterns("*.npz"))
    loaded = load_results(folder)
    context = Context(loaded, loaded.experiments[0], tmp_path)
    assert reconstructions(context, "lpips_alex") is None and trajectory(context) is None and samples(context) == []


class TestHover:
    def test_a_point_is_where_its_data_are(self) -> None:
        figure = Figure(figsize=(4, 2))
        axes = figure.add_axes((0.25, 0.5, 0.5, 0.5))
        axes.set(xlim=(0, 10), ylim=(0, 1))
        tell(axes, 5, 0.5, "the\n middle")
        tell(axes, 0, 1, "top left")
        tell(axes, 20, 0.5, "outside")
        assert points(figure) == [Point(500, 250, "the middle"), Point(250, 0, "top left")]

    def test_a_curve_is_told_in_few_places_and_its_end_among_them(self) -> None:
        figure = Figure()
        axes = figure.add_subplot()
        axes.set(xlim=(0, 100), ylim=(0, 1))
        tell_curve(axes, [(x, 0.5, str(x)) for x in range(100)])
        told = [int(point.words) for point in points(figure)]
        assert told == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
        tell_curve(axes, [])
        assert len(points(figure)) == 10


def test_a_validation_loss_that_rises_is_drawn_and_told() -> None:
    points = [(20, 0.5), (40, 0.3), (60, 0.4)]
    rows = [("a", seed, "validation", x, y + seed) for seed in (0, 1) for x, y in points]
    rows += [("b", 0, "validation", x, 1 - y / 10) for x, y in points]
    rows += [(method, 0, "train", x, 0.5) for method in "ab" for x in range(10, 61, 10)]
    frame = pd.DataFrame(rows, columns=["method", "seed", "split", "images", "loss"])
    assert charts.rising(frame) == ["a"]
    assert charts.rising(frame[frame["split"] == "train"]) == []
    figure = charts.training_curves(frame, {"a": "A", "b": "B"}, ["a", "b"], "light")
    dashed = [[line.get_linestyle() for line in axes.get_lines()].count("--") for axes in figure.axes]
    assert dashed == [2, 1]


def table(*cells: Cell) -> Table:
    return Table("t", "caption", ["a"], [[cell] for cell in cells])


class TestBars:
    def test_a_column_has_one_scale_with_0_on_it(self) -> None:
        cell = Cell("+3", 3.0, ends=(2.0, 4.0))
        (scale,) = scales(table(cell, Cell("+1", 1.0, ends=(0.5, 1.5)), NONE, Cell("9", 9.0)))
        assert scale == Scale(0.0, 4.0)
        assert "--a:50.0;--b:50.0;--m:75.0;--z:0.0" in bar(cell, scale)
        assert bar(NONE, scale) == bar(Cell("9", 9.0), scale) == bar(cell, None) == ""

    def test_where_there_is_nothing_to_compare_there_is_no_scale(self) -> None:
        one = Cell("1", 1.0, ends=(0.5, 1.5))
        same = Cell("0", 0.0, ends=(0.0, 0.0))
        assert scales(table(one, NONE)) == scales(table(same, same)) == [None]


@pytest.mark.parametrize(
    ("method", "title", "steps", "expected"),
    [
        ("unet", "U-Net", 100, "U-Net"),
        ("unet@per_task", "U-Net [per_task]", 25, "U-Net, a quarter of the steps"),
        ("unet@per_task", "U-Net [per_task]", 40, "U-Net, 40 % of the steps"),
        ("unet@per_task", "U-Net [per_task]", None, "U-Net, one task's share of the steps"),
        ("unet@half_labelled", "U-Net [half_labelled]", 100, "U-Net, half labelled"),
        ("unet@per_task", "My own name", 25, "My own name"),
    ],
)
def test_titles_of_variants_are_words(method: str, title: str, steps: int | None, expected: str) -> None:
    settings = {"settings": {"train": {"steps": steps}}}
    assert title_of(Run(method, title, 0, Path(), {}, settings, {}, {}), 100) == expected


def test_a_method_has_its_file_its_papers_and_its_words() -> None:
    found = source_of("masking", "palette@wide")
    assert found and found.path == Path("baselines/masking/palette.py") and found.about
    assert found.papers["Saharia et al. 2022"] == "https://arxiv.org/abs/2111.05826"
    assert source_of("masking", "nobody") is None


def test_every_metric_that_is_named_is_defined_in_the_document() -> None:
    lost = [name for name in METRICS if not any(known.startswith(name) for known in definitions())]
    assert lost == []
    page = ROOT / "results" / "any"
    assert definition_of("fd[vgg16-gap]", page) == "../../docs/metrics.md#generated-images"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (PAGE, "snakemake --cores all masking --config profile=quick"),
        ("snakemake --cores all labels --config profile=quick", "snakemake --cores all labels --config profile=quick"),
        ("snakemake --cores 'all", "snakemake --cores 'all"),
        (
            "",
            "python -m mmbench.stages.report --results 'results/my run' --out 'results/my run/only-masking' "
            "--experiments masking",
        ),
    ],
)
def test_the_command_of_an_experiment(command: str, expected: str) -> None:
    assert of_experiment(command, "my run", "masking") == expected
    assert of_page(command, "quick") == (
        command or "python -m mmbench.stages.report --results results/quick --out results/quick"
    )
