"""Command line: features of the real images that drawn ones are compared with, and the floor of that comparison.

The floor is what the metrics say of other real images, as many as a method draws: no method can be expected below it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbench.data import read_prepared
from mmbench.errors import run_command
from mmbench.experiments import Case
from mmbench.features import load_extractor
from mmbench.files import read_json, save_arrays, sha256_arrays, write_json
from mmbench.provenance import provenance
from mmbench.runtime import choose_device
from mmbench.scores import Scored
from mmbench.scores._distribution import SEED, distribution_scores


def other_images(data: Path, reference: str, count: int) -> tuple[str, np.ndarray]:
    """Name of another split and `count` of its images, drawn without replacement; all of them if there are fewer."""
    split = "train" if reference != "train" else "test"
    images = read_prepared(data, split)["image"]
    order = np.random.default_rng(SEED).permutation(len(images))[:count]
    return split, images[np.sort(order)]


def write_reference(
    settings: Mapping[str, Any], *, weights: Path, data: Path, out: Path, device: torch.device
) -> dict[str, Any]:
    """Write `out`/reference.npz (features) and reference.json; returns what the JSON holds.

    Raises:
        UserError: the weights or the data are missing, or there are too few images.
    """
    evaluate = settings["evaluate"]
    split, count = evaluate["reference"], evaluate["samples"]
    images = read_prepared(data, split)["image"]
    other_split, other = other_images(data, split, count)
    extractor = load_extractor(weights, device)
    resize = extractor.resize_name(*images.shape[2:])
    real, fake = extractor(images), extractor(other)
    floor = Scored()
    case = Case("floor", "generate", len(other))
    for measure, value, detail in distribution_scores(extractor, real, fake, resize):
        floor.add(case, measure, value, len(fake), {**detail, "real_split": split, "fake_split": other_split})
    save_arrays(out / "reference.npz", {"features": real})
    record = {
        "schema": 1,
        "experiment": settings["experiment"],
        "split": split,
        "n": len(real),
        "images_sha256": sha256_arrays({"image": images}),
        "extractor": extractor.name,
        "weights_sha256": extractor.weights_sha256,
        "resize": resize,
        "floor": {"split": other_split, "n": len(fake), "wanted": count, "seed": SEED},
        "metrics": floor.metrics,
        "provenance": provenance(settings, {"data": data / "card.json", "weights": weights / "weights.json"}),
    }
    write_json(out / "reference.json", record)
    return record


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m mmbench.reference --settings S.json --weights DIR --data DIR --out DIR`."""
    parser = argparse.ArgumentParser(prog="python -m mmbench.reference", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="JSON: experiment, evaluate")
    parser.add_argument("--weights", type=Path, required=True, help="folder that mmbench.weights wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder that mmbench.prepare_data wrote")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads to compute with")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu or cuda")
    parser.add_argument("--out", type=Path, required=True, help="folder for reference.npz and reference.json")
    args = parser.parse_args(argv)
    device = choose_device(args.device, args.threads)
    settings = read_json(args.settings)
    record = write_reference(settings, weights=args.weights, data=args.data, out=args.out, device=device)
    for row in record["metrics"]:
        print(f"real against real: {row['name']} {row['value']:.4f} ({record['n']} and {row['n']} images)")


if __name__ == "__main__":
    run_command(main)
