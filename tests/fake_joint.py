"""Results of the joint experiment: made-up numbers over drawn toy streets, for tests of the report. Never a result."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from fake_results import FD, write_data

from mmbench.data import DataSettings, card, load
from mmbench.files.store import read_json, save_arrays, write_json

FOUR = ("image", "mask", "label", "embedding")
DIM, SIZE, CLASSES = 64, 32, 9
EXTRACTOR = FD
#: Title, quality from 0 to 1, cells as (case, what is answered); None for every case.
METHODS: dict[str, tuple[str, float, list[tuple[str, tuple[str, ...]]] | None]] = {
    "mt_diffusion": ("MT-Diffusion", 0.70, None),
    "mt_diffusion@guided": ("MT-Diffusion [guided]", 0.72, None),
    "mt_diffusion@uncertainty": ("MT-Diffusion [uncertainty]", 0.68, None),
    "mt_diffusion@half_labelled": ("MT-Diffusion [half_labelled]", 0.64, None),
    **{
        f"pair_{m}": (
            f"MT-Diffusion, image and {m}",
            0.74,
            [("generate", ("image", m)), ("from_image", (m,)), (f"from_{m}", ("image",))],
        )
        for m in ("mask", "label", "embedding")
    },
    "pair_masked": ("MT-Diffusion, image and masked", 0.73, [("generate", ("image",)), ("reconstruct", ("image",))]),
}
SINGLES = {
    "segmenter": ("Segmenter", 0.78, [("from_image", ("mask",))]),
    "classifier": ("Classifier", 0.80, [("from_image", ("label",))]),
    "regressor": ("Regressor", 0.66, [("from_image", ("embedding",))]),
    "inpainter": ("Inpainter", 0.71, [("reconstruct", ("image",))]),
    "ddpm": ("DDPM", 0.69, [("generate", ("image",))]),
    **{f"painter_{m}": (f"Painter of {m}s", 0.72, [(f"from_{m}", ("image",))]) for m in ("mask", "label", "embedding")},
}
METHODS |= SINGLES
METHODS["segmenter@half_labelled"] = ("Segmenter [half_labelled]", 0.7, [("from_image", ("mask",))])
METHODS |= {f"{n}@per_task": (f"{title} [per_task]", q - 0.12, cells) for n, (title, q, cells) in SINGLES.items()}


def questions(there: Sequence[str]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Given and wanted of every case of a data set with these modalities."""
    found = {"generate": ((), tuple(there))}
    for size in range(1, len(there)):
        for given in combinations(there, size):
            found["from_" + "_".join(given)] = given, tuple(m for m in there if m not in given)
    return {**found, "reconstruct": (("masked_image",), tuple(there))}


def value(quality: float, seed: int, *key: str) -> float:
    """A number around a quality, the same for the same key."""
    rng = np.random.default_rng([seed, *"/".join(key).encode()])
    hard = np.random.default_rng([*"/".join(key[1:]).encode()])
    return float(np.clip(quality - 0.12 * hard.random() + 0.003 * rng.normal(), 0, 1))


def row(case: str, name: str, number: float, n: int, higher: bool = True) -> dict[str, Any]:
    return {"name": name, "case": case, "value": number, "n": n, "higher_is_better": higher, "extractor": None,
            "weights_sha256": None, "detail": {}}  # fmt: skip


