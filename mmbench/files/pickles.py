"""Reads numpy arrays, and nothing else, from pickles that others published; nothing here is ever pickled."""

from __future__ import annotations

import io
import pickle
from typing import Any

#: The names that a pickle of arrays uses, by their modules in numpy 2.
ALLOWED = ("numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype")


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays, of numpy 1 and 2, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the three names; pickle.UnpicklingError for anything else that a pickle calls."""
        module = module.replace("numpy.core", "numpy._core")
        if f"{module}.{name}" in ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def unpickle_arrays(data: bytes, encoding: str = "ASCII") -> Any:
    """Nested dictionaries and lists of numpy arrays, numbers and text from a pickle.

    Args:
        data: the pickle; its hash must have been checked, since an array may hold anything.
        encoding: the encoding of text that Python 2 pickled.

    Raises:
        pickle.UnpicklingError: the pickle holds more than arrays.
    """
    return _ArraysOnly(io.BytesIO(data), encoding=encoding).load()
