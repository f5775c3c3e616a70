"""What tests of scores share: tools with a reference of made-up images, and a small run that its commands score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from fake_data import write_splits

from mmbench.files.store import Arrays, read_json, save_arrays, write_json
from mmbench.frozen.features import load_extractor, stored
from mmbench.frozen.judges import Judge
from mmbench.method import Method
from mmbench.scoring.scores import Scored, Tools
from mmbench.stages import evaluate, reference, train
from mmbench.stages.cases import write_cases

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


def made_tools(weights: Path, folder: Path, images: np.ndarray, judge: Method | None = None, **more: Any) -> Tools:
    """Tools that compare with these real images, and with what else of them a reference keeps; a card by `card`."""
    extractor, card = load_extractor(weights, CPU), more.pop("card", {})
    save_arrays(folder / "reference.npz", {**stored({extractor.name: extractor(images)}), **more})
    about = {"split": "test", "extractors": {extractor.name: {"weights_sha256": extractor.weights_sha256}}}
    write_json(folder / "reference.json", about)
    judged = Judge("judge-made", judge, "ab" * 32, CPU) if judge else None
    return Tools(weights, folder / "reference.npz", CPU, judged, card)


def values(scored: Scored, case: str) -> dict[str, float]:
    """The scores of a case by their names, without an image extractor or a judge."""
    return {
        row["name"].replace("[vgg16-relu5_3-gap]", "").replace("[judge-made]", ""): row["value"]
        for row in scored.metrics
        if row["case"] == case
    }


def small_run(folder: Path, weights: Path, settings: dict[str, Any], splits: dict[str, Arrays], **card: Any) -> Path:
    """Data, cases, a judge where the experiment has one, and a reference, all by their commands; returns the folder."""
    write_splits(folder / "data", splits, **card)
    write_json(folder / "settings.json", settings)
    write_cases(settings, folder / "data", folder / "cases")
    common = ["--settings", f"{folder}/settings.json", "--data", f"{folder}/data", "--device", "cpu"]
    places, judge = ["--weights", str(weights)], ROOT / f"mmbench/experiments/{settings['experiment']}/judge.py"
    if judge.is_file():
        own = ["--method", str(judge), "--seed", "7", "--state", f"{folder}/st", "--out", f"{folder}/judge"]
        train.main([*common, *own])
        places += ["--judge", f"{folder}/judge"]
    reference.main([*common, *places, "--out", f"{folder}/reference"])
    return folder


def evaluated(run: Path, weights: Path, out: Path, *more: str) -> dict[tuple[str, str], float]:
    """Score the predictions in `out` against a small run; the values by case and metric."""
    places = {"settings": run / "settings.json", "weights": weights, "data": run / "data", "cases": run / "cases"}
    places |= {"reference": run / "reference/reference.npz", "predictions": out, "out": out}
    places |= {"judge": run / "judge"} if (run / "judge").is_dir() else {}
    flags = [text for key, path in places.items() for text in (f"--{key}", str(path))]
    evaluate.main([*flags, "--device", "cpu", "--seed", "3", "--method", "made", *more])
    return {(row["case"], row["name"]): row["value"] for row in read_json(out / "metrics.json")["metrics"]}
