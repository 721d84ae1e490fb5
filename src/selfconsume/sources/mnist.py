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
from selfconsume.sources.files.archives import BROKEN, MOST_BYTES, Entries, entries, first_line, shown, version
from selfconsume.sources.files.download import located
from selfconsume.sources.image_source import Images, Loaded, checked, classes

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

ARRAYS = ("x_train", "x_test", "y_train", "y_test")
ORIGINAL = re.compile(r"(?:.*/)?(train|t10k)-(images|labels)[-.]idx([13])-ubyte(\.gz)?")


@dataclasses.dataclass(frozen=True)
class Mnist(Images):
    """70,000 real handwritten digits of 28 x 28 pixels, from an .npz file or the four original idx files.

    Rows are uint8 (28, 28, 1), 0 is paper and 255 ink. Training rows and the reserve come from the official training set,
    test rows from the official test set. Other data in the same files and layout, such as Fashion-MNIST, is read too.

    Attributes:
        path: An .npz file with x_train, y_train, x_test and y_test; or a folder, .zip or .tar.gz that holds
            train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, as they
            are or as .gz.
        fetch: Instead of a path: downloads mnist.npz (11 MB) once into the user's cache folder and checks its SHA-256.
        n: Training examples.
        n_test: Held-out examples, the same ones for every ``n``.

    References:
        LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791.
    """

    path: str | None = None
    fetch: bool = False
    n: Annotated[int, Ge(1)] = 60_000
    n_test: Annotated[int, Ge(2)] = 10_000

    def loaded(self) -> Loaded:
        path = located(self.path, self.fetch, URL, SHA256)
        return _load(version(path), path)

    def counts(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.lru_cache(maxsize=2)
def _load(changed: tuple[int, int], path: str) -> Loaded:
    arrays = _read_npz(path) if path.lower().endswith(".npz") and Path(path).expanduser().is_file() else _read_idx(path)
    parts, labels = [], []
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        parts.append(checked(path, x[..., None] if x.ndim == 3 else x, (28, 28, 1)))
        labels.append(classes(path, y, len(x), 10))
    return Loaded.of(Rows(np.concatenate(parts), np.concatenate(labels), len(parts[1])))


def _read_npz(path: str) -> dict[str, np.ndarray]:
    with entries(path) as found:
        if missing := [name for name in ARRAYS if f"{name}.npy" not in found.names]:
            raise ConfigError(f"source.path: '{path}' has no {', '.join(missing)}; expected {', '.join(ARRAYS)}")
        return {name: _read_npy(path, name, found.read(f"{name}.npy")) for name in ARRAYS}


def _read_npy(path: str, name: str, content: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    # A header may claim any size, which shows as MemoryError before anything is read.
    except (*BROKEN, MemoryError, SyntaxError) as error:
        raise ConfigError(f"source.path: {name} of '{path}' is no plain array ({first_line(error)})") from None


def _read_idx(path: str) -> dict[str, np.ndarray]:
    arrays = {}
    with entries(path) as found:
        for name in found.names:
            if match := ORIGINAL.fullmatch(name):
                array = ("x_" if match[2] == "images" else "y_") + ("train" if match[1] == "train" else "test")
                if array in arrays:
                    raise ConfigError(f"source.path: '{path}' holds {shown(name)} in two forms or places; keep one")
                arrays[array] = _idx(found, name, 3 if match[2] == "images" else 1)
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ConfigError(
            f"source.path: '{path}' lacks the files of {', '.join(missing)}; expected train- and t10k-, "
            "images-idx3-ubyte and labels-idx1-ubyte, as they are or as .gz, or one .npz file"
        )
    return arrays


def _idx(found: Entries, name: str, ndim: int) -> np.ndarray:
    """One idx file: two zero bytes, type 8 (unsigned byte), the number of axes, their big-endian sizes, the data."""
    content = found.read(name)
    if name.endswith(".gz"):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MOST_BYTES + 1)
        except BROKEN as error:
            raise ConfigError(
                f"source.path: {shown(name)} of '{found.path}' cannot be unpacked ({first_line(error)}); fetch it again"
            ) from None
    head = 4 + 4 * ndim
    if len(content) > MOST_BYTES or content[:4] != bytes([0, 0, 8, ndim]) or len(content) < head:
        raise ConfigError(f"source.path: {shown(name)} of '{found.path}' is not an idx file of bytes with {ndim} axes")
    shape = tuple(np.frombuffer(content[4:head], ">u4").tolist())
    data = np.frombuffer(content, np.uint8, offset=head)
    if data.size != int(np.prod(shape, dtype=object)):
        raise ConfigError(
            f"source.path: {shown(name)} of '{found.path}' says shape {shape} but holds {data.size} bytes; fetch it again"
        )
    return data.reshape(shape)
