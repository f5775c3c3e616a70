"""One scored training run of one method: its records, its answers and its snapshots."""

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
        method: the name of the method, `file` or `file@variant`.
        title: the name for readers.
        scores: the content of metrics.json.
        training: the content of training.json, empty for a method that was trained elsewhere or not at all.
        prediction: the content of predictions.json, empty if an external method wrote none.
        tuning: the content of tuned.json, empty if nothing was chosen on the validation split.
        share: the share of the training run after which the weights were taken; 1 for the whole run.
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
        """The cost of training and prediction; missing values are None or absent."""
        cost: Mapping[str, Any] = self.scores.get("cost") or {}
        return cost

    @property
    def weights_sha256(self) -> str | None:
        """The hash of the weights that made the predictions; None if it was not recorded."""
        inputs: Mapping[str, str] = (self.prediction.get("provenance") or {}).get("inputs_sha256") or {}
        return inputs.get("weights")

    def answers(self, case: Mapping[str, Any], names: Collection[str], size: Sequence[int] | None = None) -> Arrays:
        """The answers to a case, by modality; empty if the predictions were not kept.

        Args:
            names: the modalities to read; those that were not answered are left out.
            size: height and width that images must have; None for any.

        Raises:
            UserError: images or masks do not have the form that the case requires.
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
        """The trajectory of a case's first image, (frames, 3, h, w), and the step of each frame, (frames,).

        It is None if it was not kept.

        Raises:
            UserError: the file has another content.
        """
        path, names = self.folder / "trajectory.npz", (f"{case}/image", f"{case}/step")
        stored = load_arrays(path, names) if path.is_file() else {}
        if len(stored) < 2:
            return None
        images, steps = (stored[name] for name in names)
        images = check_array(path, names[0], images, "u1", (None, 3, None, None))
        return images, check_array(path, names[1], steps, "ui", (len(images),))


def check_array(path: Path, name: str, array: np.ndarray, kinds: str, shape: Sequence[int | None]) -> np.ndarray:
    """An array, after a check, as uint8 (`u1`) or int64 (`ui`: from whole numbers of any width; `uib`: or booleans).

    Raises:
        UserError: it has another type, or another shape (None stands for any extent).
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
    """Read the snapshots in the folders `at<share>/` of a run, sorted by share; see `load_results`.

    Raises:
        UserError: a folder's name has no share, or a snapshot belongs to another method, seed or training run.
    """
    parts = []
    for path in run.folder.glob("at*/metrics.json"):
        try:
            share = float(path.parent.name.removeprefix("at"))
        except ValueError:
            raise UserError(f"{path.parent}: its name has no share of the training; rename it like at0.25") from None
        if shares is not None and share not in shares:
            continue
        part = replace(load_run(path.parent), title=run.title, share=share)
        settings = [record.get("settings") for record in (part.training, run.training) if record]
        if (part.method, part.seed) != (run.method, run.seed) or settings[:1] != settings[-1:]:
            raise UserError(
                f"{path}: belongs to another training run than {run.folder}; delete {path.parent} or make it again"
            )
        parts.append(part)
    parts.sort(key=lambda part: part.share)
    spent = [part.cost.get("training_flops") or 0 for part in [*parts, run]]
    if parts and spent != sorted(set(spent)):
        raise UserError(
            f"{run.folder}: the compute of its snapshots at {', '.join(str(part.share) for part in parts)} and of its "
            "end does not rise, so they are not of one training run; delete its at*/ or make them again"
        )
    return parts
