"""Arrays in .npy and .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.files.archives import first_line
from selfconsume.sources.tabular.table import Table, listed

# A header with a false size raises MemoryError before any data is read.
MAP_BYTES = 256 * 2**20
"""Larger .npy files are memory-mapped: do not change them while they are in use."""
UNREADABLE = (ValueError, EOFError, OSError, MemoryError, SyntaxError, zipfile.BadZipFile)


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
        with open(Path(path).expanduser(), "rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray) != (suffix == ".npy"):
                kind = "a single .npy array" if suffix == ".npz" else "an .npz archive"
                raise ConfigError(f"source.path: '{path}' is {kind}, though its name says {suffix}; rename it")
            if suffix == ".npy":
                return Table(content)
            names = [name.removesuffix(".npy") for name in content.zip.namelist() if name.endswith(".npy")]
            arrays = [name for name in names if name != label]
            if not arrays:
                raise ConfigError(f"source.path: '{path}' holds no array to train on; save it with numpy.savez")
            if array is None and len(arrays) != 1:
                raise ConfigError(f"source.array: '{path}' holds {len(arrays)} arrays; name one of {listed(arrays)}")
            for field, name in (("array", array), ("label", label)):
                if name is not None and name not in names:
                    raise ConfigError(f"source.{field}: '{path}' has no '{name}'; it has {listed(names)}")
            values = content[arrays[0] if array is None else array]
            return Table(values, None if label is None else content[label])
    except ConfigError:
        raise
    except UNREADABLE as error:
        if "pickle" in str(error):
            raise ConfigError(
                f"source.path: '{path}' is not a NumPy file, or holds Python objects, which may run code; save a plain "
                "numeric array"
            ) from None
        raise ConfigError(f"source.path: '{path}' cannot be read as {suffix} ({first_line(error)})") from None
