"""What scoring takes from its start to its end, what the cache saves, and what another program takes."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from made_up import features, made_up, write_run
from overhead import measured
from torch import nn

from mmbench.experiments.experiment import read_cases
from mmbench.frozen.features import EXTRACTOR, load_extractor
from mmbench.frozen.lpips import Net, load_lpips
from mmbench.scoring.distribution import KERNEL_SUBSET_SIZE, KERNEL_SUBSETS, NEIGHBOURS, SEED
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.kernel import kernel_distance
from mmbench.scoring.metrics.neighbours import neighbour_scores
from mmbench.scoring.metrics.perceptual import lpips_of_stored

#: Wall and CPU seconds, the latter over all threads.
Seconds = dict[str, float]


def timed(call: Callable[[], Any]) -> tuple[Any, Seconds]:
    """What a call returns, and its seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def whole(experiment: str, count: int, weights: Path, threads: int) -> dict[str, Any]:
    """Seconds and memory of `mmbench.stages.evaluate` in a process of its own: first without a cache, then with it.

    Args:
        experiment: masking, or another without a judge.
        count: images in all its cases together.
        weights: folder that `python -m mmbench.stages.lpips` wrote.
        threads: CPU threads to compute with.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_run(experiment, 2, Path(folder), weights)
        cases = len(read_cases(Path(folder) / "cases"))
    measurement: dict[str, Any] = {"experiment": experiment, "images": count // cases * cases, "cases": cases}
    with tempfile.TemporaryDirectory() as folder:
        flags = write_run(experiment, count // cases, Path(folder), weights)
        command = [sys.executable, "-m", "mmbench.stages.evaluate", *flags, "--threads", str(threads)]
        return measurement | {name: measured(command) for name in ("without a cache", "with it")}


def network_costs(weights: Path, count: int) -> list[dict[str, Any]]:
    """Seconds of VGG16's features of `count` images of 32 x 32, and of LPIPS of as many pairs, after a warm-up.

    Args:
        weights: folder that `python -m mmbench.stages.lpips` wrote.
        count: of the images.
    """
    device = torch.device("cpu")
    extractor, first, second = load_extractor(weights, device), made_up("image", count, 1), made_up("image", count, 2)

    def lpips(module: nn.Module, n: int) -> list[np.ndarray]:
        return lpips_of_stored(module, first[:n], [second[:n]], device)

    calls: dict[str, Callable[[int], Any]] = {EXTRACTOR: lambda n: extractor(first[:n])}
    calls |= {f"lpips-{net}": partial(lpips, load_lpips(net, weights, device)) for net in get_args(Net)}
    rows = []
    for name, call in calls.items():
        call(min(count, 50))
        rows.append({"network": name, "images": count, "seconds": timed(partial(call, count))[1]})
    return rows


def torch_fidelity(count: int) -> list[dict[str, Any]]:
    """Values and seconds of FD, KD, precision and recall of `count` made-up features, by us and by torch-fidelity."""
    from torch_fidelity.metric_fid import (  # noqa: PLC0415  # a dependency of the tests
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )
    from torch_fidelity.metric_kid import kid_features_to_metric  # noqa: PLC0415
    from torch_fidelity.metric_prc import prc_features_to_metric  # noqa: PLC0415

    real, fake = features(count, 0), features(count, 1)
    x, y = torch.from_numpy(real), torch.from_numpy(fake)
    subsets = {"subsets": KERNEL_SUBSETS, "subset_size": min(KERNEL_SUBSET_SIZE, count // 2)}
    theirs = {f"kid_{name}": value for name, value in subsets.items()}

    def distance() -> dict[str, float]:
        return fid_statistics_to_metric(*map(fid_features_to_statistics, (x, y)), verbose=False)

    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "fd": (lambda: frechet_distance(real, fake), distance),
        "kd": (
            lambda: kernel_distance(real, fake, **subsets, seed=SEED)[0],
            lambda: kid_features_to_metric(x, y, **theirs, rng_seed=SEED, verbose=False),
        ),
        "precision, recall": (
            lambda: neighbour_scores(real, fake, k=NEIGHBOURS),
            lambda: prc_features_to_metric(y, x, prc_neighborhood=NEIGHBOURS, verbose=False),
        ),
    }
    rows = []
    for name, (ours, others) in pairs.items():
        mine, first = timed(ours)
        yours, second = timed(others)
        values = {"mmbench": mine, "torch-fidelity": {key: float(value) for key, value in yours.items()}}
        rows.append({"metric": name, "values": values, "seconds": {"mmbench": first, "torch-fidelity": second}})
    return rows