def case_rows(name: str, case: str, given: Sequence[str], answered: Sequence[str], there: Sequence[str], q: float,
              seed: int, n: int) -> list[dict[str, Any]]:  # fmt: skip
    """The metrics of a case, as mmbench.experiments.joint.scores names them."""
    more = 0.05 * (len(given) - 1)

    def at(part: str) -> float:
        return value(q + more, seed, name, case, part)

    truth = {"mask": "miou", "label": "accuracy", "embedding": "cosine", "depth": "delta"}
    rows = [row(case, truth[m], at(m), n) for m in answered if m in truth and given]
    if "depth" in answered and given:
        rows += [row(case, "abs_rel", 1 - at("depth"), n, False), row(case, "rmse", 50 * (1 - at("depth")), n, False)]
    if "image" not in answered:
        return rows
    if "masked_image" in given:
        rows += [row(case, m, 0.2 * (1 - at(m)), n, False) for m in ("lpips_alex", "lpips_vgg")]
    else:
        rows.append(row(case, f"fd{FD}", 150 * (1 - at("fd")), n, False))
    partners = [m for m in there if m != "image" and (m in answered or m in given)]
    agreed = {"mask": ("judged_miou", "shuffled_miou"), "label": ("judged_accuracy", "shuffled_accuracy"),
              "embedding": (f"cosine{EXTRACTOR}", f"shuffled_cosine{EXTRACTOR}"),
              "depth": ("judged_delta", "shuffled_delta")}  # fmt: skip
    for m in partners:
        judged, chance = agreed[m]
        rows += [row(case, judged, at(judged) - 0.1, n), row(case, chance, 0.25 + 0.05 * at(chance), n)]
    return rows


def cosines(there: Sequence[str], seed: int) -> list[dict[str, Any]]:
    terms = ["generate", *(f"recover_{m}" for m in ("image", *there[1:]))]
    rng, pairs = np.random.default_rng(seed), list(combinations(terms, 2))
    means = np.random.default_rng(1).normal(0.02, 0.12, len(pairs))

    def at(step: int, mean: float) -> float:
        return float(np.clip(mean + 0.15 * np.exp(-step / 400) + 0.05 * rng.normal(), -1, 1))

    names = [",".join(pair) for pair in pairs]
    return [
        {"step": step, "pairs": {pair: at(step, mean) for pair, mean in zip(names, means, strict=True)}}
        for step in range(40, 1601, 40)
    ]


