"""Arrays and records between the stages: written atomically, checked when they are read, and hashed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from mmbench.errors import UserError
from mmbench.files.atomic import atomic_path, write_text

Arrays = dict[str, np.ndarray]
T = TypeVar("T")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, with the keys in their order; ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; UserError names the file if it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=partial(_without_twins, what="key"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that writes it first") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a file that can be read") from None
    except (ValueError, RecursionError) as error:  # also of numbers with too many digits and of too deep nesting
        raise UserError(f"{path}: not a JSON file ({error}); delete it and rerun the stage that writes it") from None


def _without_twins(pairs: list[tuple[str, T]], what: str) -> dict[str, T]:
    """Pairs of a name and a value as a mapping; ValueError if a name occurs twice."""
    named = dict(pairs)
    if len(named) < len(pairs):
        twin = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the {what} '{twin}' is there twice")
    return named


def read_record(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds keys and values; UserError as for `read_json`, or if it holds something else."""
    record = read_json(path)
    if not isinstance(record, dict):
        raise UserError(f"{path}: holds no keys but {record!r:.40}; delete it and rerun the stage that writes it")
    return record


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as a compressed npz, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **dict(arrays))  # type: ignore[arg-type]


#: The errors of zipfile and numpy for a file that is not a complete npz of plain arrays, or does not fit in memory.
BROKEN = (
    ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError, AttributeError, TypeError, KeyError,
    IndexError, OverflowError, MemoryError, SyntaxError, struct.error, tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The type and the shape of an array in a file, read without its values."""

    dtype: np.dtype
    shape: tuple[int, ...]


def load_arrays(path: str | Path, names: Collection[str] | None = None) -> Arrays:
    """Read the arrays `names` of an npz (None: all), as far as it has them; nothing is unpickled.

    Raises:
        UserError: the file is missing, is not an npz, is truncated or damaged, or holds Python objects.
    """
    with _members(path) as (archive, members):
        arrays = {}
        for name, member in members.items():
            if names is None or name in names:
                _header(archive, name, member)
                with archive.open(member) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
        return arrays


def read_headers(path: str | Path) -> dict[str, Header]:
    """Type and shape of every array of an npz, whose values may be too large to read; errors as for `load_arrays`."""
    with _members(path) as (archive, members):
        return {name: _header(archive, name, member) for name, member in members.items()}


@contextmanager
def _members(path: str | Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """An npz and its members by the names of the arrays; UserError if it is not valid."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, _without_twins([(i.filename.removesuffix(".npy"), i) for i in archive.infolist()], "array")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that writes it first") from None
    except BROKEN as error:
        raise UserError(f"{path}: not a readable npz of plain arrays ({error}); write it with numpy.savez") from None


def _header(archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> Header:
    with archive.open(member) as stream:
        return _checked_header(stream, name, member.file_size)


def _checked_header(stream: IO[bytes], name: str, size: int) -> Header:
    """The header of an npy of `size` bytes; ValueError if it is not valid, has objects, or states another size."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"'{name}' has a header of version {version}")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError(f"'{name}' holds Python objects")
    if stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"'{name}' is not as large as its header says: {dtype} {shape}")
    return Header(dtype, shape)


def load_array(path: str | Path) -> np.ndarray:
    """Read an npy, without unpickling; UserError if it is missing, damaged, not an npy, or holds Python objects."""
    try:
        with Path(path).open("rb") as stream:
            _checked_header(stream, Path(path).name, os.fstat(stream.fileno()).st_size)
            stream.seek(0)
            array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except BROKEN as error:
        raise UserError(f"{path}: not a readable npy of a plain array ({error}); write it with numpy.save") from None


def sha256_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Hex SHA-256 over names, dtypes, shapes and values, independent of the arrays' order and of their file."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
