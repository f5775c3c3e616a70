"""The section of segmentation on made-up results: tables, pictures and sentences say what the numbers say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_results import FD, pictures, write_data
from PIL import Image

from mmbench.errors import UserError
from mmbench.files.store import load_arrays, read_json, save_arrays, write_json
from mmbench.report.page import write_report
from mmbench.runs.results import load_results

pytestmark = pytest.mark.slow

ITEMS, SIZE, SEEDS = 12, 32, (0, 1)
CLASSES, PALETTE = ["sky", "road", "tree"], [[120, 180, 255], [90, 90, 90], [20, 120, 30]]
#: Quality of each method, by which all its numbers are made; tasks that it does.
METHODS = {
    "mt_diffusion": ("MT-Diffusion", 0.70, ("segment", "paint", "generate")),
    "unet": ("U-Net <b>", 0.80, ("segment",)),
    "concat_ddpm": ("Concatenated DDPM", 0.60, ("segment", "paint", "generate")),
}


def masks(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 3, (ITEMS, 4, 4), dtype=np.uint8)
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


def row(case: str, name: str, value: float, higher: bool = True, network: str | None = None) -> dict[str, Any]:
    digest = "ab" * 32 if network else None
    return {"name": name, "case": case, "value": value, "n": ITEMS, "higher_is_better": higher, "extractor": network,
            "weights_sha256": digest, "detail": {}}  # fmt: skip


def per_item(quality: float, seed: int) -> np.ndarray:
    hard = np.random.default_rng(3).uniform(0, 0.1, ITEMS)
    return np.clip(quality - hard + 0.01 * seed + np.random.default_rng(seed).normal(0, 0.004, ITEMS), 0, 1)


def write_run(folder: Path, name: str, seed: int, predictions: bool) -> None:
    title, quality, tasks = METHODS[name]
    run, rows, items, arrays = folder / name / f"seed{seed}", [], [], {}
    for task in tasks:
        metric = "pixel_accuracy" if task == "segment" else "judged_accuracy"
        values = per_item(quality, seed)
        items += [(task, i, metric, value) for i, value in enumerate(values)]
        rows.append(
            row(task, metric, float(values.mean()), network=None if task == "segment" else "judge-segmentation")
        )
        if task == "segment":
            rows += [row(task, "miou", quality - 0.1)]
            rows += [row(task, f"iou/{c}", quality - 0.2 + 0.1 * k) for k, c in enumerate(CLASSES) if c != "tree"]
        else:
            rows += [row(task, f"fd{FD}", 100 * (1 - quality), higher=False, network=FD[1:-1])]
            rows += [row(task, "judged_miou", quality - 0.2, network="judge-segmentation")]
        if task == "generate":
            rows += [row(task, "shuffled_miou", 0.9 - quality, network="judge-segmentation")]
        if task != "segment":
            arrays[f"{task}/image"] = pictures(np.random.default_rng(seed), ITEMS, SIZE)
        if task != "paint":
            arrays[f"{task}/mask"] = masks(seed)
    write_json(run / "metrics.json", {"schema": 1, "experiment": "segmentation", "method": name, "title": title,
                                      "seed": seed, "metrics": rows, "cost": {}, "provenance": {}})  # fmt: skip
    with (run / "items.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("case", "item", "metric", "value"), *items])
    if predictions:
        save_arrays(run / "predictions.npz", arrays)


def write_tree(folder: Path, *, predictions: bool = True) -> Path:
    write_data(folder / "data", SIZE)
    card = read_json(folder / "data" / "card.json") | {"classes": CLASSES, "palette": PALETTE}
    write_json(folder / "data" / "card.json", card)
    own = folder / "segmentation"
    image, mask = pictures(np.random.default_rng(0), ITEMS, SIZE), masks(0)
    mask[0, :4] = 255
    save_arrays(
        own / "cases.npz",
        {
            "segment/given/image": image,
            "segment/truth/mask": mask,
            "paint/given/mask": mask,
            "paint/truth/image": image,
        },
    )
    tasks = {"segment": (["image"], ["mask"]), "paint": (["mask"], ["image"]), "generate": ([], ["image", "mask"])}
    cases = [{"name": t, "task": t, "count": ITEMS, "given": g, "want": w, "sha256": "cd" * 32}
             for t, (g, w) in tasks.items()]  # fmt: skip
    write_json(own / "cases.json", {"experiment": "segmentation", "cases": cases})
    real = [row("floor", f"fd{FD}", 4.5, higher=False), row("ceiling", "judged_miou", 0.77)]
    floor = {"split": "train", "n": ITEMS}
    write_json(own / "reference.json", {"schema": 1, "split": "test", "n": ITEMS, "extractor": FD[1:-1],
                                        "weights_sha256": "01" * 32, "floor": floor, "metrics": real})  # fmt: skip
    for name in METHODS:
        for seed in SEEDS:
            write_run(own, name, seed, predictions)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("fake") / "results")


@pytest.fixture(scope="module")
def report(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_report(load_results(tree), out)
    return out


def table(report: Path, name: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Cells by row and column."""
    stored = json.loads((report / "tables" / f"segmentation-{name}.json").read_text())
    return {r[0]["text"]: dict(zip(stored["header"], r, strict=True)) for r in stored["rows"]}


