"""What result files must hold. Whatever is wrong is answered with the file, the entry and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbench.errors import UserError
from mmbench.files.store import Arrays, read_record

SCORE_KEYS = {"method": str, "title": str, "seed": int, "metrics": list}
METRIC_KEYS = {"name": str, "case": str, "value": float, "n": int, "higher_is_better": bool}
CASE_KEYS = {"name": str, "task": str, "count": int}
ITEM_COLUMNS = ["case", "item", "metric", "value"]
COSTS = ("parameters", "images_seen", "training_flops", "train_seconds", "predict_seconds", "peak_memory_bytes")
_WORDS = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false", list: "a list"}


def is_a(value: Any, kind: type) -> bool:
    """Whether a JSON value is of a kind; a float is any finite number, and true is no number."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def check_keys(where: str, record: Any, keys: Mapping[str, type], remedy: str) -> None:
    """Refuse a record without one of `keys`, or with a value of another kind."""
    for key, kind in keys.items():
        if not isinstance(record, dict) or key not in record:
            raise UserError(f"{where} has no key '{key}'; {remedy}")
        if not is_a(record[key], kind):
            raise UserError(f"{where} has '{key}': {record[key]!r:.40}, which is not {_WORDS[kind]}; {remedy}")


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The entries of cases.json."""
    remedy = "delete it and run mmbench.stages.cases again"
    record = read_record(path)
    check_keys(f"{path}:", record, {"cases": list}, remedy)
    for case in record["cases"]:
        name = case.get("name", "?") if isinstance(case, dict) else "?"
        check_keys(f"{path}: case {name!r}", case, CASE_KEYS, remedy)
    found: list[dict[str, Any]] = record["cases"]
    return found


def read_scores(path: Path) -> dict[str, Any]:
    """The content of metrics.json."""
    scores = read_record(path)
    check_keys(f"{path}:", scores, SCORE_KEYS, "delete it and run mmbench.stages.evaluate again")
    remedy = "evaluate it again"
    for row in scores["metrics"]:
        name = row.get("name", "?") if isinstance(row, dict) else "?"
        # null stands for what could not be measured
        filled = {**row, "value": 0.0} if isinstance(row, dict) and row.get("value", 0) is None else row
        check_keys(f"{path}: metric {name!r}", filled, METRIC_KEYS, remedy)
    cost = scores.get("cost") or {}
    check_keys(f"{path}: cost", cost, {key: float for key in COSTS if cost.get(key) is not None}, remedy)
    return scores


def read_items(path: Path) -> pd.DataFrame:
    """The columns case, item, metric and value of items.csv: every item once, with a finite value."""
    remedy = "run mmbench.stages.evaluate again"
    try:
        frame = pd.read_csv(path, dtype={"case": str, "metric": str})
    except ValueError as error:
        raise UserError(f"{path}: not a readable table ({error}); {remedy}") from None
    if missing := [column for column in ITEM_COLUMNS if column not in frame]:
        raise UserError(f"{path}: has no column '{missing[0]}'; {remedy}")
    values = pd.to_numeric(frame["value"], errors="coerce").to_numpy(float)
    if len(wrong := np.flatnonzero(~np.isfinite(values))):
        raise UserError(
            f"{path}: line {wrong[0] + 2} has {str(frame['value'].iloc[wrong[0]])!r:.40} for a number; {remedy}"
        )
    if len(twice := np.flatnonzero(frame.duplicated(["case", "item", "metric"]))):
        case, item, metric = frame.iloc[twice[0]][["case", "item", "metric"]]
        raise UserError(f"{path}: line {twice[0] + 2} is a second {metric} of item {item} of {case}; {remedy}")
    return frame[ITEM_COLUMNS].assign(value=values)


def check_images(path: Path, arrays: Arrays, shape: Sequence[int | None]) -> None:
    """Refuse what is no array of pictures, uint8 of `shape` (None: any extent)."""
    for name, array in arrays.items():
        fits = array.ndim == len(shape) and all(want in (None, n) for n, want in zip(array.shape, shape, strict=True))
        if not fits or array.dtype != np.uint8:
            wanted = ", ".join("any" if want is None else str(want) for want in shape)
            raise UserError(
                f"{path}: {name} is {array.dtype} {array.shape}, not uint8 ({wanted}); run mmbench.stages.predict again"
            )
