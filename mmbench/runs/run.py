"""One training of one method, scored: its records, its answers, and its snapshots."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.errors import UserError
from mmbench.files.store import Arrays, load_arrays
from mmbench.runs.records import read_result


@dataclass(frozen=True)
class Run:
    """One method, trained and scored with one seed.

    Attributes:
        method: its name, `file` or `file@variant`.
        title: for a reader.
        seed: of the training.
        folder: where its files are.
        scores: content of metrics.json.
        training: content of training.json, empty for a method that was trained elsewhere or not at all.
        prediction: content of predictions.json, empty if an external method gave none.
        tuning: content of tuned.json, empty if nothing was chosen on the validation split.
        share: of the training that was done when its weights were taken; 1 for the whole.
    """

    method: str
    title: str
    seed: int
    folder: Path
    scores: Mapping[str, Any]
    training: Mapping[str, Any]
    prediction: Mapping[str, Any]
    tuning: Mapping[str, Any]
    share: float = 1.0

    @property
    def cost(self) -> Mapping[str, Any]:
        """What training and prediction took; missing values are None or absent."""
        cost: Mapping[str, Any] = self.scores.get("cost") or {}
        return cost

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the weights that it answered with; None where they are not known."""
        inputs: Mapping[str, str] = (self.prediction.get("provenance") or {}).get("inputs_sha256") or {}
        return inputs.get("weights")

    def answers(self, case: Mapping[str, Any], names: Collection[str], size: Sequence[int] | None = None) -> Arrays:
        """What it answered in a case, by modality; nothing if the predictions were not kept.

        Args:
            case: the entry of cases.json.
            names: of the modalities that are wanted, of which those that are not there are left out.
            size: height and width that pictures must have; None for any.

        Raises:
            UserError: images or masks are not what the case asks for.
        """
        path, prefix = self.folder / "predictions.npz", f"{case['name']}/"
        stored = load_arrays(path, [prefix + name for name in names]) if path.is_file() else {}
        height, width = size or (None, None)
        for key, array in stored.items():
            if key == f"{prefix}image":
                stored[key] = check_array(path, key, array, "u1", (case["count"], 3, height, width))
            if key == f"{prefix}mask":
                stored[key] = check_array(path, key, array, "uib", (case["count"], height, width))
        return {key.removeprefix(prefix): array for key, array in stored.items()}

    def trajectory(self, case: str) -> tuple[np.ndarray, np.ndarray] | None:
        """How a case's first image came about, (frames, 3, h, w) and the step of each (frames,); None if not kept.

        Raises:
            UserError: the file holds something else.
        """
        path, names = self.folder / "trajectory.npz", (f"{case}/image", f"{case}/step")
        stored = load_arrays(path, names) if path.is_file() else {}
        if len(stored) < 2:
            return None
        images, steps = (stored[name] for name in names)
        images = check_array(path, names[0], images, "u1", (None, 3, None, None))
        return images, check_array(path, names[1], steps, "ui", (len(images),))


def check_array(path: Path, name: str, array: np.ndarray, kinds: str, shape: Sequence[int | None]) -> np.ndarray:
    """An array as uint8 (`u1`) or int64 (`ui`: whole numbers of any width; `b`: or booleans).

    Raises:
        UserError: it has another type, or another shape (None: any extent).
    """
    fits = array.ndim == len(shape) and all(want in (None, n) for n, want in zip(array.shape, shape, strict=True))
    whole = np.typecodes["AllInteger"]
    if not fits or array.dtype.char not in {"u1": np.dtype(np.uint8).char, "ui": whole, "uib": whole + "?"}[kinds]:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        word = "uint8" if "1" in kinds else "whole numbers"
        raise UserError(
            f"{path}: {name} is {array.dtype} {array.shape}, not {word} ({wanted}); run mmbench.stages.predict again"
        )
    return array.astype(np.uint8 if "1" in kinds else np.int64, copy=False)


def load_run(folder: Path) -> Run:
    """Read the folder of one method and seed; UserError if a record in it is broken."""
    scores = read_result(folder / "metrics.json")
    training, prediction, tuning = (
        read_result(folder / name) if (folder / name).is_file() else {}
        for name in ("training.json", "predictions.json", "tuned.json")
    )
    return Run(scores["method"], scores["title"], scores["seed"], folder, scores, training, prediction, tuning)


def load_snapshots(run: Run, shares: Collection[float] | None) -> list[Run]:
    """Read what is below the folder of a run, `at<share>/`, by share; see `load_results`.

    Raises:
        UserError: it is of no share, or of another method, seed or training.
    """
    parts = []
    for path in run.folder.glob("at*/metrics.json"):
        try:
            share = float(path.parent.name.removeprefix("at"))
        except ValueError:
            raise UserError(f"{path.parent}: is of no share of a training; rename it like at0.25") from None
        if shares is not None and share not in shares:
            continue
        part = replace(load_run(path.parent), title=run.title, share=share)
        settings = [record.get("settings") for record in (part.training, run.training) if record]
        if (part.method, part.seed) != (run.method, run.seed) or settings[:1] != settings[-1:]:
            raise UserError(f"{path}: is of another training than {run.folder}; delete {path.parent} or make it again")
        parts.append(part)
    parts.sort(key=lambda part: part.share)
    spent = [part.cost.get("training_flops") or 0 for part in [*parts, run]]
    if parts and spent != sorted(set(spent)):
        raise UserError(
            f"{run.folder}: its snapshots at {', '.join(str(part.share) for part in parts)} and its end are not of "
            "more and more compute, so not of one training; delete its at*/ or make them again"
        )
    return parts
