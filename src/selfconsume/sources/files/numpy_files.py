"""Arrays in .npy and .npz files."""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from selfconsume.errors import ConfigError
from selfconsume.files.memory import check_fits
from selfconsume.files.regular import open_regular
from selfconsume.sources.files.archives import first_line
from selfconsume.sources.tabular.table import Table, listed

MAP_BYTES = 256 * 2**20
"""Larger .npy files are memory-mapped: do not change them while they are in use."""
# A header with a false size raises MemoryError before any data is read.
UNREADABLE = (
    ValueError,
    EOFError,
    OSError,
    MemoryError,
    SyntaxError,
    RecursionError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
MAGIC = npy.MAGIC_PREFIX
COPIES = 3
"""Arrays of the same size that reading needs at once: the file's, float64 rows, and standardised rows."""


def read(path: str, array: str | None, label: str | None) -> Table:
    """Reads a .npy file, or one array of an .npz file and its labels. Never executes pickled objects.

    Raises:
        ConfigError: The file is unreadable, is of the other kind, or has no such array.
    """
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".npy" and Path(path).expanduser().stat().st_size > MAP_BYTES:
            return Table(np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False))
        # Opened here, because NumPy leaves broken archives open.
        with open_regular(Path(path).expanduser()) as file:
            if file.read(len(MAGIC)) == MAGIC:
                _check_declared(path, file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray) != (suffix == ".npy"):
                kind = "a single .npy array" if suffix == ".npz" else "an .npz archive"
                raise ConfigError(f"source.path: '{path}' is {kind}, though its name says {suffix}; rename it")
            if suffix == ".npy":
                return Table(content)
            return _member(path, content, array, label)
    except ConfigError:
        raise
    except UNREADABLE as error:
        if "pickle" in str(error):
            raise ConfigError(
                f"source.path: '{path}' is not a NumPy file, or holds Python objects, which may run code; save a plain "
                "numeric array"
            ) from None
        raise ConfigError(f"source.path: '{path}' cannot be read as {suffix} ({first_line(error)})") from None


def _check_declared(path: str, file: IO[bytes], size: int) -> None:
    """Refuses an array whose header, after the magic prefix, promises more than the file or the memory holds."""
    version = tuple(file.read(2))
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
    declared = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and not 0 <= declared <= size:
        raise ConfigError(
            f"source.path: '{path}' is cut off: its header promises an array of shape {shape}; copy it again"
        )
    check_fits(
        COPIES * math.prod(shape) * max(8, dtype.itemsize), f"source.path: the {shape} numbers of '{path}'", "split it"
    )


def _member(path: str, content: Any, array: str | None, label: str | None) -> Table:
    """One array of an opened .npz file, and its labels."""
    names = [name.removesuffix(".npy") for name in content.zip.namelist() if name.endswith(".npy")]
    arrays = [name for name in names if name != label]
    if not arrays:
        raise ConfigError(f"source.path: '{path}' holds no array to train on; save it with numpy.savez")
    if array is None and len(arrays) != 1:
        raise ConfigError(f"source.array: '{path}' holds {len(arrays)} arrays; name one of {listed(arrays)}")
    for field, name in (("array", array), ("label", label)):
        if name is not None and name not in names:
            raise ConfigError(f"source.{field}: '{path}' has no '{name}'; it has {listed(names)}")
    name = arrays[0] if array is None else array
    for member in filter(None, (name, label)):
        info = content.zip.getinfo(f"{member}.npy")
        with content.zip.open(info) as packed:
            if packed.read(len(MAGIC)) == MAGIC:
                _check_declared(path, packed, info.file_size)
    values, labels = content[name], None if label is None else content[label]
    if not all(isinstance(array, np.ndarray) for array in (values, labels) if array is not None):
        raise ValueError("a member is no array")
    return Table(values, labels)
