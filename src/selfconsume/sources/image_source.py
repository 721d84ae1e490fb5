"""What all sources of images share: uint8 arrays ``(n, H, W, C)`` that have been looked at, and their fingerprint."""

from __future__ import annotations

import abc
import hashlib
from typing import NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import DatasetSource, Rows


class Loaded(NamedTuple):
    """Images in memory."""

    rows: Rows
    sha256: str
    """Of images, labels and split: the same however they are packed and wherever they lie."""

    @classmethod
    def of(cls, rows: Rows) -> Loaded:
        digest = hashlib.sha256(repr((rows.examples.shape, rows.labels is not None, rows.held_out)).encode())
        for array in (rows.examples, rows.labels):
            if array is not None:
                digest.update(np.ascontiguousarray(array))
        return cls(rows, digest.hexdigest())


class Images(DatasetSource):
    """A finite source whose rows are uint8 images ``(n, H, W, C)`` read from files."""

    @abc.abstractmethod
    def loaded(self) -> Loaded:
        """All images, cached by the implementation."""

    def rows(self) -> Rows:
        return self.loaded().rows

    def fingerprint(self) -> str:
        """What the images are, wherever they lie.

        Raises:
            ConfigError: They cannot be read, see `check`.
        """
        return self.loaded().sha256


def checked(
    path: str, images: np.ndarray, shape: tuple[int | None, int | None, int | None] = (None, None, None)
) -> np.ndarray:
    """The images, if they are what every user of an image source relies on.

    Args:
        path: Where they come from, for messages.
        images: Anything; passes only as uint8 ``(n, H, W, C)`` with 1 or 3 channels and grey levels over 0 to 255.
        shape: The ``(H, W, C)`` that one image must have; None allows any.

    Raises:
        ConfigError: What is wrong with them.
    """
    wanted = ", ".join(str(size or name) for size, name in zip(shape, "HWC", strict=True))
    if images.ndim != 4 or any(size not in (None, has) for size, has in zip(shape, images.shape[1:], strict=False)):
        raise ConfigError(
            f"source.path: '{path}' holds an array of shape {images.shape}, expected images (n, {wanted})"
        )
    if images.shape[3] not in (1, 3):
        raise ConfigError(
            f"source.path: images of '{path}' have {images.shape[3]} channels, expected 1 or 3, as last axis"
        )
    if images.dtype != np.uint8:
        raise ConfigError(
            f"source.path: images of '{path}' are {images.dtype}, expected uint8 with grey levels 0 to 255"
        )
    if len(images) < 2 or 0 in images.shape:
        raise ConfigError(
            f"source.path: '{path}' holds images of shape {images.shape}; at least 2 are needed, none empty"
        )
    if images.max() <= 1:
        raise ConfigError(
            f"source.path: no grey level of '{path}' is above 1, expected 0 to 255; multiply the images by 255"
        )
    return images


def classes(path: str, labels: np.ndarray, n: int, most: int) -> np.ndarray:
    """Class labels as int32 ``(n,)``, if there is one for each image and all are from 0 to ``most - 1``.

    Raises:
        ConfigError: What is wrong with them.
    """
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"source.path: labels of '{path}' are {labels.dtype} of shape {labels.shape}, expected {n} integers"
        )
    if n and not (labels.min() >= 0 and labels.max() < most):
        raise ConfigError(
            f"source.path: labels of '{path}' go from {labels.min()} to {labels.max()}, expected 0 to {most - 1}; "
            "the file is damaged or of another layout"
        )
    return labels.astype(np.int32)
