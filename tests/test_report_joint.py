"""The section of the joint experiment on made-up results: matrix, transfer, gradients, consistency and pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_joint import METHODS, SINGLES, write_joint
from PIL import Image
from scipy import stats

from mmbench.errors import UserError
from mmbench.experiments.joint.section.cells import make_matrix
from mmbench.experiments.joint.section.gradients import pair_name
from mmbench.experiments.joint.section.matrix import ends, place
from mmbench.experiments.joint.section.transfer import relative_changes
from mmbench.files.store import read_json, write_json
from mmbench.modalities.depth import COLOURS
from mmbench.report.page import write_report
from mmbench.report.tables.board import Entry
from mmbench.runs.results import load_results
from mmbench.scoring.statistics import over_seeds

pytestmark = pytest.mark.slow

STUDIED = [name for name in METHODS if name.startswith("mt_diffusion")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_joint(tmp_path_factory.mktemp("joint") / "quick")


@pytest.fixture(scope="module")
def report(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_report(load_results(tree), out)
    return out


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed, no labels, no baselines, nothing kept but the scores."""
    folder = tmp_path_factory.mktemp("bare")
    write_joint(folder / "quick", there=("image", "mask", "embedding"), methods=["mt_diffusion"], seeds=(0,),
                predictions=False, gradients=False, reference=False)  # fmt: skip
    write_report(load_results(folder / "quick"), folder / "out")
    return folder / "out"


def table(report: Path, name: str) -> dict[str, dict[str, Any]]:
    """Cells by row and column; the first of rows of one name."""
    stored = json.loads((report / "tables" / f"joint-{name}.json").read_text())
    found: dict[str, dict[str, Any]] = {}
    for row in stored["rows"]:
        found.setdefault(row[0]["text"], dict(zip(stored["header"], row, strict=True)))
    return found


def scored(tree: Path, method: str, case: str, metric: str) -> list[float]:
    """What metrics.json says, by seed; read here without the report's own reader."""
    paths = sorted((tree / "joint" / method).glob("seed*/metrics.json"))
    return [r["value"] for p in paths for r in read_json(p)["metrics"] if (r["case"], r["name"]) == (case, metric)]


def text_of(report: Path) -> str:
    page = re.sub(r"<(style|script)>.*?</\1>", "", (report / "index.html").read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " ").split())


def test_the_matrix_has_a_cell_for_every_question(tree: Path, report: Path) -> None:
    matrix = table(report, "matrix")
    assert list(matrix)[:5] == ["nothing", "image", "mask", "label", "embedding"] and len(matrix) == 16
    assert list(matrix)[-1] == "masked image"
    filled = sum(cell["value"] is not None for row in matrix.values() for cell in row.values())
    assert filled == 4 + 12 + 12 + 4 + 4
    cells = {
        ("nothing", "Image"): ("generate", "fd[vgg16-relu5_3-gap]", "FD ↓"),
        ("nothing", "Mask"): ("generate", "judged_miou", "Judged mIoU ↑"),
        ("nothing", "Embedding"): ("generate", "cosine[vgg16-relu5_3-gap]", "Cosine of images ↑"),
        ("image", "Mask"): ("from_image", "miou", "mIoU ↑"),
        ("mask and embedding", "Label"): ("from_mask_embedding", "accuracy", "Accuracy ↑"),
        ("label", "Embedding"): ("from_label", "cosine", "Cosine ↑"),
        ("masked image", "Image"): ("reconstruct", "lpips_alex", "LPIPS (AlexNet) ↓"),
    }
    for (given, want), (case, metric, label) in cells.items():
        cell = matrix[given][want]
        assert cell["value"] == pytest.approx(np.mean(scored(tree, "mt_diffusion", case, metric)))
        assert cell["lines"][0] == label
    assert matrix["image"]["Image"]["text"] == "—"


