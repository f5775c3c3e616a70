"""Names of methods: `file`, or `file@variant`; which one is under study, and what a variant is compared with."""

from __future__ import annotations

#: The method under study. It and its variants (`mt_diffusion@tag`) are compared with the baselines, all other methods.
STUDIED = "mt_diffusion"
STUDIED_TITLE = "MT-Diffusion"


def is_studied(method: str) -> bool:
    """Whether this is the method under study or one of its variants."""
    return method.partition("@")[0] == STUDIED


def reference_of(method: str) -> str:
    """What a change is measured from: a variant's own method, or for a whole method that under study."""
    return method.partition("@")[0] if "@" in method else STUDIED
