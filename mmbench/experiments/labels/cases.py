"""The cases of labels: clean and noised test images, and labels in the proportions of the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmbench.experiments.experiment import Case
from mmbench.files.store import Arrays
from mmbench.modalities import Modality
from mmbench.modalities.image import to_unit

SEED = 0


def noised(image: np.ndarray, alpha_bar: float) -> Arrays:
    """The inputs of the tasks on noised images, from images uint8 (n, 3, h, w): float16, to halve the file.

    The noise of an image is the same at every level and on every machine, so that only the level differs.
    """
    x, generator = to_unit(torch.from_numpy(image)), torch.Generator().manual_seed(SEED)
    z = alpha_bar**0.5 * x + (1 - alpha_bar) ** 0.5 * torch.randn(x.shape, generator=generator)
    return {"noised_image": z.half().numpy(), "alpha_bar": np.full(len(image), alpha_bar, np.float32)}


def in_proportion(label: np.ndarray, count: int) -> np.ndarray:
    """`count` labels, int64, in the proportions of `label` (n,) to the nearest whole item, in a fixed random order.

    They are evenly spaced quantiles of the sorted labels, so `count` may be smaller or larger than n.
    """
    places = (2 * np.arange(count) + 1) * len(label) // (2 * count)
    drawn: np.ndarray = np.sort(label)[places].astype(np.int64)
    return np.random.default_rng(SEED).permutation(drawn)


def cases(test: Arrays, modalities: Mapping[str, Modality], settings: Mapping[str, Any]) -> list[Case]:
    """Cases of classifying clean images and images at each of `noise_levels`, of `paint`, and of `generate`.

    The images to classify are the first `evaluate.reconstructions` of the test split. `paint` and `generate` have
    `evaluate.samples` items, because generated images are compared as a set. The labels of `paint` have the proportions
    of the test split, so that the shares of the classes contribute nothing to the distance from real images.
    """
    evaluate = settings["evaluate"]
    image, label = (test[name][: evaluate["reconstructions"]] for name in ("image", "label"))
    asked = [Case("classify", "classify", len(image), {"image": image}, {"label": label})]
    for level in settings["noise_levels"]:
        name, detail = f"noised-{round(100 * level)}", {"alpha_bar": level}
        asked.append(Case(name, "classify_noised", len(image), noised(image, level), {"label": label}, detail))
    painted = in_proportion(test["label"], evaluate["samples"])
    return [
        *asked,
        Case("paint", "paint", len(painted), {"label": painted}),
        Case("generate", "generate", evaluate["samples"]),
    ]
