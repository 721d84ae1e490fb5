"""CIFAR-10 from the official binary archive: no pickle, nothing unpacked to disk, no network unless asked for."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Annotated

import numpy as np
from annotated_types import Ge

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import Rows
from selfconsume.sources.files.archives import entries, shown, version
from selfconsume.sources.files.download import located
from selfconsume.sources.image_source import Images, Loaded, checked, classes

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
"""Of the file whose MD5 the data's own page gives as c32a1d4ab5d03f1284b67883e8d87530."""

RECORD = 1 + 3 * 32 * 32
"""Bytes of one example: a label, then the red, the green and the blue plane."""
MEMBERS = re.compile(r"(?:.*/)?(data_batch_([1-5])|test_batch)\.bin")


@dataclasses.dataclass(frozen=True)
class Cifar10(Images):
    """60,000 real colour photographs of 32 x 32 pixels in ten classes, from the official binary archive or its folder.

    Rows are uint8 (32, 32, 3). Training rows and the reserve come from the official training set, test rows from the
    official test set. A smaller copy in the same layout is read too; then n and n_test must be given.

    Attributes:
        path: `cifar-10-binary.tar.gz`, or the folder `cifar-10-batches-bin` that it holds, or the folder around that.
        fetch: Instead of a path: downloads the archive (162 MB) once into the user's cache folder and checks its SHA-256.
        n: Training examples.
        n_test: Held-out examples, the same ones for every ``n``.

    References:
        Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """

    path: str | None = None
    fetch: bool = False
    n: Annotated[int, Ge(1)] = 50_000
    n_test: Annotated[int, Ge(2)] = 10_000

    def loaded(self) -> Loaded:
        path = located(self.path, self.fetch, URL, SHA256)
        return _load(version(path), path)

    def counts(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.lru_cache(maxsize=2)
def _load(changed: tuple[int, int], path: str) -> Loaded:
    records = {}
    with entries(path) as found:
        for name in found.names:
            if match := MEMBERS.fullmatch(name):
                if match[1] in records:
                    raise ConfigError(f"source.path: '{path}' holds {match[1]}.bin twice; give the folder of one copy")
                records[match[1]] = _records(path, name, found.read(name))
    batches = sorted(records.keys() - {"test_batch"})
    expected = [f"data_batch_{i}" for i in range(1, len(batches) + 1)]
    if not batches or batches != expected or "test_batch" not in records:
        raise ConfigError(
            f"source.path: '{path}' holds {', '.join(sorted(records)) or 'no batch'}; expected data_batch_1.bin to "
            "data_batch_5.bin and test_batch.bin, as in the official cifar-10-binary.tar.gz (not the Python version)"
        )
    test = records["test_batch"]
    both = np.concatenate([*(records[name] for name in batches), test])
    planes = both[:, 1:].reshape(-1, 3, 32, 32)
    pictures = checked(path, np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), (32, 32, 3))
    return Loaded.of(Rows(pictures, classes(path, both[:, 0], len(both), 10), len(test)))


def _records(path: str, name: str, content: bytes) -> np.ndarray:
    if not content or len(content) % RECORD:
        raise ConfigError(
            f"source.path: {shown(name)} of '{path}' has {len(content)} bytes, expected a multiple of {RECORD}; "
            "it is cut short or of another layout, fetch it again"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)
