"""Names of methods: `file`, or `file@variant`; the method under study, and the reference of each comparison."""

from __future__ import annotations

#: The method under study. It and its variants (`mt_diffusion@tag`) are compared with the baselines, all other methods.
STUDIED = "mt_diffusion"
STUDIED_TITLE = "MT-Diffusion"


def method_of(name: str) -> str:
    """The method of a variant; for a method, its own name."""
    return name.partition("@")[0]


def tag_of(name: str) -> str:
    """The tag of a variant; empty for a method."""
    return name.partition("@")[2]


def is_studied(method: str) -> bool:
    """Whether this is the method under study or one of its variants."""
    return method_of(method) == STUDIED


def reference_of(method: str) -> str:
    """The reference of a change: for a variant its own method, for another method the one under study."""
    return method_of(method) if tag_of(method) else STUDIED
