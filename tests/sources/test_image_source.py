"""What all sources of images must pass."""

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import Rows
from selfconsume.sources.image_source import ImageSet, validate_images, validate_labels

IMAGES = np.arange(3 * 4 * 5 * 3).reshape(3, 4, 5, 3).astype(np.uint8)


def test_what_is_right_passes_unchanged():
    assert validate_images("x", IMAGES) is IMAGES and validate_images("x", IMAGES, (4, 5, 3)) is IMAGES
    assert validate_images("x", IMAGES[..., :1], (None, None, 1)).shape == (3, 4, 5, 1)
    got = validate_labels("x", np.array([0, 9, 3], np.uint8), 3, 10)
    assert got.dtype == np.int32 and got.tolist() == [0, 9, 3]


@pytest.mark.parametrize(
    ("images", "shape", "message"),
    [
        (IMAGES[0], (None,) * 3, r"shape \(4, 5, 3\), expected images \(n, H, W, C\)"),
        (IMAGES, (4, 4, 3), r"shape \(3, 4, 5, 3\), expected images \(n, 4, 4, 3\)"),
        (IMAGES.transpose(0, 3, 1, 2), (None,) * 3, "have 5 channels, expected 1 or 3 on the last axis"),
        (IMAGES.astype(np.int64), (None,) * 3, "are int64, expected uint8"),
        (IMAGES[:1], (None,) * 3, "at least 2 are needed"),
        (IMAGES[:, :0], (None,) * 3, "at least 2 are needed, none empty"),
        (IMAGES // 128, (None,) * 3, "no grey level of 'x' is above 1, expected 0 to 255"),
    ],
)
def test_what_is_wrong_with_images(images, shape, message):
    with pytest.raises(ConfigError, match=message):
        validate_images("x", images, shape)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1]), r"int64 of shape \(2,\), expected 3 integers"),
        (np.array([0.0, 1.0, 2.0]), "are float64"),
        (np.array([0, 1, 10]), "go from 0 to 10, expected 0 to 9"),
        (np.array([0, -1, 1]), "go from -1 to 1"),
    ],
)
def test_what_is_wrong_with_labels(labels, message):
    with pytest.raises(ConfigError, match=message):
        validate_labels("x", labels, 3, 10)


def test_the_fingerprint_is_of_all_that_counts():
    labels = np.array([0, 1, 2], np.int32)
    other = IMAGES.copy()
    other[0, 0, 0, 0] += 1
    every = [
        Rows(IMAGES, labels),
        Rows(other, labels),
        Rows(IMAGES, labels[::-1]),
        Rows(IMAGES),
        Rows(IMAGES, labels, 1),
        Rows(IMAGES.reshape(3, 5, 4, 3), labels),
    ]
    assert len({ImageSet.of(rows).sha256 for rows in every}) == len(every)
    transposed = np.asfortranarray(IMAGES)
    assert ImageSet.of(Rows(transposed, labels)).sha256 == ImageSet.of(every[0]).sha256