def write_run(folder: Path, name: str, seed: int, there: Sequence[str], data: dict[str, np.ndarray], *,
              predictions: bool, gradients: bool) -> None:  # fmt: skip
    title, q, cells = METHODS[name]
    asked, n = questions(there), len(data["image"])
    own = dict(cells) if cells else {case: want for case, (_, want) in asked.items()}
    run, rows, items, arrays = folder / name / f"seed{seed}", [], [], {}
    rng = np.random.default_rng([seed, *name.encode()])
    for case, (given, want) in asked.items():
        answered = [m for m in want if m in own.get(case, ())]
        if not answered:
            continue
        rows += case_rows(name, case, given, answered, there, q, seed, n)
        per_item = [r for r in rows if r["case"] == case and r["name"].startswith(("accuracy", "cosine", "lpips_alex"))]
        for r in per_item:
            values = r["value"] + 0.02 * np.random.default_rng([7, seed]).normal(size=n)
            r["value"] = float(values.mean())
            items += [(case, i, r["name"], v) for i, v in enumerate(values)]
        order = rng.permutation(n) if not given else np.arange(n)
        arrays |= {f"{case}/{m}": answer(m, data[m][order], rng) for m in answered}
    cost = {"parameters": 1_400_000, "images_seen": 51_200, "train_seconds": 600.0, "device": "cpu",
            "nfe": dict.fromkeys(own, 20)}  # fmt: skip
    write_json(run / "metrics.json", {"schema": 1, "experiment": "joint", "method": name, "title": title, "seed": seed,
                                      "metrics": rows, "cost": cost, "provenance": {}})  # fmt: skip
    training = {"parameters": 1_400_000, "curve": [], "settings": {}, "seed": seed, "provenance": {}}
    if gradients and name == "mt_diffusion":
        training["gradient_cosines"] = cosines(there, seed)
    write_json(run / "training.json", training)
    with (run / "items.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("case", "item", "metric", "value"), *items])
    if predictions:
        save_arrays(run / "predictions.npz", arrays)


def answer(name: str, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The truth, a little wrong, as predictions are stored."""
    if name == "image":
        return np.clip(truth + rng.normal(0, 14, truth.shape), 0, 255).astype(np.uint8)
    if name == "mask":
        wrong = rng.random(truth.shape) < 0.04
        return np.where(wrong, np.roll(truth, 1, axis=2), truth).astype(np.uint8)
    if name == "label":
        scores = 2.5 * np.eye(CLASSES)[truth] + rng.normal(0, 0.8, (len(truth), CLASSES))
        return (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)
    if name == "depth":
        return (np.nan_to_num(truth, nan=200) * np.exp(rng.normal(0, 0.1, truth.shape))).astype(np.float32)
    return (truth + rng.normal(0, 0.5, truth.shape)).astype(np.float32)


def write_joint(
    folder: Path,
    *,
    there: Sequence[str] = FOUR,
    methods: Sequence[str] = tuple(METHODS),
    seeds: Sequence[int] = (0, 1, 2),
    items: int = 10,
    predictions: bool = True,
    gradients: bool = True,
    reference: bool = True,
) -> Path:
    """Write a profile's results of the joint experiment below `folder` and return it."""
    settings = DataSettings("toy_streets", size=(SIZE, SIZE), train=2, test=items)
    data, told = load("test", settings), card(settings)
    images = data["image"].reshape(items, -1).astype(float)
    embedding = (images - images.mean(axis=0)) @ np.random.default_rng(0).normal(size=(images.shape[1], DIM))
    data["embedding"] = (embedding / embedding.std(axis=0)).astype(np.float32)
    seen = np.repeat(np.repeat(np.random.default_rng(0).random((items, 1, 8, 8)) > 0.4, 4, axis=2), 4, axis=3)
    data["masked_image"] = np.concatenate([data["image"] * seen, seen * 255], axis=1).astype(np.uint8)
    write_data(folder / "data", SIZE)
    write_json(folder / "data" / "card.json", read_json(folder / "data" / "card.json") | {
        "classes": list(told.classes), "palette": [list(c) for c in told.palette],
        "labels": list(told.labels) if "label" in there else []})  # fmt: skip
    own, arrays, cases = folder / "joint", {}, []
    for case, (given, want) in questions(there).items():
        arrays |= {f"{case}/given/{m}": data[m] for m in given}
        arrays |= {f"{case}/truth/{m}": data[m] for m in want if given}
        cases.append({"name": case, "task": case, "count": items, "given": list(given), "want": list(want),
                      "sha256": "cd" * 32})  # fmt: skip
    save_arrays(own / "cases.npz", arrays)
    write_json(own / "cases.json", {"experiment": "joint", "cases": cases})
    if reference:
        real = [row("floor", f"fd{FD}", 4.5, items, False), row("ceiling", "judged_miou", 0.81, items)]
        real += [row("floor", "shuffled_miou", 0.28, items), row("floor", f"shuffled_cosine{EXTRACTOR}", 0.02, items)]
        if "label" in there:
            real += [row("ceiling", "judged_accuracy", 0.93, items), row("floor", "shuffled_accuracy", 0.2, items)]
        if "depth" in there:
            real += [row("ceiling", "judged_delta", 0.9, items), row("floor", "shuffled_delta", 0.3, items)]
        write_json(own / "reference.json", {
            "schema": 1, "split": "test", "n": items, "extractors": {FD[1:-1]: {"weights_sha256": "01" * 32}},
            "floor": {"split": "train", "n": items}, "metrics": real,
        })  # fmt: skip
    for name in methods:
        cells = METHODS[name][2]
        known = questions(there)
        if cells and not any(case in known and set(want) & set(known[case][1]) for case, want in cells):
            continue
        for seed in seeds:
            write_run(own, name, seed, there, data, predictions=predictions, gradients=gradients)
    return folder
