"""MNIST from an .npz file or from the four original files, no network unless asked for."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import re
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import Rows
from selfconsume.sources.files.archives import (
    BROKEN,
    MAX_BYTES,
    Entries,
    file_version,
    first_line,
    open_entries,
    quoted,
)
from selfconsume.sources.files.download import resolve_path
from selfconsume.sources.image_source import ImageSet, ImageSource, validate_images, validate_labels

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

ARRAYS = ("x_train", "x_test", "y_train", "y_test")
ORIGINAL = re.compile(r"(?:.*/)?(train|t10k)-(images|labels)[-.]idx([13])-ubyte(\.gz)?")


@dataclasses.dataclass(frozen=True)
class Mnist(ImageSource):
    """70,000 real handwritten digits of 28 x 28 pixels, from an .npz file or the four original idx files.

    Examples are uint8 (28, 28, 1); 0 is background and 255 ink. Training examples and the reserve come from the official
    training set, test examples from the official test set. Other data in the same layout also works, such as Fashion-MNIST.

    Attributes:
        path: An .npz file with x_train, y_train, x_test and y_test; or a folder, .zip or .tar.gz with
            train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain
            or as .gz.
        fetch: Download mnist.npz (11 MB) once into the user's cache folder, checked by SHA-256; instead of `path`.
        n: Training examples.
        n_test: Held-out examples, the same for every ``n``.

    References:
        LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791.
    """

    path: str | None = None
    fetch: bool = False
    n: Annotated[int, Ge(1)] = 60_000
    n_test: Annotated[int, Ge(2)] = 10_000

    def image_set(self) -> ImageSet:
        path = resolve_path(self.path, self.fetch, URL, SHA256)
        return _load(file_version(path), path)

    def split_sizes(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.lru_cache(maxsize=2)
def _load(version: tuple[int, int], path: str) -> ImageSet:
    arrays = _read_npz(path) if path.lower().endswith(".npz") and Path(path).expanduser().is_file() else _read_idx(path)
    parts, labels = [], []
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        parts.append(validate_images(path, x[..., None] if x.ndim == 3 else x, (28, 28, 1)))
        labels.append(validate_labels(path, y, len(x), 10))
    return ImageSet.of(Rows(np.concatenate(parts), np.concatenate(labels), len(parts[1])))


def _read_npz(path: str) -> dict[str, np.ndarray]:
    with open_entries(path) as archive:
        if missing := [name for name in ARRAYS if f"{name}.npy" not in archive.names]:
            raise ConfigError(f"source.path: '{path}' has no {', '.join(missing)}; expected {', '.join(ARRAYS)}")
        return {name: _read_npy(path, name, archive.read(f"{name}.npy")) for name in ARRAYS}


def _read_npy(path: str, name: str, content: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    # A header with a false size raises MemoryError before any data is read.
    except (*BROKEN, MemoryError, SyntaxError) as error:
        raise ConfigError(f"source.path: {name} of '{path}' is not a plain array ({first_line(error)})") from None


def _read_idx(path: str) -> dict[str, np.ndarray]:
    arrays = {}
    with open_entries(path) as archive:
        for name in archive.names:
            if match := ORIGINAL.fullmatch(name):
                array = ("x_" if match[2] == "images" else "y_") + ("train" if match[1] == "train" else "test")
                if array in arrays:
                    raise ConfigError(f"source.path: '{path}' holds {quoted(name)} twice; keep a single copy")
                arrays[array] = _idx(archive, name, 3 if match[2] == "images" else 1)
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ConfigError(
            f"source.path: '{path}' has no file for {', '.join(missing)}; expected train- and t10k-, "
            "images-idx3-ubyte and labels-idx1-ubyte, plain or as .gz, or one .npz file"
        )
    return arrays


def _idx(archive: Entries, name: str, ndim: int) -> np.ndarray:
    """One idx file: two zero bytes, type 8 (unsigned byte), the number of axes, their big-endian sizes, the data."""
    content = archive.read(name)
    if name.endswith(".gz"):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MAX_BYTES + 1)
        except BROKEN as error:
            raise ConfigError(
                f"source.path: {quoted(name)} of '{archive.path}' cannot be decompressed "
                f"({first_line(error)}); download it again"
            ) from None
    header = 4 + 4 * ndim
    if len(content) > MAX_BYTES or content[:4] != bytes([0, 0, 8, ndim]) or len(content) < header:
        raise ConfigError(
            f"source.path: {quoted(name)} of '{archive.path}' is not an idx file of bytes with {ndim} axes"
        )
    shape = tuple(np.frombuffer(content[4:header], ">u4").tolist())
    data = np.frombuffer(content, np.uint8, offset=header)
    if data.size != int(np.prod(shape, dtype=object)):
        raise ConfigError(
            f"source.path: {quoted(name)} of '{archive.path}' declares shape {shape} but holds {data.size} bytes; "
            "download it again"
        )
    return data.reshape(shape)
