"""Labels: an image and its class, each predicted from the other, both generated, and noised images classified."""

from __future__ import annotations

from mmbench.modalities import Task

#: `noised_image` float (n, 3, h, w) is sqrt(alpha_bar) x + sqrt(1 - alpha_bar) eps of x in [-1, 1], with `alpha_bar`
#: float32 (n,) in (0, 1). Methods convert both to float32 where they use them.
NO_MODALITIES = ("noised_image", "alpha_bar")
TASKS = {
    "classify": Task("classify", given=("image",), want=("label",)),
    "classify_noised": Task("classify_noised", given=("noised_image", "alpha_bar"), want=("label",)),
    "paint": Task("paint", given=("label",), want=("image",)),
    "generate": Task("generate", given=(), want=("image", "label")),
}
