"""How often the report's intervals and tests are wrong, on simulated trainings and images whose truth is known.

A difference of two methods is `seed_s + image_i + rest_si`, with a true mean of 0; `share` of the variance of its mean
is the trainings'. An interval that leaves out 0 is a false reading of retraining: at 95 % there should be 5 in 100.
Beside the report's intervals stands Satterthwaite's, which it does not use. Prints tables; `--out` writes them too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from tables import table, write_record

from mmbench.errors import run_command
from mmbench.runs.provenance import provenance
from mmbench.scoring.statistics import (
    LEVEL,
    Retrained,
    bca_interval,
    holm,
    over_seeds,
    retrained,
    sign_flip_p,
    standard_error,
    summed_p,
)

#: Of the images' share of the per-image values' deviation, what is neither the seed's nor the image's.
REST = 0.5
RESAMPLES = 999
INTERVALS = ("images", "t over seeds", "Satterthwaite", "images and trainings")
Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, count: int) -> np.ndarray:
    """Standard normal values."""
    return rng.normal(size=count)


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Values of mean 0 and variance 1 with the skewness 2 of LPIPS's worst cases: a shifted exponential."""
    return rng.exponential(size=count) - 1


def neighbours(rng: np.random.Generator, count: int, correlation: float = 0.5) -> np.ndarray:
    """Standard normal values in the order of a film, each correlated with the one before."""
    series = rng.normal(size=count)
    for i in range(1, count):
        series[i] = correlation * series[i - 1] + np.sqrt(1 - correlation**2) * series[i]
    return series


IMAGES: dict[str, Draw] = {"normal": normal, "skewed": skewed, "neighbours": neighbours}


def draw(rng: np.random.Generator, seeds: int, images: int, share: float, kind: str) -> np.ndarray:
    """Differences (seeds, images) of mean 0, whose mean has variance 1 without the rest's."""
    of_image = np.sqrt((1 - share) * images)
    training = np.sqrt(share * seeds) * rng.normal(size=(seeds, 1))
    rest = REST * of_image * rng.normal(size=(seeds, images))
    return training + of_image * IMAGES[kind](rng, images) + rest


def satterthwaite(x: np.ndarray) -> tuple[float, float]:
    """Interval of the mean of differences (seeds, images), whose summed error has approximate degrees of freedom."""
    parts = [(standard_error(m) ** 2, m.size - 1) for m in (x.mean(axis=1), x.mean(axis=0))]
    variance = sum(v for v, _ in parts)
    df = variance**2 / sum(v**2 / n for v, n in parts)
    half = float(stats.t.isf((1 - LEVEL) / 2, df)) * np.sqrt(variance)
    return x.mean() - half, x.mean() + half


def intervals(x: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    """Every interval of the mean of differences (seeds, images)."""
    by_seed, by_image = x.mean(axis=1), x.mean(axis=0)
    images = bca_interval(by_image, resamples=RESAMPLES, seed=seed)
    both: Retrained = retrained(by_seed, by_image, images)
    seeds = over_seeds(by_seed.tolist())
    assert seeds.low is not None and seeds.high is not None
    ends = (images, (seeds.low, seeds.high), satterthwaite(x), (both.low, both.high))
    return dict(zip(INTERVALS, ends, strict=True))


def false_readings(runs: int, seeds: int, images: int, share: float, kind: str) -> dict[str, Any]:
    """How often each interval leaves out the truth, and how wide it is beside that of the images."""
    rng = np.random.default_rng([seeds, images, round(100 * share), *kind.encode()])
    readings = [intervals(draw(rng, seeds, images, share, kind), run) for run in range(runs)]
    wrong = {name: float(np.mean([not i[name][0] <= 0 <= i[name][1] for i in readings])) for name in INTERVALS}
    width = {name: float(np.mean([i[name][1] - i[name][0] for i in readings])) for name in INTERVALS}
    return {"images": kind, "seeds": seeds, "share": share, "wrong": wrong, "width": width}


def family_wise(runs: int, cells: int, seeds: int, images: int, share: float) -> dict[str, Any]:
    """How often at least one of a table's cells is called better or worse, all differences being 0.

    All cells are differences from one baseline, so half of their variance is shared.
    """
    rng = np.random.default_rng([cells, seeds, round(100 * share)])
    wrong = np.zeros(2)
    for run in range(runs):
        baseline = draw(rng, seeds, images, share, "skewed")
        differences = [draw(rng, seeds, images, share, "skewed") - baseline for _ in range(cells)]
        p_images = [sign_flip_p(x.mean(axis=0), resamples=RESAMPLES, seed=run) for x in differences]
        sides = [[x.mean(axis=1), x.mean(axis=0)] for x in differences]
        p_both = [summed_p(float(x.mean()), [(standard_error(m), m.size - 1) for m in s])
                  for x, s in zip(differences, sides, strict=True)]  # fmt: skip
        wrong += [min(holm(p)) <= 1 - LEVEL for p in (p_images, p_both)]
    rates = dict(zip(("images", "images and trainings"), (wrong / runs).tolist(), strict=True))
    return {"cells": cells, "seeds": seeds, "share": share, "wrong": rates}


def per_cent(share: float) -> str:
    """0.05 as `5.0`."""
    return f"{100 * share:.1f}"


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record."""
    chance = 196 * np.sqrt(LEVEL * (1 - LEVEL) / record["runs"])
    text = (
        f"{record['runs']:,} simulated comparisons a line, {record['images']} images; per cent of the intervals that "
        f"leave out the truth, which should be 5 (± {chance:.1f} by chance).\n\n"
    )
    header = ["images' values", "share of trainings, %", *INTERVALS, "width, of Satterthwaite's"]
    rows = []
    for line in record["intervals"]:
        wrong, width = line["wrong"], line["width"]
        named = [f"{line['images']}, {line['seeds']} seeds", per_cent(line["share"])]
        relative = width["images and trainings"] / width["Satterthwaite"]
        rows.append([*named, *(per_cent(wrong[name]) for name in INTERVALS), f"{relative:.2f}"])
    text += table(header, rows)
    text += f"\n{record['families_runs']:,} simulated tables a line; per cent with any false reading after Holm.\n\n"
    rows = [
        [f"{f['cells']} cells, {f['seeds']} seeds", per_cent(f["share"]), *map(per_cent, f["wrong"].values())]
        for f in record["families"]
    ]
    return text + table(["table", "share of trainings, %", "images", "images and trainings"], rows)


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/intervals.py`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/intervals.py", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="simulated comparisons of each kind; tables: half of it")
    parser.add_argument("--images", type=int, default=200, help="of each comparison")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    shares = (0.0, 0.25, 0.5, 0.75, 0.95)
    kinds = [(kind, seeds, share) for kind in ("normal", "skewed") for seeds in (2, 3, 5) for share in shares]
    kinds += [("neighbours", 3, share) for share in (0.0, 0.5)]
    families = max(1, args.runs // 2)
    record = {
        "runs": args.runs,
        "families_runs": families,
        "images": args.images,
        "intervals": [false_readings(args.runs, s, args.images, share, kind) for kind, s, share in kinds],
        "families": [family_wise(families, 20, 3, args.images, share) for share in (0.0, 0.5)],
        "provenance": provenance({"runs": args.runs, "images": args.images}, {}),
    }
    print(as_text(record))
    write_record(args.out, record, as_text(record))


if __name__ == "__main__":
    run_command(main)
