"""Joint: image, mask, label, embedding and depth at once, any made from any others, and masked images filled in.

The data set says which of the five there are; with fewer, the tasks are those that give and want what there is.
"""

from __future__ import annotations

from itertools import combinations

from mmbench.modalities import Task

#: What can be given or drawn.
FREE = ("image", "mask", "label", "embedding", "depth")
MADE = {"masked_image": "masked_image"}
#: A model of all learns each: to generate the image, and to recover or be told every other.
MODALITIES = (*FREE, *MADE)


def from_others(*given: str) -> Task:
    """All that is not given, wanted of what is."""
    return Task("_".join(["from", *given]), given, tuple(name for name in FREE if name not in given))


SUBSETS = [given for size in range(1, len(FREE)) for given in combinations(FREE, size)]
TASKS = {
    "generate": Task("generate", given=(), want=FREE),
    **{task.name: task for task in (from_others(*given) for given in SUBSETS)},
    "reconstruct": Task("reconstruct", given=("masked_image",), want=FREE),
}
