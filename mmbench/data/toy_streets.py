"""Toy streets: street scenes drawn by a seeded generator, the dataset that needs no files.

Item i of a split is a function of (VERSION, split, i): another number of items or another size does not change the
street, and no two splits share a seed. A street has hundreds of continuous choices (camera, road, each house, tree,
car, person, sign, the light), so a test street is not a copy of a training street: a model that is good on `test`
cannot have memorised it. `train` can be of any size.
"""

from __future__ import annotations

import numpy as np

from mmbench.data._settings import Card, DataSettings
from mmbench.data.streets.develop import draw
from mmbench.data.streets.plan import make_scene
from mmbench.data.streets.record import CLASSES
from mmbench.data.streets.scene import FACTORS, LABELS, VERSION
from mmbench.files.store import Arrays

#: The sizes of the splits if the settings do not set them.
COUNTS = {"train": 20_000, "validation": 1_000, "test": 5_000}
#: Pixels that are drawn at once: enough to hide numpy's overhead, few enough for the cache.
BATCH = 8 * 1024
#: Bytes of the block from which malloc learns, see `_keep_heap`; it learns from blocks up to 32 MiB.
HEAP = 24 * 2**20

CARD = Card(
    name="toy_streets",
    title="Toy streets",
    provenance="drawn by mmbench.data.toy_streets from a fixed seed for each item; contains no photograph",
    licence="Apache-2.0, like the program",
    modalities=("image", "mask", "label", "depth", "factors"),
    classes=CLASSES,
    palette=((70, 130, 180), (120, 110, 104), (90, 70, 120), (240, 236, 220), (222, 120, 190),
             (86, 150, 60), (40, 70, 190), (214, 40, 70), (236, 214, 110), (246, 150, 40)),
    labels=LABELS,
    factors=FACTORS,
    version=VERSION,
    notes=("mask: class at the pixel's centre, every pixel has one", "label: time of day x weather, balanced",
           "depth: exact, metres along the camera's axis, NaN for the sky",
           "a wider image sees more of the same street"),
)  # fmt: skip


def load(split: str, settings: DataSettings) -> Arrays:
    """Draw a split.

    Returns:
        `image` uint8 (n, 3, h, w), `mask` uint8 (n, h, w), `label` int64 (n,), `depth` float32 (n, h, w) in metres,
        NaN for the sky, and `factors` float32 (n, len(FACTORS)).
    """
    count = settings.count(split) or COUNTS[split]
    height, width = settings.shape
    image = np.empty((count, 3, height, width), np.uint8)
    mask = np.empty((count, height, width), np.uint8)
    depth = np.empty((count, height, width), np.float32)
    label = np.empty(count, np.int64)
    factors = np.empty((count, len(FACTORS)), np.float32)
    _keep_heap()
    step = max(1, BATCH // (height * width))
    for start in range(0, count, step):
        chunk = slice(start, min(start + step, count))
        scenes = [make_scene(split, i) for i in range(chunk.start, chunk.stop)]
        image[chunk], mask[chunk], depth[chunk] = draw(scenes, height, width)
        label[chunk] = [scene.label for scene in scenes]
        factors[chunk] = [[scene.factors[name] for name in FACTORS] for scene in scenes]
    return {"image": image, "mask": mask, "label": label, "depth": depth, "factors": factors}


def _keep_heap() -> None:
    """Free a large block: glibc's malloc learns from it to keep memory instead of returning it after each batch.

    Requesting the memory again would take a quarter of the time, for page faults. Other C libraries ignore this.
    """
    np.empty(HEAP, np.uint8)
