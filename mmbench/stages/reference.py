"""Write features of the real images for comparison with generated ones, and the floor of that comparison.

The floor is the metrics' value on other real images, as many as a method generates: no method can be expected below it.
The ceiling, if an experiment has a judge, is the judge's value on real data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from typer import Option

from mmbench.command import stage_main
from mmbench.config.extractors import described, named, user_code
from mmbench.data import read_prepared
from mmbench.errors import run_command
from mmbench.experiments.experiment import Case, load_experiment, used_modalities, whole_items
from mmbench.files.locks import alone
from mmbench.files.store import Arrays, save_arrays, sha256_arrays, write_json
from mmbench.frozen.features import stored, vectors
from mmbench.frozen.judges import load_judge
from mmbench.models.device import choose_device, hardware
from mmbench.runs.provenance import provenance
from mmbench.runs.records import read_card, read_settings
from mmbench.scoring.distribution import SEED, distribution_scores
from mmbench.scoring.scores import Scored, Tools, score_floor, score_real
from mmbench.stages._options import CacheFolder, DataFolder, Device, JudgeFolder, NetworksFolder, SettingsFile, Threads


def split_items(data: Path, split: str, settings: Mapping[str, Any]) -> Arrays:
    """The items of a split that have all used modalities."""
    used = used_modalities(load_experiment(settings["experiment"]), read_card(data), settings)
    return whole_items(read_prepared(data, split), used, f"{data / split}.npz: {settings['experiment']}")


def other_items(data: Path, settings: Mapping[str, Any]) -> tuple[str, Arrays]:
    """Name of another split and as many of its items, without replacement, as are generated; all if there are fewer."""
    split, count = "train" if settings["evaluate"]["reference"] != "train" else "test", settings["evaluate"]["samples"]
    arrays = split_items(data, split, settings)
    order = np.sort(np.random.default_rng(SEED).permutation(len(arrays["image"]))[:count])
    return split, {name: array[order] for name, array in arrays.items()}


def tools_for(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    data: Path,
    out: Path,
    judge: Path | None,
    device: torch.device,
    cache: Path | None,
) -> Tools:
    """The tools for scoring real data: the networks and the experiment's judge, if it has one, without reference."""
    features = named(settings["evaluate"])
    card, experiment = read_card(data), settings["experiment"]
    modalities = used_modalities(load_experiment(experiment), card, settings)
    loaded = load_judge(judge, experiment, modalities, device) if judge else None
    return Tools(weights, out / "reference.npz", device, loaded, card, data, cache, features)


def about_extractors(tools: Tools, evaluate: Mapping[str, Any], size: tuple[int, ...]) -> dict[str, dict[str, str]]:
    """The records of each extractor for images of a size, by its name, in order."""
    entries = {}
    for extractor, entry in zip(tools.extractors, named(evaluate), strict=True):
        about = described(entry, tools.weights)
        entries[extractor.name] = {
            "weights_sha256": extractor.weights_sha256,
            "resize": extractor.resize_name(*size),
            "source": about.source,
            "licence": about.licence,
        }
    return entries


def write_reference(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    data: Path,
    out: Path,
    device: torch.device,
    judge: Path | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Write `out`/reference.npz (features and vectors of the real split) and reference.json; returns the latter.

    Args:
        settings: the experiment, the section `evaluate`, and `modalities` if not all are used.
        weights: folder that `python -m mmbench.stages.lpips` wrote.
        data: folder that `python -m mmbench.stages.data` wrote.
        judge: folder of the experiment's trained judge, if it has one.
        cache: folder for outputs of networks, which are read instead of computed again; None for no cache.

    Raises:
        UserError: the weights or the data are missing, or there are too few images.
    """
    evaluate = settings["evaluate"]
    split, count = evaluate["reference"], evaluate["samples"]
    arrays = split_items(data, split, settings)
    images = arrays["image"]
    other_split, other = other_items(data, settings)
    name = settings["experiment"]
    tools = tools_for(settings, weights=weights, data=data, out=out, judge=judge, device=device, cache=cache)
    features, floor = {}, Scored()
    for extractor in tools.extractors:
        real, fake = (tools.features(extractor, seen) for seen in (images, other["image"]))
        features[extractor.name] = real
        resize, case = extractor.resize_name(*images.shape[2:]), Case("floor", "generate", len(fake))
        for measure, value, detail in distribution_scores(extractor, real, fake, resize):
            floor.add(case, measure, value, len(fake), {**detail, "real_split": split, "fake_split": other_split})
    scores = [*score_real(name, arrays, tools).metrics, *score_floor(name, arrays, other, tools).metrics]
    save_arrays(out / "reference.npz", {**stored(features), **vectors(arrays)})
    inputs = {"data": data / "card.json", "weights": weights / "weights.json", **user_code(evaluate, weights)}
    if judge:
        inputs["judge"] = judge / "weights.safetensors"
    record = {
        "schema": 1,
        "experiment": name,
        "split": split,
        "n": len(images),
        "images_sha256": sha256_arrays({"image": images}),
        "extractors": about_extractors(tools, evaluate, images.shape[2:]),
        "floor": {"split": other_split, "n": len(other["image"]), "wanted": count, "seed": SEED},
        "metrics": floor.metrics + scores,
        "hardware": hardware(device),
        "provenance": provenance(settings, inputs),
    }
    write_json(out / "reference.json", record)
    return record


def command(
    settings: SettingsFile,
    weights: NetworksFolder,
    data: DataFolder,
    out: Annotated[Path, Option(help="Folder for reference.npz and reference.json.")],
    judge: JudgeFolder = None,
    cache: CacheFolder = None,
    threads: Threads = 1,
    device: Device = "auto",
) -> None:
    """Write features of the real images for comparison with generated ones, and the floor of that comparison."""
    values, chosen = read_settings(settings, "reference"), choose_device(device, threads)
    with alone(out, "reference"):
        record = write_reference(values, weights=weights, data=data, out=out, device=chosen, judge=judge, cache=cache)
    for row in record["metrics"]:
        print(f"real data, {row['case']}: {row['name']} {row['value']:.4f} ({row['n']} images)")


main = stage_main(command, "reference")

if __name__ == "__main__":
    run_command(main)