def test_colours_lie_between_chance_and_the_best(tree: Path) -> None:
    matrix = make_matrix(load_results(tree).experiments[0])
    mask, label = matrix.spots["from_image", "mask"], matrix.spots["generate", "label"]
    assert ends(matrix, mask) == (0.28, 0.81) and ends(matrix, label) == (0.2, 0.93)
    assert ends(matrix, matrix.spots["from_image", "embedding"]) == (0.02, 1.0)
    worst, best = ends(matrix, matrix.spots["generate", "image"])
    assert best == 4.5 and worst > 60
    assert [place(matrix, mask, value) for value in (0.1, 0.28, 0.545, 0.81, 0.9)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_every_cell_is_compared_with_those_that_answer_it(tree: Path, report: Path) -> None:
    comparison, transfer = table(report, "comparison"), table(report, "transfer")
    assert [*comparison, "Δm"] == list(transfer) and len(comparison) == 11
    row = comparison["Mask given image"]
    assert [row[c]["lines"][0] for c in ("Single-task, C", "Single-task, C/K", "Two modalities")] == [
        "Segmenter", "Segmenter, one task's share of the steps", "MT-Diffusion, image and mask"
    ]  # fmt: skip
    assert row["Single-task, C"]["mark"] == "best" and row["MT-Diffusion"]["mark"] == ""
    own, other = (np.array(scored(tree, m, "from_image", "miou")) for m in ("mt_diffusion", "segmenter"))
    change = (own - other) / other.mean()
    cell = transfer["Mask given image"]["against single-task, C"]
    assert cell["value"] == pytest.approx(100 * change.mean())
    assert cell["text"].startswith(f"\u2212{-100 * change.mean():.1f}") and cell["tone"] == "worse"
    assert cell["more"][0].replace("\u2212", "-").replace("\u00a0", " ") == " · ".join(
        f"{100 * c:+.1f} %" for c in change
    )
    frame = pd.read_csv(report / "tables" / "joint-relative-changes.csv")
    p = stats.ttest_1samp(change, 0).pvalue
    own_row = frame[(frame["case"] == "from_image") & (frame["metric"] == "miou") & (frame["against"] == "single")]
    assert own_row["p_holm"].item() >= p and cell["more"][1].startswith("p ")
    assert ((frame["t_low"] > 0) | (frame["t_high"] < 0)).sum() > (frame["p_holm"] <= 0.05).sum() > 0
    assert comparison["Image given nothing"]["Real data"]["value"] == 4.5
    fd = "fd[vgg16-relu5_3-gap]"
    own, other = (np.array(scored(tree, m, "generate", fd)) for m in ("mt_diffusion", "ddpm@per_task"))
    cell = transfer["Image given nothing"]["against single-task, C/K"]
    assert cell["value"] == pytest.approx(100 * ((other - own) / other.mean()).mean())  # lower is better: turned
    assert cell["tone"] == "better" and transfer["Mask given nothing"]["against single-task, C"]["text"] == "—"
    pairs = {m: np.mean(scored(tree, m, "generate", fd)) for m in METHODS if m.startswith("pair_")}
    best = METHODS[min(pairs, key=lambda m: pairs[m])][0]
    assert comparison["Image given nothing"]["Two modalities"]["lines"][0] == best
    frame = pd.read_csv(report / "tables" / "joint-relative-changes.csv")
    assert len(frame) == 8 + 8 + 11 and set(frame["against"]) == {"single", "per_task", "pair"}


@pytest.mark.parametrize(
    ("own", "other", "higher", "expected"),
    [
        ({0: 0.9, 1: 0.7}, {0: 0.8, 1: 0.8}, True, 0.0),
        ({0: 3.0}, {0: 2.0}, False, -0.5),
        ({0: 1.0}, {1: 2.0}, True, -0.5),
        ({0: -0.1}, {0: -0.2}, True, 0.5),
    ],
)
def test_relative_change(own: dict[int, float], other: dict[int, float], higher: bool, expected: float) -> None:
    entries = [Entry(values, over_seeds(list(values.values())), 1) for values in (own, other)]
    assert np.mean(relative_changes(*entries, higher)) == pytest.approx(expected)
    assert relative_changes(entries[0], Entry({0: 0.0}, over_seeds([0.0]), 1), higher) == []


def test_gradients_over_training(tree: Path, report: Path) -> None:
    frame = pd.read_csv(report / "tables" / "joint-gradients.csv")
    assert list(frame) == ["Loss terms", "Mean", "Below 0", "First tenth", "Last tenth"]
    assert len(frame) == 10 and frame["Mean"].is_monotonic_increasing
    points = [
        p for s in range(3) for p in read_json(tree / f"joint/mt_diffusion/seed{s}/training.json")["gradient_cosines"]
    ]
    values = [p["pairs"]["generate,recover_mask"] for p in points]
    row = frame.set_index("Loss terms").loc["generation · mask"]
    assert row["Mean"] == pytest.approx(np.mean(values)) and row["Below 0"] == np.mean(np.array(values) < 0)
    opposed = (frame["Mean"] < 0).sum()
    assert f"Gradients of {opposed} of 10 pairs of loss terms oppose each other" in text_of(report)
    assert pair_name("recover_masked_image,recover_label") == "masked image · label"


def test_what_is_drawn_together_is_beside_chance_and_real_images(tree: Path, report: Path) -> None:
    consistency = table(report, "consistency")
    row, real = consistency["MT-Diffusion"], consistency["Real images"]
    assert row["Given"]["text"] == "nothing"
    for column, metric in (("Mask: Judged mIoU ↑", "judged_miou"), ("Mask: shuffled", "shuffled_miou"),
                           ("Embedding: Cosine of images ↑", "cosine[vgg16-relu5_3-gap]")):  # fmt: skip
        assert row[column]["value"] == pytest.approx(np.mean(scored(tree, "mt_diffusion", "generate", metric)))
    assert [real[c]["value"] for c in real if c not in ("Method", "Given")] == [0.81, 0.28, 0.93, 0.2, 1.0, 0.02]
    assert consistency["MT-Diffusion, image and mask"]["Label: Judged accuracy ↑"]["text"] == "—"
    assert not {title for title, _, _ in SINGLES.values()} & set(consistency)


def test_variants_are_ranked_among_themselves(report: Path) -> None:
    variants = table(report, "variants")
    bare = {METHODS[name][0] for name in (*STUDIED, "segmenter", "segmenter@half_labelled")}
    titles = {title.replace(" [", ", ").replace("_", " ").rstrip("]") for title in bare}
    real = variants.pop("Real data")
    assert set(variants) == titles and real["Image given nothing: FD ↓"]["value"] == 4.5
    assert all(len(cell["more"][1].split(" · ")) == 3 for row in variants.values() for cell in row.values()
               if cell["value"] is not None)  # fmt: skip
    column = [row["Mask given image: mIoU ↑"] for row in variants.values()]
    order = sorted(column, key=lambda cell: -cell["value"])
    assert [cell["mark"] for cell in order] == ["best", "second", "", "", "", ""]
    assert variants["Segmenter, half labelled"]["Label given image: Accuracy ↑"]["text"] == "—"


def test_figures_pictures_and_overview(report: Path) -> None:
    names = {path.name for path in (report / "figures").glob("*.png")}
    drawn = {f"joint-{n}.png" for n in ("matrix", "transfer", "gradients", "consistency", "scenes", "any-to-any-0")}
    assert drawn <= names
    page = (report / "index.html").read_text()
    assert page.count('class="dark" alt=') >= 5 and 'alt=""' not in page
    assert "given masked_image" in page and "generated label: day" in page
    overview = json.loads((report / "tables" / "overview.json").read_text())
    assert [row[0]["text"] for row in overview["rows"]][:2] == [
        "Any to any: image given nothing", "Any to any: mask given image"
    ]  # fmt: skip
    assert len(overview["rows"]) == 8


def test_less_than_everything_is_shown_as_such(bare: Path) -> None:
    """No labels, one seed, no baselines, no predictions, no reference."""
    matrix = table(bare, "matrix")
    assert list(matrix) == ["nothing", "image", "mask", "embedding", "image and mask", "image and embedding",
                            "mask and embedding", "masked image"]  # fmt: skip
    assert "Label" not in matrix["nothing"] and "±" not in matrix["image"]["Mask"]["text"]
    names = {path.stem for path in (bare / "tables").glob("*.json")}
    assert not names & {"joint-transfer", "joint-comparison", "joint-gradients", "joint-variants"}
    figures = {path.stem for path in (bare / "figures").glob("*.png")}
    assert "joint-matrix" in figures and "joint-scenes" not in figures and "joint-transfer" not in figures
    text = text_of(bare)
    assert "The predictions were not kept beside the scores" in text and "label" not in text.split("Files")[0].lower()


def test_depth_is_a_modality_like_the_others(tmp_path: Path) -> None:
    """A column with the errors below the share, a panel of agreement, and pictures in its colours."""
    write_joint(tmp_path / "quick", there=("image", "depth"), methods=["mt_diffusion"], seeds=(0,), items=6)
    card = tmp_path / "quick" / "data" / "card.json"
    write_json(card, read_json(card) | {"modalities": ["image", "depth"], "classes": [], "palette": []})
    write_report(load_results(tmp_path / "quick"), tmp_path / "out")
    cell = table(tmp_path / "out", "matrix")["image"]["Depth"]
    values = {m: scored(tmp_path / "quick", "mt_diffusion", "from_image", m)[0] for m in ("delta", "abs_rel", "rmse")}
    assert cell["value"] == values["delta"] and cell["lines"][0] == "δ < 1.25 ↑"
    assert cell["lines"][-2:] == [f"AbsRel ↓ {values['abs_rel']:.3f}", f"RMSE, m ↓ {values['rmse']:.1f}"]
    nothing = table(tmp_path / "out", "matrix")["nothing"]["Depth"]
    assert nothing["value"] == scored(tmp_path / "quick", "mt_diffusion", "generate", "judged_delta")[0]
    consistency = table(tmp_path / "out", "consistency")
    assert consistency["Real images"]["Depth: Judged δ ↑"]["value"] == 0.9
    assert consistency["Real images"]["Depth: shuffled"]["value"] == 0.3
    text = text_of(tmp_path / "out")
    assert "generated depth" in (tmp_path / "out" / "index.html").read_text()
    assert "Depth: the lighter, the nearer" in text and "Label: bars" not in text
    for name in ("scenes", "any-to-any-0"):
        pixels = np.asarray(Image.open(tmp_path / "out" / "figures" / f"joint-{name}.png")).reshape(-1, 3)
        assert {tuple(c) for c in COLOURS[[0, -1]]} & {tuple(c) for c in np.unique(pixels, axis=0)}


def test_one_seed_says_nothing_of_other_trainings(tree: Path, tmp_path: Path) -> None:
    write_report(load_results(tree, methods=["mt_diffusion", "segmenter", "pair_mask"], seeds=[0]), tmp_path)
    cell = table(tmp_path, "transfer")["Mask given image"]["against single-task, C"]
    assert cell["tone"] == "" and cell["lines"] == [] and "±" not in cell["text"]
    assert "interval over seeds" not in text_of(tmp_path).split("Transfer:")[0]
    assert "With one training seed there is neither" in text_of(tmp_path)
    assert "against single-task, C/K" not in table(tmp_path, "transfer")["Mask given image"]


def test_no_matrix_without_the_model(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mt_diffusion was not scored, of which this section is; evaluate it"):
        write_report(load_results(tree, methods=["segmenter"]), tmp_path)
