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
from selfconsume.sources.files.archives import file_version, open_entries, quoted
from selfconsume.sources.files.download import resolve_path
from selfconsume.sources.image_source import ImageSet, ImageSource, validate_images, validate_labels

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
"""Of the archive with MD5 c32a1d4ab5d03f1284b67883e8d87530, the checksum on the dataset's page."""

RECORD = 1 + 3 * 32 * 32
"""Bytes of one example: a label, then the red, green and blue planes."""
MEMBERS = re.compile(r"(?:.*/)?(data_batch_([1-5])|test_batch)\.bin")


@dataclasses.dataclass(frozen=True)
class Cifar10(ImageSource):
    """60,000 real colour photographs of 32 x 32 pixels in ten classes, from the official binary archive or its folder.

    Examples are uint8 (32, 32, 3). Training examples and the reserve come from the official training set, test examples
    from the official test set. Smaller copies in the same layout also work; set `n` and `n_test` to match.

    Attributes:
        path: `cifar-10-binary.tar.gz`, its folder `cifar-10-batches-bin`, or the parent of that folder.
        fetch: Download the archive (162 MB) once into the user's cache folder, checked by SHA-256; instead of `path`.
        n: Training examples.
        n_test: Held-out examples, the same for every ``n``.

    References:
        Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """

    path: str | None = None
    fetch: bool = False
    n: Annotated[int, Ge(1)] = 50_000
    n_test: Annotated[int, Ge(2)] = 10_000

    def image_set(self) -> ImageSet:
        path = resolve_path(self.path, self.fetch, URL, SHA256)
        return _load(file_version(path), path)

    def split_sizes(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.lru_cache(maxsize=2)
def _load(version: tuple[int, int], path: str) -> ImageSet:
    records = {}
    with open_entries(path) as archive:
        for name in archive.names:
            if match := MEMBERS.fullmatch(name):
                if match[1] in records:
                    raise ConfigError(
                        f"source.path: '{path}' holds {match[1]}.bin twice; give the folder of a single copy"
                    )
                records[match[1]] = _records(path, name, archive.read(name))
    batches = sorted(records.keys() - {"test_batch"})
    expected = [f"data_batch_{i}" for i in range(1, len(batches) + 1)]
    if not batches or batches != expected or "test_batch" not in records:
        raise ConfigError(
            f"source.path: '{path}' holds {', '.join(sorted(records)) or 'no batch'}; expected data_batch_1.bin to "
            "data_batch_5.bin and test_batch.bin, as in the official cifar-10-binary.tar.gz (not the Python version)"
        )
    test = records["test_batch"]
    stacked = np.concatenate([*(records[name] for name in batches), test])
    planes = stacked[:, 1:].reshape(-1, 3, 32, 32)
    pictures = validate_images(path, np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), (32, 32, 3))
    return ImageSet.of(Rows(pictures, validate_labels(path, stacked[:, 0], len(stacked), 10), len(test)))


def _records(path: str, name: str, content: bytes) -> np.ndarray:
    if not content or len(content) % RECORD:
        raise ConfigError(
            f"source.path: {quoted(name)} of '{path}' has {len(content)} bytes, expected a multiple of {RECORD}; "
            "it is truncated or in another layout; download it again"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)
