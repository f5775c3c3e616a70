"""Names of methods: `file`, or `file@variant`; which one is under study, and what a variant is compared with."""

from __future__ import annotations

#: The method under study. It and its variants (`mt_diffusion@tag`) are compared with the baselines, all other methods.
STUDIED = "mt_diffusion"
STUDIED_TITLE = "MT-Diffusion"


def method_of(name: str) -> str:
    """The method that a variant is of; a method's own name."""
    return name.partition("@")[0]


def tag_of(name: str) -> str:
    """The tag of a variant; empty for a method."""
    return name.partition("@")[2]


def is_studied(method: str) -> bool:
    """Whether this is the method under study or one of its variants."""
    return method_of(method) == STUDIED


def reference_of(method: str) -> str:
    """What a change is measured from: a variant's own method, or for a whole method that under study."""
    return method_of(method) if tag_of(method) else STUDIED
