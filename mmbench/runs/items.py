"""The reader of items.csv, the values of single items; it is a separate module, since most stages need no pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mmbench.errors import UserError

ITEM_COLUMNS = ["case", "item", "metric", "value"]


def read_items(path: Path) -> pd.DataFrame:
    """The columns case, item, metric and value of items.csv; UserError if a value is not finite or an item is twice."""
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
