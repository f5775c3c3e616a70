"""A tree of results in the stages' formats, with made-up numbers, for tests of what reads results. Never a result."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.files.store import save_arrays, sha256_arrays, write_json

SHARES = (0.10, 0.25, 0.50, 0.75)
HIGHER = {"lpips_alex": False, "lpips_vgg": False, "psnr_hole": True, "ssim": True, "l1_hole": False}
FD, OTHER = "[vgg16-relu5_3-gap]", "[efficientnet-lite0]"


@dataclass(frozen=True)
class Fake:
    """A made-up method: its error relative to the others', the tasks it does, how it works, how its seeds differ.

    `seen` is its FD by a second extractor; 0 if there is none.
    """

    name: str
    title: str
    error: float
    tasks: tuple[str, ...] = ("reconstruct",)
    nfe: float = 1.0
    parameters: int = 2_690_000
    wobble: float = 0.0
    seen: float = 0.0


METHODS = (
    Fake("mt_diffusion", "MT-Diffusion", 1.15, ("reconstruct", "generate"), 50),
    Fake("mt_diffusion@zero", "MT-Diffusion, ω = 0", 1.3, ("reconstruct", "generate"), 50),
    Fake("unet_regression", "U-Net regression", 1.0),
    Fake("reconstruction_only", "Reconstruction only (twin)", 1.08),
    Fake("palette", "Palette-type diffusion", 1.4, nfe=50),
    Fake("repaint", "RePaint on the DDPM", 1.9, nfe=500, parameters=0),
    Fake("ddpm", "DDPM", 1.0, ("generate",), 50),
    Fake("biharmonic", "Biharmonic inpainting", 3.2, nfe=0, parameters=0),
    Fake("mean_fill", "Mean fill", 6.0, nfe=0, parameters=0),
)


def pictures(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Smooth random pictures, uint8 (count, 3, size, size)."""
    coarse = rng.integers(30, 226, (count, 3, 4, 4)).astype(np.uint8)
    return coarse.repeat(size // 4, axis=2).repeat(size // 4, axis=3)


def write_data(folder: Path, size: int) -> None:
    card = {
        "name": "toy_streets",
        "title": "Toy streets",
        "provenance": "made up for a test",
        "licence": "CC0-1.0",
        "version": 1,
        "size": [size, size],
        "classes": ["sky", "road"],
        "palette": [[120, 180, 255], [90, 90, 90]],
        "labels": ["day", "night"],
        "notes": ["a note with <angle> brackets"],
        "splits": {name: {"count": n, "sha256": "ab" * 32} for name, n in (("train", 400), ("test", 40))},
    }
    write_json(folder / "card.json", card)


def write_cases(folder: Path, rng: np.random.Generator, items: int, size: int) -> dict[str, np.ndarray]:
    arrays, described = {}, []
    truth = pictures(rng, items, size)
    for share in SHARES:
        seen = (rng.random((items, 1, size, size)) >= share).astype(np.uint8)
        name = f"reconstruct-{round(100 * share)}"
        masked = np.concatenate([truth * seen, seen * 255], axis=1)
        own = {f"{name}/given/masked_image": masked, f"{name}/truth/image": truth}
        arrays |= own
        described.append(
            {"name": name, "task": "reconstruct", "count": items, "share": share, "given": ["masked_image"],
             "want": ["image"], "sha256": sha256_arrays(own)}
        )  # fmt: skip
    described.append(
        {"name": "generate", "task": "generate", "count": items, "given": [], "want": ["image"], "sha256": "cd" * 32}
    )
    save_arrays(folder / "cases.npz", arrays)
    write_json(folder / "cases.json", {"experiment": "masking", "cases": described})
    return arrays


def item_values(method: Fake, seed: int, items: int) -> dict[tuple[str, str], np.ndarray]:
    """Per-image values by case and metric: images are equally hard for all, seeds differ a little, or by `wobble`."""
    hard = np.random.default_rng(7).gamma(4.0, 0.25, items)
    own = np.random.default_rng([*method.name.encode()])
    rng = np.random.default_rng([seed, *method.name.encode()])
    level = (1 + 0.02 * seed) * (1 + method.wobble * (0, 1, -1)[seed % 3])
    values = {}
    for share in SHARES:
        case = f"reconstruct-{round(100 * share)}"
        tilt = method.error * (1 - 0.3 * (method.name == "mt_diffusion") * (share >= 0.75))
        taste = own.lognormal(0, 0.1, items) * rng.lognormal(0, 0.01, items)
        lpips = 0.012 * (share / 0.1) ** 1.2 * tilt * hard * taste * level
        values[case, "lpips_alex"] = lpips
        values[case, "lpips_vgg"] = lpips * 1.8 + 0.01
        values[case, "psnr_hole"] = 24 - 20 * np.log10(np.maximum(lpips / 0.012, 0.05)) * 0.4
        values[case, "ssim"] = np.clip(1 - 2 * lpips, 0, 1)
        values[case, "l1_hole"] = lpips * 0.9
    return values


def metric_rows(method: Fake, seed: int, items: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if "reconstruct" in method.tasks:
        for (case, metric), value in item_values(method, seed, items).items():
            extractor = metric.replace("_", "-") if metric.startswith("lpips") else None
            rows.append(
                {"name": metric, "case": case, "share": int(case.split("-")[1]) / 100, "value": float(value.mean()),
                 "n": items, "higher_is_better": HIGHER[metric], "extractor": extractor,
                 "weights_sha256": "ef" * 32 if extractor else None, "detail": {"over": "mean of the items"}}
            )  # fmt: skip
    if "generate" in method.tasks:
        fd = 33.0 * (1 + 0.8 * (method.error - 1)) + seed
        for metric, value, higher in (("fd", fd, False), ("kd", fd / 900, False), ("precision@k5", 0.6, True),
                                      ("recall@k5", 0.4, True)):  # fmt: skip
            rows.append(
                {"name": metric + FD, "case": "generate", "value": value, "n": items, "higher_is_better": higher,
                 "extractor": FD[1:-1], "weights_sha256": "01" * 32,
                 "detail": {"n_real": items, "n_fake": items, "resize": "none"}}
            )  # fmt: skip
        if method.seen:
            for row in [row for row in rows if row["extractor"] == FD[1:-1]]:
                value = method.seen + seed if row["name"].startswith("fd") else row["value"]
                rows.append({**row, "name": row["name"].replace(FD, OTHER), "extractor": OTHER[1:-1], "value": value})
    return rows


def write_training(folder: Path, method: Fake, seed: int, provenance: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    steps = np.arange(6, 601, 6)
    curve = [
        {"step": int(s), "images_per_second": 500.0, "loss": float(0.8 / np.sqrt(s) * rng.lognormal(0, 0.15) + 0.02)}
        for s in steps
    ]
    trained = method.parameters > 0
    write_json(
        folder / "training.json",
        {"parameters": method.parameters, "steps": 600 * trained, "images_seen": 38_400 * trained,
         "flops": 4.1e13 * trained, "seconds": 80.0 * trained, "peak_memory_bytes": 7 * 10**8, "device": "cpu",
         "curve": curve if trained else [], "validation_curve": [
             {"step": step, "loss": 0.05 + (0.01 if method.name == "ddpm" else -0.01) * step / 600}
             for step in range(30, 601, 30)
         ] if trained else [], "settings": {"train": {"steps": 600, "batch_size": 64}}, "seed": seed,
         "provenance": {**provenance, "method": method.name}},
    )  # fmt: skip


def trajectory(answer: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """From noise to an answer (3, h, w), as mmbench.stages.predict writes it."""
    noise, shares = rng.integers(0, 256, answer.shape), np.linspace(0, 1, 9)
    frames = np.stack([noise * (1 - share) + answer * share for share in shares]).round().astype(np.uint8)
    return {"generate/image": frames, "generate/step": np.array([1000, *range(1000, 0, -125)])}


def write_run(
    folder: Path,
    method: Fake,
    seed: int,
    items: int,
    cases: dict[str, np.ndarray],
    *,
    predictions: bool,
    share: float = 1.0,
) -> None:
    provenance = {"git": {"sha": "0123abc", "dirty": False}, "packages": {"numpy": "2.4", "scipy": "1.17"}}
    rows = metric_rows(method, seed, items)
    names = [f"reconstruct-{round(100 * share)}" for share in SHARES] if "reconstruct" in method.tasks else []
    names += ["generate"] if "generate" in method.tasks else []
    write_training(folder, method, seed, provenance)
    write_json(
        folder / "predictions.json",
        {"cases": {name: {"nfe": method.nfe, "seconds": 3.0} for name in names}, "device": "cpu",
         "peak_memory_bytes": 6 * 10**8, "provenance": provenance,
         "tuned": {"resample": 3.0} if method.name == "repaint" else {}},
    )  # fmt: skip
    cost = {
        "parameters": method.parameters, "images_seen": round(38_400 * share) if method.parameters else 0,
        "training_flops": 4.1e13 * share if method.parameters else 0, "nfe": dict.fromkeys(names, method.nfe),
        "train_seconds": (80.0 + seed) * share, "predict_seconds": 15.0, "peak_memory_bytes": 7 * 10**8,
        "device": "cpu",
    }  # fmt: skip
    write_json(
        folder / "metrics.json",
        {"schema": 1, "experiment": "masking", "method": method.name, "title": method.title, "seed": seed,
         "metrics": rows, "cost": cost, "provenance": provenance},
    )  # fmt: skip
    with (folder / "items.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case", "item", "metric", "value"])
        if "reconstruct" in method.tasks:
            for (case, metric), values in item_values(method, seed, items).items():
                writer.writerows((case, i, metric, value) for i, value in enumerate(values))
    if predictions:
        rng = np.random.default_rng(seed)
        truth = cases["reconstruct-10/truth/image"]
        noise = rng.integers(-1, 2, truth.shape) * 25 * method.error
        blurred = np.clip(truth + noise, 0, 255).astype(np.uint8)
        save_arrays(folder / "predictions.npz", {f"{name}/image": blurred for name in names})
        if "generate" in names and method.nfe > 1:
            save_arrays(folder / "trajectory.npz", trajectory(blurred[0], rng))


def write_results(
    folder: Path,
    *,
    methods: Sequence[Fake] = METHODS,
    seeds: Sequence[int] = (0, 1, 2),
    items: int = 40,
    size: int = 32,
    predictions: bool = True,
    snapshots: Sequence[float] = (),
) -> Path:
    """Write a whole profile's results below `folder` and return it.

    Snapshots, at these shares of a training, are of trained methods but for variants, and worse the earlier they are.
    """
    rng = np.random.default_rng(0)
    write_data(folder / "data", size)
    masking = folder / "masking"
    cases = write_cases(masking, rng, items, size)
    real = [
        {"name": name + FD, "case": "floor", "value": value, "n": items, "higher_is_better": higher}
        for name, value, higher in (("fd", 4.6, False), ("kd", 0.001, False), ("precision@k5", 0.9, True))
    ]
    write_json(
        masking / "reference.json",
        {
            "schema": 1,
            "split": "test",
            "n": items,
            "extractors": {FD[1:-1]: {"weights_sha256": "01" * 32}},
            "floor": {"split": "train", "n": items},
            "metrics": real,
        },
    )
    for method in methods:
        for seed in seeds:
            run = masking / method.name / f"seed{seed}"
            run.mkdir(parents=True)
            write_run(run, method, seed, items, cases, predictions=predictions)
            for share in snapshots if method.parameters and "@" not in method.name else ():
                (run / f"at{share}").mkdir()
                worse = replace(method, error=method.error * share**-0.5)
                write_run(run / f"at{share}", worse, seed, items, cases, predictions=False, share=share)
    return folder
