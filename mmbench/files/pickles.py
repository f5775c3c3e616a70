"""Pickles that others published, from which numpy arrays are taken and nothing else; nothing here is ever pickled."""

from __future__ import annotations

import io
import pickle
from typing import Any

#: Numpy's names in a pickle of arrays, in the places where numpy 2 keeps them.
ALLOWED = ("numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype")


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays, of numpy 1 and 2, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the three names; pickle.UnpicklingError for whatever else a pickle wants to call."""
        module = module.replace("numpy.core", "numpy._core")
        if f"{module}.{name}" in ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def unpickle_arrays(data: bytes, encoding: str = "ASCII") -> Any:
    """Nested dictionaries and lists of numpy arrays, numbers and text from a pickle.

    Args:
        data: the pickle, whose hash must have been checked: an array can still be made to hold anything.
        encoding: of text that Python 2 pickled.

    Raises:
        pickle.UnpicklingError: it names anything but an array.
    """
    return _ArraysOnly(io.BytesIO(data), encoding=encoding).load()
