"""Base of image sources: validated uint8 arrays ``(n, H, W, C)`` and their fingerprint."""

from __future__ import annotations

import abc
from typing import ClassVar, NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import DatasetSource, Rows, content_hash


class ImageSet(NamedTuple):
    """Images in memory, with a hash of their content."""

    rows: Rows
    sha256: str
    """Hash of images, labels and split, independent of path and packaging."""

    @classmethod
    def of(cls, rows: Rows) -> ImageSet:
        return cls(rows, content_hash(rows))


class ImageSource(DatasetSource):
    """A dataset of uint8 images ``(n, H, W, C)`` read from files."""

    version: ClassVar[int] = 2
    common_unit: ClassVar[bool] = True

    @abc.abstractmethod
    def image_set(self) -> ImageSet:
        """All images; cached by the implementation."""

    def rows(self) -> Rows:
        return self.image_set().rows

    def fingerprint(self) -> str:
        """SHA-256 of images, labels and split, independent of path and packaging.

        Raises:
            ConfigError: The images cannot be read, see `check`.
        """
        return self.image_set().sha256


def validate_images(
    path: str, images: np.ndarray, shape: tuple[int | None, int | None, int | None] = (None, None, None)
) -> np.ndarray:
    """The images unchanged, if they are uint8 ``(n, H, W, C)`` with 1 or 3 channels and grey levels up to 255.

    Args:
        path: Path named in messages.
        images: The array to validate.
        shape: Required ``(H, W, C)``; None allows any size.

    Raises:
        ConfigError: The array violates a requirement.
    """
    expected = ", ".join(str(size or name) for size, name in zip(shape, "HWC", strict=True))
    if images.ndim != 4 or any(size not in (None, got) for size, got in zip(shape, images.shape[1:], strict=False)):
        raise ConfigError(
            f"source.path: '{path}' holds an array of shape {images.shape}, expected images (n, {expected})"
        )
    if images.shape[3] not in (1, 3):
        raise ConfigError(
            f"source.path: images of '{path}' have {images.shape[3]} channels, expected 1 or 3 on the last axis"
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


def validate_labels(path: str, labels: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    """Class labels as int32 ``(n,)``, if each image has a label between 0 and ``n_classes - 1``.

    Raises:
        ConfigError: Wrong shape, type or range.
    """
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"source.path: labels of '{path}' are {labels.dtype} of shape {labels.shape}, expected {n} integers"
        )
    if n and not (labels.min() >= 0 and labels.max() < n_classes):
        raise ConfigError(
            f"source.path: labels of '{path}' go from {labels.min()} to {labels.max()}, expected 0 to {n_classes - 1}; "
            "the file is damaged or in another layout"
        )
    return labels.astype(np.int32)
