"""Joint: image, mask, label, embedding and depth, any generated from any others, and masked images filled in.

The data set may have fewer than these five; the tasks are then those whose inputs and outputs it has.
"""

from __future__ import annotations

from itertools import combinations

from mmbench.modalities import Task

#: The modalities that can be inputs or outputs.
FREE = ("image", "mask", "label", "embedding", "depth")
MADE = {"masked_image": "masked_image"}
#: A joint model learns each of them: it generates the image, and recovers or is conditioned on the others.
MODALITIES = (*FREE, *MADE)


def from_others(*given: str) -> Task:
    """The task that generates all other modalities from `given`."""
    return Task("_".join(["from", *given]), given, tuple(name for name in FREE if name not in given))


SUBSETS = [given for size in range(1, len(FREE)) for given in combinations(FREE, size)]
TASKS = {
    "generate": Task("generate", given=(), want=FREE),
    **{task.name: task for task in (from_others(*given) for given in SUBSETS)},
    "reconstruct": Task("reconstruct", given=("masked_image",), want=FREE),
}
