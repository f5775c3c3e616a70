"""Mean ranks over data sets, and whether there are enough of them for a critical difference (Demsar 2006).

By chance alone, the mean ranks of k methods on N data sets differ by less than the critical difference
`CD = q sqrt(k (k + 1) / (6 N))` of Nemenyi's test, with q the Studentized range at 5 % over sqrt(2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from mmbench.scoring.statistics import LEVEL, SeedSummary, over_seeds

#: The test's distribution is asymptotic in the number of data sets; below this number it is not reliable.
FEWEST = 5


@dataclass(frozen=True)
class Ranking:
    """The methods of an experiment that were ranked on each of its data sets.

    Attributes:
        means: by method, the mean rank over data sets with its t-interval, clipped at 1 and the number of methods.
    """

    experiment: str
    data: list[str]
    means: dict[str, SeedSummary]
    titles: dict[str, str]

    @property
    def enough(self) -> int:
        """The number of data sets that is enough for these methods."""
        return data_sets_enough(len(self.means))

    @property
    def difference(self) -> float | None:
        """The critical difference of mean ranks; None with too few data sets."""
        return critical_difference(len(self.means), len(self.data)) if len(self.data) >= self.enough else None


def critical_difference(methods: int, data_sets: int) -> float:
    """The smallest significant difference of two mean ranks at 5 %, for these numbers of methods and data sets."""
    q = float(stats.studentized_range.ppf(LEVEL, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * data_sets))


def data_sets_enough(methods: int) -> int:
    """The smallest number of data sets for a diagram: mean ranks can differ by more than CD; at least `FEWEST`."""
    if methods < 2:
        return FEWEST
    return max(FEWEST, math.floor((critical_difference(methods, 1) / (methods - 1)) ** 2) + 1)


def rankings(frame: pd.DataFrame) -> list[Ranking]:
    """For each experiment, the methods on all of its data sets; a rank on a data set is the mean over questions.

    Args:
        frame: the frame of `board_frame`; several runs on one data set are averaged.
    """
    ranked = []
    for experiment, rows in frame[frame["ranked"].astype(bool)].groupby("experiment"):
        table = rows.pivot_table("rank", "data", "method").dropna(axis="columns")
        bounds = (1.0, float(max(2, rows.groupby(["run", "case", "metric"])["method"].nunique().max())))
        means = {str(m): over_seeds(table[m].tolist(), bounds=bounds) for m in table.columns}
        order = sorted(means, key=lambda m: means[m].mean)
        titles = {str(m): str(t) for m, t in rows.groupby("method")["title"].first().items()}
        ranked.append(Ranking(str(experiment), [str(d) for d in table.index], {m: means[m] for m in order}, titles))
    return ranked