def test_every_task_has_its_table_with_best_and_second_best(report: Path) -> None:
    segment = table(report, "segment")
    assert list(segment) == ["MT-Diffusion", "Concatenated DDPM", "U-Net <b>"]
    assert [segment[m]["mIoU ↑"]["mark"] for m in segment] == ["second", "", "best"]
    assert segment["U-Net <b>"]["mIoU ↑"]["value"] == pytest.approx(0.7)
    assert not any(name.startswith("IoU") for name in segment["MT-Diffusion"])
    paint = table(report, "paint")
    assert list(paint) == ["MT-Diffusion", "Concatenated DDPM", "Real images"]
    assert paint["MT-Diffusion"]["FD ↓"]["mark"] == "best"
    assert paint["Real images"]["Judged mIoU ↑"]["value"] == 0.77 and paint["Real images"]["FD ↓"]["value"] == 4.5


def test_the_shuffled_floor_is_no_contest(report: Path) -> None:
    generate = table(report, "generate")
    assert generate["Concatenated DDPM"]["Shuffled mIoU ↑"]["value"] == pytest.approx(0.3)
    assert {generate[m]["Shuffled mIoU ↑"]["mark"] for m in generate} == {""}


def test_classes_are_in_the_cards_order_and_absent_ones_left_out(report: Path) -> None:
    classes = table(report, "classes")
    assert list(classes["U-Net <b>"]) == ["Method", "sky", "road"]
    assert classes["U-Net <b>"]["sky"]["mark"] == "best" and classes["MT-Diffusion"]["sky"]["mark"] == "second"


def test_differences_are_paired_image_by_image(report: Path) -> None:
    cell = table(report, "segment-pixel-accuracy-differences")["MT-Diffusion"]["Segmenting"]
    assert cell["value"] == pytest.approx(-0.1, abs=0.01) and cell["tone"] == "worse"
    better = table(report, "paint-judged-accuracy-differences")["MT-Diffusion"]["Generating images of given masks"]
    assert better["value"] == pytest.approx(0.1, abs=0.01) and better["tone"] == "better"


def test_pictures_are_in_the_colours_of_the_card(report: Path) -> None:
    names = [f"segmentation-{task}-pictures.png" for task in ("segment", "paint", "generate")]
    assert all((report / "figures" / name).is_file() for name in names)
    pixels = np.asarray(Image.open(report / "figures" / names[0])).reshape(-1, 3)
    colours = {tuple(c) for c in np.unique(pixels, axis=0)}
    assert {tuple(c) for c in PALETTE} <= colours
    page = (report / "index.html").read_text()
    legend = page[page.index("Colours of the masks") :]
    assert [name in legend[:600] for name in (*CLASSES, "no class")] == [True] * 4
    assert page.count("MT-Diffusion, image") and page.count("MT-Diffusion, mask")


def test_less_than_everything_is_shown_as_such(tree: Path, tmp_path: Path) -> None:
    bare = write_tree(tmp_path / "results", predictions=False)
    write_report(load_results(bare), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("The predictions were not kept beside the scores") == 3
    assert not list((tmp_path / "out" / "figures").glob("*-pictures.png"))
    write_report(load_results(tree, methods=["unet"], seeds=[0]), tmp_path / "one")
    tables = {path.stem for path in (tmp_path / "one" / "tables").glob("*.json")}
    assert "segmentation-segment" in tables and "segmentation-paint" not in tables
    assert "segmentation-segment-pixel-accuracy-differences" not in tables


def test_an_answer_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "results")
    path = folder / "segmentation" / "mt_diffusion" / "seed0" / "predictions.npz"
    save_arrays(path, {name: array for name, array in load_arrays(path).items() if name != "generate/mask"})
    with pytest.raises(UserError, match="array 'generate/mask' is missing"):
        write_report(load_results(folder), tmp_path / "out")
